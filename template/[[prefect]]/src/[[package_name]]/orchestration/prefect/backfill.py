"""Backfill through the deployment: a run of each partition on the workers of `make up`.

The runs are the server's: when this is interrupted they go on, and the same command finds them again.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.exceptions import ObjectNotFound

from ...platform.errors import ConfigError
from ...platform.partitions import Partition
from ...platform.pipelines import Pipeline
from ..engine import RunState
from . import deployments, policies, runs

POLL_SECONDS = 1


def run(pipeline: Pipeline, partitions: Sequence[Partition]) -> Iterator[RunState]:
    """Request the runs and yield each as it ends. Raises ConfigError when the pipeline is not deployed."""
    with get_client(sync_client=True) as client:
        pending = _request(client, pipeline, partitions)
        while pending:
            ids = list(pending)
            for first in range(0, len(ids), runs.PAGE):
                for flow_run in runs.matching(client, {"id": {"any_": ids[first : first + runs.PAGE]}}):
                    state = runs.state_of(client, pipeline, flow_run)
                    if state.state in ("success", "failed", "skipped"):
                        pending.remove(flow_run.id)
                        yield state
            if pending:
                time.sleep(POLL_SECONDS)


def _request(client: SyncPrefectClient, pipeline: Pipeline, partitions: Sequence[Partition]) -> set[UUID]:
    """The run of each partition: the one of a backfill that has not ended yet, else a new one."""
    try:
        target = client.read_deployment_by_name(f"{pipeline.name}/{deployments.name()}")
    except ObjectNotFound:
        raise ConfigError(
            f"{pipeline.name} is not deployed: make down up deploys it, and says why if it cannot"
        ) from None
    ours = {"tags": {"all_": [deployments.BACKFILL]}, "deployment_id": {"any_": [target.id]}}
    unended = runs.matching(client, {**ours, "state": {"type": {"any_": runs.UNENDED}}})
    under_way = {policies.partition_of(pipeline, run): run.id for run in unended}
    for partition in partitions:
        if partition.key not in under_way:
            under_way[partition.key] = client.create_flow_run_from_deployment(
                target.id,
                name=f"{pipeline.name}-{partition}",
                parameters={"partition": partition.key},
                tags=[deployments.BACKFILL],
                work_queue_name=deployments.BACKFILL,
            ).id
    return {under_way[partition.key] for partition in partitions}
