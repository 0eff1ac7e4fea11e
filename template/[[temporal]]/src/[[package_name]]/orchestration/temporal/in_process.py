"""Runs in this process, for `make run`, and for `make backfill` without services.

The configured server or that of `make up` records them, else a temporary one, in the same file. The steps run in this
process; Temporal's own log lines go to var/<env>/temporal/run.log.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from ...platform import config, files
from ...platform import logging as platform_logging
from ...platform.errors import ConfigError

if TYPE_CHECKING:
    from temporalio.client import Client, WorkflowHandle

    from ...platform.partitions import Partition
    from ...platform.pipelines import Pipeline
    from ..engine import InProcess
    from ..services import Services


@contextmanager
def running(services: Services) -> Iterator[InProcess]:
    """What runs partitions in this process."""
    from . import connection, policies, server, setup, telemetry

    home = Path(os.environ["TEMPORAL_HOME"])
    home.mkdir(parents=True, exist_ok=True)
    # Read when the workflows are loaded: all steps of these runs come to this process.
    os.environ[policies.STARTED_ALONE] = f"{policies.task_queue()}-run-{uuid4().hex[:8]}"
    _log_to(home / "run.log")
    with ExitStack() as open_until_done:
        address = ""
        if not connection.settings().address and not services.are_up():
            temporary = server.TemporaryServer(home / "temporal.db")
            open_until_done.callback(temporary.stop)
            address = temporary.address
            temporary.wait()
        loop = open_until_done.enter_context(asyncio.Runner())
        client = loop.run(_connected(address, telemetry.runtime(config.load())))
        if address:
            loop.run(setup.prepare(client))

        def run(pipeline: Pipeline, partition: Partition) -> bool:
            return loop.run(_run(client, pipeline, partition))

        yield run


async def _connected(address: str, runtime) -> Client:
    from . import connection

    for _ in range(50):  # the port answers a moment before the server does
        with suppress(ConfigError):
            return await connection.connect(address, runtime=runtime)
        await asyncio.sleep(0.1)
    return await connection.connect(address, runtime=runtime)


async def _run(client: Client, pipeline: Pipeline, partition: Partition) -> bool:
    from temporalio.client import WorkflowFailureError
    from temporalio.worker import Worker

    from . import approvals, backfill, policies, worker

    loaded = _loaded(pipeline)
    async with Worker(
        client,
        task_queue=policies.task_queue(),
        workflows=loaded.workflows,
        activities=[*loaded.activities, *policies.ACTIVITIES, *approvals.ACTIVITIES],
        workflow_runner=worker.SANDBOX,
    ):
        name = f"{backfill.workflow_id(pipeline, partition)}-{uuid4().hex[:8]}"
        handle = await backfill.start(client, pipeline, partition, name, execution_timeout=longest(pipeline))
        try:
            await handle.result()
        except WorkflowFailureError as error:
            reason = getattr(error.cause, "cause", None) or error.cause
            logging.getLogger("temporalio").error("%s %s failed: %s", pipeline.name, partition, reason)
            return False
        except asyncio.CancelledError:
            await asyncio.shield(_give_up(handle))
            raise
        return True


def longest(pipeline: Pipeline) -> timedelta:
    """No run of `make run` lasts longer: the server then forgets one whose process was killed."""
    settings = pipeline.settings
    longest_step = settings.step_timeout_seconds + settings.retries.max_delay_seconds
    attempts = (settings.retries.attempts + 1) * len(pipeline.steps)
    return timedelta(seconds=settings.input_wait.timeout_seconds + longest_step * attempts, days=1)


async def _give_up(handle: WorkflowHandle) -> None:
    with suppress(Exception):
        await handle.terminate("make run was interrupted")


def _loaded(pipeline: Pipeline):
    from . import workflows

    file = f"workflows/{pipeline.name}.py"
    if not workflows.has_workflow(pipeline):
        raise ConfigError(f"{pipeline.name} has no workflow, so Temporal cannot run it: write {file}")
    try:
        return workflows.load(pipeline)
    except Exception as error:
        raise ConfigError(f"{file} cannot be imported: {type(error).__name__}: {error}") from error


def _log_to(path: Path) -> None:
    from . import telemetry

    handler = logging.StreamHandler(files.open_log(path))
    handler.setFormatter(platform_logging.formatter())
    logging.getLogger().addHandler(handler)
    telemetry.configure()
