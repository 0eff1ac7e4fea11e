"""What every flow has from the platform: retries, time-outs, the partition of a run, waiting, restarts, alerts.

The values come from the configuration; a flow names them once, at its top.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

from prefect import Flow, Task, runtime
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, State, TaskRun
from prefect.exceptions import Pause
from prefect.states import AwaitingRetry, Cancelled, Scheduled
from prefect.utilities.urls import url_for

from ...platform import alerts, config, errors, landing, pipelines
from ...platform.partitions import Partition
from ...platform.pipelines import Pipeline
from ...platform.runs import Run
from ...platform.runs import run_context as platform_run_context

WAITING = "AwaitingInput"  # name of the state of a run that comes back later
RESTARTED = "AwaitingRetry"
SKIPPED = "Skipped"  # name of the state of a run whose partition another orchestrator has
MOST_RETRIES = 50  # Prefect accepts no longer list of delays
# The step that failed last, by run: Prefect does not pass it to the hook of a run.
_failed_steps: dict[str, str] = {}


def task_options(pipeline: Pipeline, step: str) -> dict[str, Any]:
    """Options of the task of a step: retried after growing delays unless the error is permanent, timed out, not cached.

    Call such a task directly: one that is submitted runs in a thread, which no time-out can interrupt.
    """
    settings = config.load().for_step(pipeline.name, step)
    retries = settings.retries
    attempts = min(retries.attempts, MOST_RETRIES)
    delays = [min(retries.first_delay_seconds * retries.factor**n, retries.max_delay_seconds) for n in range(attempts)]
    return {
        "name": step,
        "retries": attempts,
        "retry_delay_seconds": delays or None,
        "retry_jitter_factor": retries.jitter or None,
        "retry_condition_fn": may_succeed_later,
        "timeout_seconds": settings.timeout_seconds,
        "on_failure": [remember_failed_step],
        "cache_policy": NO_CACHE,
        "persist_result": False,
    }


def waiting_options(pipeline: Pipeline, step: str) -> dict[str, Any]:
    """Options of the task that waits for input: its time-out is that of the wait."""
    seconds = pipeline.settings.input_wait.timeout_seconds + 60
    return task_options(pipeline, step) | {"timeout_seconds": seconds}


def may_succeed_later(task: Task, task_run: TaskRun, state: State) -> bool:
    """Whether a failed task is worth another attempt."""
    error = _error(state)
    return error is None or errors.is_transient(error)


@contextmanager
def run_context(pipeline: Pipeline, key: str) -> Iterator[Partition]:
    """The partition with this key; logs, metrics, alerts and claims of the body name this run and attempt."""
    run_id = runtime.flow_run.root_flow_run_id
    url = url_for("flow-run", UUID(run_id)) or ""
    run = Run(run_id, attempt=runtime.task_run.run_count, url=url, engine="prefect", one_process=True)
    with platform_run_context(run):
        yield pipeline.partition(key)


def partition_of_this_run() -> str:
    """Key of the partition that the current run is for."""
    run = runtime.flow_run
    return run.parameters.get("partition") or due(pipelines.get(run.flow_name), run.scheduled_start_time)


def partition_of(pipeline: Pipeline, run: FlowRun) -> str:
    """Key of the partition of a run known from the API: its parameter, else the one due at its scheduled start."""
    return run.parameters.get("partition") or due(pipeline, run.expected_start_time)


def due(pipeline: Pipeline, tick: datetime) -> str:
    """Key of the partition that a tick of the schedule is for."""
    return pipeline.due(datetime.fromtimestamp(tick.timestamp(), UTC)).key  # Prefect's are of a class of their own


def run_name() -> str:
    """Name of a run in the UI, such as ``flights_daily-2013-01-02``."""
    return f"{runtime.flow_run.flow_name}-{partition_of_this_run()}"


def come_back_when_ready(pipeline: Pipeline, key: str) -> None:
    """End this attempt while the input is missing; `operations` starts the run again when it is there.

    No worker is held meanwhile. The run looks once more when `input_wait.timeout_seconds` are over, and then raises
    InputNotReady. Does nothing without a deployment: nobody would start the run again, so the step itself waits.
    """
    run, partition = runtime.flow_run, pipeline.partition(key)
    if runtime.deployment.id is None or _is_ready(pipeline, partition):
        return
    missing = landing.of(pipeline).shown(partition) if pipeline.settings.landing.url else f"{pipeline.name} {key}"
    reason = f"no input: {missing} is not complete"
    give_up = run.scheduled_start_time + timedelta(seconds=pipeline.settings.input_wait.timeout_seconds)
    if datetime.now(UTC) >= give_up:
        _failed_steps[run.id] = pipeline.steps[0]
        raise errors.InputNotReady(reason)
    later = Scheduled(scheduled_time=give_up, name=WAITING, message=reason)
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(UUID(run.id), later)
    raise Pause(state=later)


def _is_ready(pipeline: Pipeline, partition: Partition) -> bool:
    """Whether the input is there. If the landing place does not answer, the task meets the error and is tried again."""
    try:
        return pipeline.code.input_ready(partition)
    except Exception as error:
        if errors.is_transient(error):
            return True
        raise


def remember_failed_step(task: Task, task_run: TaskRun, state: State) -> None:
    _failed_steps[runtime.flow_run.root_flow_run_id] = task.name


def report_failure(flow: Flow, flow_run: FlowRun, state: State) -> None:
    """Send the alert of a failed run. One whose partition another orchestrator has becomes a cancelled run instead."""
    error = _error(state)
    if isinstance(error, errors.PartitionElsewhere):
        with get_client(sync_client=True) as client:
            client.set_flow_run_state(flow_run.id, Cancelled(name=SKIPPED, message=str(error)), force=True)
        return
    report(flow.name, flow_run, state)


def report_crash(flow: Flow, flow_run: FlowRun, state: State) -> None:
    """Send the alert of a run whose process died, unless it belongs to a deployment: `operations` starts that again.

    Not here, as the worker says a moment later once more that the run has crashed, and would undo the restart.
    """
    if flow_run.deployment_id is None:
        report(flow.name, flow_run, state)


def report(name: str, run: FlowRun, state: State) -> None:
    """Send the alert of a run of that pipeline which ended in that state."""
    error = _error(state)
    alerts.report(
        alerts.Incident(
            kind="failed",
            pipeline=name,
            partition=partition_of(pipelines.get(name), run),
            step=_failed_steps.pop(str(run.id), ""),
            error=type(error).__name__ if error is not None else state.name,
            reason=str(error or state.message),
            run=run_of(run),
        )
    )


def run_of(run: FlowRun) -> Run:
    """A run known from the API, for alerts."""
    return Run(str(run.id), url=url_for(run) or "", engine="prefect")


def restart_or_report(client: SyncPrefectClient, pipeline: Pipeline, run: FlowRun) -> None:
    """Schedule the run again after a delay as before a retry; when it has been as often as a step would, report it."""
    before = restarts(client, run)
    if before >= pipeline.settings.retries.attempts or run.deployment_id is None:  # nobody would pick it up then
        report(pipeline.name, run, run.state)
        return
    when = datetime.now(UTC) + timedelta(seconds=pipeline.settings.retries.delay(before + 1))
    again = AwaitingRetry(scheduled_time=when, message="its process died; it starts again")
    client.set_flow_run_state(run.id, again, force=True)


def restarts(client: SyncPrefectClient, run: FlowRun) -> int:
    """How often a run has been started again after its process had died."""
    states = sorted(client.read_flow_run_states(run.id), key=lambda state: state.timestamp)
    return sum(state.name == RESTARTED and not then.is_crashed() for state, then in pairwise(states))


def _error(state: State) -> BaseException | None:
    result = state.result(raise_on_failure=False) if state.data is not None else None
    return result if isinstance(result, BaseException) else None
