"""Runs of a pipeline, as the server knows them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowFilter, FlowRunFilter
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.sorting import FlowRunSort
from prefect.utilities.urls import url_for

from ...platform.errors import PartitionElsewhere
from ...platform.pipelines import Pipeline
from ..engine import RunState
from . import policies

PAGE = 200  # runs in one answer of the server
STATES = {
    "SCHEDULED": "queued",
    "PENDING": "queued",
    "RUNNING": "running",
    "PAUSED": "waiting",
    "CANCELLING": "running",
    "COMPLETED": "success",
}
REFUSED = f"{PartitionElsewhere.__name__}: "
UNENDED = [name for name in STATES if name != "COMPLETED"]
# A crashed run that may restart does so within seconds. After this time, nothing restarts it.
RESTART_SECONDS = 120


def newest(pipeline: Pipeline, limit: int) -> list[RunState]:
    """The newest runs, those that are scheduled for later left out."""
    with get_client(sync_client=True) as client:
        wanted = {"expected_start_time": {"before_": datetime.now(UTC)}}
        matches = matching(client, wanted, pipeline, FlowRunSort.EXPECTED_START_TIME_DESC, limit)
        return [state_of(client, pipeline, run) for run in matches]


def matching(
    client: SyncPrefectClient,
    wanted: dict[str, Any],
    pipeline: Pipeline | None = None,
    sort: FlowRunSort = FlowRunSort.EXPECTED_START_TIME_ASC,
    limit: int | None = None,
) -> Iterator[FlowRun]:
    """Runs that match a filter of the API, of one pipeline or all, as many as there are or as the limit."""
    chosen = FlowRunFilter.model_validate(wanted)
    flows = FlowFilter.model_validate({"name": {"any_": [pipeline.name]}}) if pipeline else None
    count = 0
    while limit is None or count < limit:
        size = PAGE if limit is None else min(PAGE, limit - count)
        page = client.read_flow_runs(flow_filter=flows, flow_run_filter=chosen, sort=sort, limit=size, offset=count)
        yield from page
        count += len(page)
        if len(page) < size:
            return


def state_of(client: SyncPrefectClient, pipeline: Pipeline, run: FlowRun) -> RunState:
    state = STATES.get(run.state.type.value, "failed")
    message = (run.state.message or run.state.name).removeprefix("Flow run encountered an exception: ")
    if run.state.name == policies.WAITING:
        state = "waiting"
    elif run.state.name == policies.SKIPPED or message.startswith(REFUSED):  # until its hook has ended
        state = "skipped"
    elif run.state.is_crashed() and _starts_again(client, pipeline, run):
        state = "queued"
    return RunState(
        id=str(run.id),
        pipeline=pipeline.name,
        partition=policies.partition_of(pipeline, run),
        state=state,
        started=run.start_time,
        ended=run.end_time,
        reason=message.removeprefix(REFUSED) if state in ("failed", "skipped", "waiting") else "",
        url=url_for(run) or "",
    )


def _starts_again(client: SyncPrefectClient, pipeline: Pipeline, run: FlowRun) -> bool:
    if run.deployment_id is None or datetime.now(UTC) - run.state.timestamp > timedelta(seconds=RESTART_SECONDS):
        return False
    return policies.restarts(client, run) < pipeline.settings.retries.attempts
