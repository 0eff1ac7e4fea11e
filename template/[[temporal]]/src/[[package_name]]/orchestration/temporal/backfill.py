"""Backfill on the workers of `make up`, by the schedule's own backfill; each run is handed on as it ends.

A partition without a tick of the schedule gets a run of its own. The runs are the server's: when this is interrupted
they go on, and the same command finds them again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp
from temporalio.api.workflowservice.v1 import ListScheduleMatchingTimesRequest
from temporalio.client import (
    Client,
    ScheduleBackfill,
    ScheduleOverlapPolicy,
    WorkflowExecutionDescription,
    WorkflowExecutionStatus,
)
from temporalio.common import SearchAttributePair, TypedSearchAttributes, WorkflowIDConflictPolicy
from temporalio.service import RPCError, RPCStatusCode

from ...platform import config
from ...platform.errors import ConfigError
from ...platform.partitions import Partition
from ...platform.pipelines import Pipeline
from ..engine import RunState
from . import connection, policies, runs, schedules, workflows

POLL_SECONDS = 1
PAGE = 1000  # ticks in one answer of the server
AROUND = timedelta(seconds=30)  # ticks are a minute apart at least
FURTHEST = timedelta(days=62)  # from the end of a partition to the tick that processes it
UNENDED = (WorkflowExecutionStatus.RUNNING, WorkflowExecutionStatus.CONTINUED_AS_NEW)


def run(pipeline: Pipeline, partitions: Sequence[Partition]) -> Iterator[RunState]:
    """Request the runs and yield each as it ends. Raises ConfigError when Temporal does not run the pipeline."""
    if not workflows.has_workflow(pipeline):
        raise ConfigError(
            f"{pipeline.name} has no workflow, so Temporal cannot run it: write workflows/{pipeline.name}.py"
        )
    with connection.answering(), asyncio.Runner() as loop:
        client = loop.run(connection.connect())
        pending = loop.run(_request(client, pipeline, partitions))
        while pending:
            for key, ended in loop.run(_ended(client, pipeline, pending)).items():
                del pending[key]
                yield ended
            if pending:
                time.sleep(POLL_SECONDS)


async def _request(client: Client, pipeline: Pipeline, partitions: Sequence[Partition]) -> dict[str, tuple[str, str]]:
    """Request what is not under way. Returns by partition the id of its workflow, and the id of an earlier run."""
    ticks = await _ticks(client, pipeline, partitions) if schedules.is_scheduled(pipeline) else {}
    ids = {each.key: workflow_id(pipeline, each, ticks.get(each.key)) for each in partitions}
    pending, wanted = {}, []
    for partition in partitions:
        known = await _describe(client, ids[partition.key])
        is_under_way = known is not None and known.status in UNENDED
        pending[partition.key] = (ids[partition.key], "" if known is None or is_under_way else known.run_id)
        if not is_under_way:
            wanted.append(partition)
    by_schedule = [
        ScheduleBackfill(start_at=tick - AROUND, end_at=tick + AROUND, overlap=ScheduleOverlapPolicy.ALLOW_ALL)
        for tick in (ticks.get(partition.key) for partition in wanted)
        if tick
    ]
    if by_schedule:
        await client.get_schedule_handle(pipeline.name).backfill(*by_schedule)
    for partition in wanted:
        if partition.key not in ticks:
            await start(client, pipeline, partition, ids[partition.key])
    return pending


def workflow_id(pipeline: Pipeline, partition: Partition, tick: datetime | None = None) -> str:
    """The id of a partition's run: of its tick as the schedule writes it, or of its key."""
    return f"{pipeline.name}-{tick:%Y-%m-%dT%H:%M:%SZ}" if tick else f"{pipeline.name}-{partition}"


async def start(client: Client, pipeline: Pipeline, partition: Partition, workflow_id: str, **more: object):
    """Start a run of a partition, or find the one of this id that goes on."""
    values = {
        policies.PIPELINE: pipeline.name,
        policies.PARTITION: partition.key,
        policies.ENVIRONMENT: config.environment(),
    }
    options = {"id_conflict_policy": WorkflowIDConflictPolicy.USE_EXISTING, **more}
    return await client.start_workflow(
        pipeline.name,
        partition.key,
        id=workflow_id,
        task_queue=policies.task_queue(),
        search_attributes=TypedSearchAttributes([SearchAttributePair(*each) for each in values.items()]),
        **options,
    )


async def _ticks(client: Client, pipeline: Pipeline, partitions: Sequence[Partition]) -> dict[str, datetime]:
    """The past tick for each partition by the schedule's own reckoning, where it has one."""
    dated = [partition for partition in partitions if partition.end]
    if not dated:
        return {}
    ticks: dict[str, datetime] = {}
    wanted = {partition.key for partition in dated}
    start, end = dated[0].end - AROUND, min(dated[-1].end + FURTHEST, datetime.now(UTC))
    while start < end:
        request = ListScheduleMatchingTimesRequest(
            namespace=client.namespace,
            schedule_id=pipeline.name,
            start_time=_timestamp(start),
            end_time=_timestamp(end),
        )
        try:
            answer = await client.workflow_service.list_schedule_matching_times(request)
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                raise ConfigError(
                    f"{pipeline.name} has no schedule yet: make down up makes it, and says why if it cannot"
                ) from None
            raise
        page = [each.ToDatetime(UTC) for each in answer.start_time]
        for tick in page:
            ticks.setdefault(pipeline.due(tick).key, tick)
        if len(page) < PAGE:
            break
        start = page[-1] + AROUND
    return {key: tick for key, tick in ticks.items() if key in wanted}


async def _ended(client: Client, pipeline: Pipeline, pending: dict[str, tuple[str, str]]) -> dict[str, RunState]:
    """The runs that have ended, by partition."""
    ended = {}
    for key, (workflow_id, earlier) in pending.items():
        known = await _describe(client, workflow_id)
        if known is not None and known.run_id != earlier and known.status not in UNENDED:
            ended[key] = await runs.state_of(client, pipeline, known)
    return ended


async def _describe(client: Client, workflow_id: str) -> WorkflowExecutionDescription | None:
    try:
        return await client.get_workflow_handle(workflow_id).describe()
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return None
        raise


def _timestamp(moment: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp
