"""What every flow has from the platform: retries, time-outs, limits, business date, waiting, restarts, alerts.

The values come from the configuration; a flow names them once, at its top.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from prefect import Flow, Task, runtime
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, State, TaskRun
from prefect.exceptions import Pause
from prefect.states import AwaitingRetry, Scheduled
from prefect.utilities.urls import url_for

from .platform import alerts, config, errors, steps

WAITING = "AwaitingInput"  # name of the state of a run that comes back later
RESTARTED = "AwaitingRetry"
WAREHOUSE = "warehouse"  # the shared system that steps work on: its limit stands in [concurrency]
MOST_RETRIES = 50  # Prefect takes no longer list of delays
# Step that failed last, by run: the run's hook is not told.
_failed_steps: dict[str, str] = {}


def task_options(pipeline: str, step: str) -> dict[str, Any]:
    """Options of the task of a step: retried after growing delays unless the error is permanent, timed out, limited.

    Call such a task directly: one that is submitted runs in a thread, which no time-out can interrupt.
    """
    settings = config.load().for_step(pipeline, step)
    retries = settings.retries
    attempts = min(retries.attempts, MOST_RETRIES)
    delays = [min(retries.first_delay_seconds * retries.factor**n, retries.max_delay_seconds) for n in range(attempts)]
    return {
        "name": step,
        "tags": [WAREHOUSE],
        "retries": attempts,
        "retry_delay_seconds": delays or None,
        "retry_jitter_factor": retries.jitter or None,
        "retry_condition_fn": may_succeed_later,
        "timeout_seconds": settings.timeout_seconds,
        "on_failure": [remember_failed_step],
        "cache_policy": NO_CACHE,
        "persist_result": False,
    }


def waiting_options(pipeline: str) -> dict[str, Any]:
    """Options of the task that waits for input: it has its own time-out, and takes no place on the warehouse."""
    seconds = config.load().for_pipeline(pipeline).input_wait.timeout_seconds + 60
    return task_options(pipeline, "wait_for_input") | {"tags": [], "timeout_seconds": seconds}


def may_succeed_later(task: Task, task_run: TaskRun, state: State) -> bool:
    """Whether a failed task is worth another attempt."""
    error = _error(state)
    return error is None or errors.is_transient(error)


@contextmanager
def run_context() -> Iterator[None]:
    """Names run and attempt in the logs, metrics and alerts of the step in the body."""
    run_id = runtime.flow_run.root_flow_run_id
    url = url_for("flow-run", UUID(run_id)) or ""
    with steps.run_context(run_id, attempt=runtime.task_run.run_count, run_url=url):
        yield


def business_date(parameters: Mapping[str, Any], scheduled_start: datetime, timezone: str) -> date:
    """The day a run is for: its parameter ``date``, else the day before its scheduled start in that time zone."""
    given = parameters.get("date")
    if given:
        return given if isinstance(given, date) else date.fromisoformat(given)
    return scheduled_start.astimezone(ZoneInfo(timezone)).date() - timedelta(days=1)


def day_of_this_run() -> date:
    run = runtime.flow_run
    return business_date(run.parameters, run.scheduled_start_time, _timezone(run.flow_name))


def day_of(pipeline: str, run: FlowRun) -> date:
    """The day that a run known from the API is for."""
    return business_date(run.parameters, run.expected_start_time, _timezone(pipeline))


def run_name() -> str:
    """Name of a run in the UI, such as ``flights_daily-2013-01-02``."""
    return f"{runtime.flow_run.flow_name}-{day_of_this_run()}"


def come_back_later(missing: Path) -> None:
    """End this attempt for want of that file; `prefect_operations` starts the run again when its input is there.

    No worker is held meanwhile. Raises InputNotReady when the run has waited long enough; it looks once more then.
    Without a deployment nobody would start it again, so then this does nothing.
    """
    run = runtime.flow_run
    if runtime.deployment.id is None:
        return
    settings = config.load()
    shown = missing.relative_to(settings.root) if missing.is_relative_to(settings.root) else missing
    reason = f"no input: {shown} is missing"
    wait = settings.for_pipeline(run.flow_name).input_wait
    give_up = run.scheduled_start_time + timedelta(seconds=wait.timeout_seconds)
    if datetime.now(UTC) >= give_up:
        raise errors.InputNotReady(reason)
    later = Scheduled(scheduled_time=give_up, name=WAITING, message=reason)
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(UUID(run.id), later)
    raise Pause(state=later)


def remember_failed_step(task: Task, task_run: TaskRun, state: State) -> None:
    _failed_steps[runtime.flow_run.root_flow_run_id] = task.name


def report_failure(flow: Flow, flow_run: FlowRun, state: State) -> None:
    """Send the alert of a failed run."""
    report(flow.name, flow_run, state)


def report(pipeline: str, run: FlowRun, state: State) -> None:
    """Send the alert of a run that ended in that state."""
    error = _error(state)
    alerts.report(
        "failed",
        pipeline=pipeline,
        partition=day_of(pipeline, run).isoformat(),
        step=_failed_steps.pop(str(run.id), ""),
        error=type(error).__name__ if error is not None else state.name,
        reason=str(error or state.message),
        run_id=str(run.id),
        run_url=url_for(run) or "",
    )


def report_crash(flow: Flow, flow_run: FlowRun, state: State) -> None:
    """Send the alert of a run whose process died, unless `prefect_operations` starts it again, as that of a deployment.

    Not here, as the worker says a moment later once more that the run has crashed, and would undo the restart.
    """
    if flow_run.deployment_id is None:
        report(flow.name, flow_run, state)


def restart_or_report(client: SyncPrefectClient, pipeline: str, run: FlowRun) -> None:
    """Schedule the run again after a delay as before a retry; when it has been as often as a step would, report it."""
    retries = config.load().for_pipeline(pipeline).retries
    states = sorted(client.read_flow_run_states(run.id), key=lambda state: state.timestamp)
    before = sum(state.name == RESTARTED and not then.is_crashed() for state, then in pairwise(states))
    if before >= retries.attempts or run.deployment_id is None:  # without a deployment nobody would pick it up
        report(pipeline, run, run.state)
        return
    when = datetime.now(UTC) + timedelta(seconds=retries.delay(before + 1))
    again = AwaitingRetry(scheduled_time=when, message="its process died; it starts again")
    client.set_flow_run_state(run.id, again, force=True)


def _timezone(pipeline: str) -> str:
    return config.load().for_pipeline(pipeline).schedule.timezone


def _error(state: State) -> BaseException | None:
    found = state.result(raise_on_failure=False) if state.data is not None else None
    return found if isinstance(found, BaseException) else None
