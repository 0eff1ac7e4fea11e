"""The worker: runs workflows and the steps of their runs, until it is asked to end."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta

from temporalio.client import Client
from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
from temporalio.worker import Worker, WorkerDeploymentConfig
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from ...platform import config, late_input
from ...platform.pipelines import PACKAGE
from . import approvals, connection, inputs, policies, processes, telemetry, workflows
from .workflows import Loaded

GRACE = timedelta(
    seconds=20
)  # for steps that run when the worker is asked to end; then they are ended, and tried again
BEAT = timedelta(seconds=policies.HEARTBEAT_SECONDS / 5)
# What workflows import of the project is not imported again for each run.
SANDBOX = SandboxedWorkflowRunner(restrictions=SandboxRestrictions.default.with_passthrough_modules(PACKAGE))


async def run() -> None:
    """Work on all queues of the project. On SIGTERM no new work begins."""
    loaded, _ = workflows.load_all()
    processes.warm_up()
    stopped = asyncio.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(each, stopped.set)
    client = await connection.connect(
        runtime=telemetry.runtime(config.load(), os.environ.get("TEMPORAL_METRICS_ADDRESS", ""))
    )
    async with AsyncExitStack() as working:
        for worker in workers(client, loaded):
            await working.enter_async_context(worker)
        watched = [each.pipeline for each in loaded if late_input.is_watched(each.pipeline, "temporal")]
        beside = [asyncio.create_task(inputs.watch(client, each)) for each in watched]
        await stopped.wait()
        for task in beside:
            task.cancel()


def workers(client: Client, loaded: Sequence[Loaded]) -> Iterator[Worker]:
    """One for workflows and steps that use no limited system, and one for each system of ``[concurrency]``.

    A limit holds in this process. Where several work on the same system, divide it between them.
    """
    activities = [activity for each in loaded for activity in each.activities]
    options = {
        "graceful_shutdown_timeout": GRACE,
        "max_heartbeat_throttle_interval": BEAT,
        "deployment_config": version(),
    }
    yield Worker(
        client,
        task_queue=policies.task_queue(),
        workflows=[workflow for each in loaded for workflow in each.workflows],
        activities=[*activities, *policies.ACTIVITIES, *approvals.ACTIVITIES],
        workflow_runner=SANDBOX,
        max_concurrent_activities=int(os.environ.get("ACTIVITIES_AT_ONCE") or 20),
        **options,
    )
    if activities:
        for system, limit in config.load().concurrency.items():
            queue = policies.task_queue(system)
            yield Worker(client, task_queue=queue, activities=activities, max_concurrent_activities=limit, **options)


def version() -> WorkerDeploymentConfig | None:
    """The version of the code that this worker runs, where TEMPORAL_BUILD_ID names one.

    Runs are pinned: each ends on the version that it began on.
    """
    build = os.environ.get("TEMPORAL_BUILD_ID")
    if not build:
        return None
    return WorkerDeploymentConfig(
        version=WorkerDeploymentVersion(deployment_name=policies.task_queue(), build_id=build),
        use_worker_versioning=True,
        default_versioning_behavior=VersioningBehavior.PINNED,
    )
