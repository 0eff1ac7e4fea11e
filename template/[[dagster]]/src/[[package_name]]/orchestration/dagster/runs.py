"""Runs: one in this process, as `make run` does, and those that Dagster knows.

Runs in this process are kept in the instance of `make up` too, so that its UI shows them and its sensors know of them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from datetime import UTC, datetime
from functools import partial

import dagster as dg

from ...platform import files
from ...platform.errors import ConfigError
from ...platform.partitions import Partition
from ...platform.pipelines import Pipeline
from ..engine import InProcess, RunState
from . import incidents
from .instance import opened
from .instance import state as state_folder
from .partitions import argument, key_of
from .warehouse import INTERRUPTED, SKIPPED, run_url

STATES = {
    dg.DagsterRunStatus.SUCCESS: "success",
    dg.DagsterRunStatus.FAILURE: "failed",
    dg.DagsterRunStatus.CANCELED: "failed",
    dg.DagsterRunStatus.STARTED: "running",
    dg.DagsterRunStatus.CANCELING: "running",
}


@contextmanager
def in_process() -> Iterator[InProcess]:
    """What runs partitions in this process; lines of Dagster and of the steps go to its own log."""
    from ...definitions import defs

    with opened() as instance:
        yield partial(_run, defs(), instance)


def newest(pipeline: Pipeline, limit: int) -> list[RunState]:
    """The newest runs of a pipeline, from the database, whether the services are up or not."""
    with opened() as instance:
        records = instance.get_run_records(dg.RunsFilter(job_name=pipeline.name), limit=limit)
        return [as_state(instance, record) for record in records]


def as_state(instance: dg.DagsterInstance, record: dg.RunRecord) -> RunState:
    """A run as the project's command shows it."""
    run = record.dagster_run
    state = "queued" if _is_taken_up_again(run) else STATES.get(run.status, "queued")
    if run.status is dg.DagsterRunStatus.CANCELED and SKIPPED in run.tags:
        state = "skipped"
    nothing = incidents.Cause("", "", run.tags.get(SKIPPED, ""))
    step, _, reason = incidents.cause(instance, run.run_id) if state == "failed" else nothing
    return RunState(
        id=run.run_id,
        pipeline=incidents.pipeline_of(run),
        partition=key_of(run),
        state=state,
        started=_instant(record.start_time),
        ended=_instant(record.end_time),
        reason=f"{step}: {reason}" if step else reason,
        url=run_url(run.run_id),
    )


def has_ended_for_good(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether nothing follows: a run that was killed is taken up again as another run."""
    if run.is_failure:
        run = incidents.settled(instance, run.run_id)
    return run.is_finished and not _is_taken_up_again(run)


def _is_taken_up_again(run: dg.DagsterRun) -> bool:
    return run.is_failure and run.tags.get(incidents.WILL_RETRY) == "true"


def _run(definitions: dg.Definitions, instance: dg.DagsterInstance, pipeline: Pipeline, partition: Partition) -> bool:
    job = _job(definitions, pipeline)
    key = argument(partition)
    if key and not job.partitions_def.has_partition_key(key):
        first = job.partitions_def.get_first_partition_key()
        raise ConfigError(
            f"{key} is no partition on Dagster: the first is {first} (start in defs/{pipeline.name}.py), and the last "
            "is the newest one that has ended"
        )
    _wait_for_input(pipeline, partition)
    with files.open_log(state_folder() / "run.log") as log, redirect_stderr(log):
        result = job.execute_in_process(partition_key=key, instance=instance, raise_on_error=False)
    failures = [event.step_failure_data.user_failure_data for event in result.get_step_failure_events()]
    if any(failure and failure.description == INTERRUPTED for failure in failures):
        raise KeyboardInterrupt
    return result.success


def _job(definitions: dg.Definitions, pipeline: Pipeline) -> dg.JobDefinition:
    try:
        return definitions.resolve_job_def(pipeline.name)
    except dg.DagsterInvariantViolationError:
        raise ConfigError(f"no file in defs/ defines a job named {pipeline.name}") from None


def _wait_for_input(pipeline: Pipeline, partition: Partition) -> None:
    """What the sensor does for runs of the services. The run refuses an input that has not come by then."""
    wait = pipeline.settings.input_wait
    deadline = time.monotonic() + wait.timeout_seconds
    is_ready = getattr(pipeline.code, "input_ready", lambda _: True)
    while not is_ready(partition) and (left := deadline - time.monotonic()) > 0:
        time.sleep(min(wait.poll_seconds, left))


def _instant(seconds: float | None) -> datetime | None:
    return datetime.fromtimestamp(seconds, UTC) if seconds else None
