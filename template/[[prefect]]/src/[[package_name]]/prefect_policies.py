"""What every flow has from the platform: retries, time-outs, business date, waiting, alerts.

The values come from the settings; a flow names them once, at its top.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from prefect import Flow, Task, runtime
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun, State, TaskRun
from prefect.exceptions import Pause
from prefect.states import Scheduled
from prefect.utilities.urls import url_for

from .platform import alerts, config, secrets
from .platform.errors import InputNotReady, PermanentError

NOT_RETRIED = (PermanentError, InputNotReady, config.ConfigError, secrets.SecretError)
MOST_RETRIES = 50  # Prefect takes no longer list of delays
JITTER = 0.2  # of a delay, either way, so that what failed together does not come back together


def task_options(settings: config.Settings) -> dict[str, Any]:
    """Options of a task: retried after growing delays unless the error is permanent, timed out, never cached.

    Call such a task directly: one that is submitted runs in a thread, which no time-out can interrupt.
    """
    retries = settings.retries
    attempts = min(retries.attempts, MOST_RETRIES)
    delays = [min(retries.first_delay_seconds * retries.factor**n, retries.max_delay_seconds) for n in range(attempts)]
    return {
        "retries": attempts,
        "retry_delay_seconds": delays or None,
        "retry_jitter_factor": JITTER,
        "retry_condition_fn": may_succeed_later,
        "timeout_seconds": settings.step_timeout_seconds,
        "cache_policy": NO_CACHE,
        "persist_result": False,
    }


def may_succeed_later(task: Task, task_run: TaskRun, state: State) -> bool:
    """Whether a failed task is worth another attempt."""
    return not isinstance(_error(state), NOT_RETRIED)


def business_date(parameters: Mapping[str, Any], scheduled_start: datetime, timezone: str) -> date:
    """The day a run is for: its parameter ``date``, else the day before its scheduled start in that time zone."""
    given = parameters.get("date")
    if given:
        return given if isinstance(given, date) else date.fromisoformat(given)
    return scheduled_start.astimezone(ZoneInfo(timezone)).date() - timedelta(days=1)


def day_of_this_run(settings: config.Settings) -> date:
    run = runtime.flow_run
    return business_date(run.parameters, run.scheduled_start_time, settings.schedule.timezone)


def run_name() -> str:
    """Name of a run in the UI, such as ``flights_daily-2013-01-02``."""
    return f"{runtime.flow_run.flow_name}-{day_of_this_run(config.load())}"


def come_back_later(wait: config.InputWait, reason: str) -> None:
    """End this attempt and let the server start the run again after the poll interval: no worker is held meanwhile.

    Raises InputNotReady when the run has waited long enough. Without a deployment nobody would start it again, so then
    this does nothing.
    """
    if runtime.deployment.id is None:
        return
    now = datetime.now(UTC)
    if now - runtime.flow_run.scheduled_start_time > timedelta(seconds=wait.timeout_seconds):
        raise InputNotReady(reason)
    later = Scheduled(scheduled_time=now + timedelta(seconds=wait.poll_seconds), name="AwaitingInput", message=reason)
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(runtime.flow_run.id, later)
    raise Pause(state=later)


@contextmanager
def sla(pipeline: str, day: date, seconds: float) -> Iterator[None]:
    """Report the body while it runs longer than that; it goes on."""
    reason = f"not published {seconds:,.0f} s after its start; the run goes on"
    timer = threading.Timer(seconds, alerts.run_late, (pipeline, day.isoformat(), reason))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def report_failure(flow: Flow, flow_run: FlowRun, state: State) -> None:
    """Send the alert of a failed or crashed run."""
    settings = config.load()
    day = business_date(flow_run.parameters, flow_run.expected_start_time, settings.schedule.timezone)
    reason = str(_error(state) or state.message)
    alerts.run_failed(flow.name, day.isoformat(), reason, url_for(flow_run) or "")


def _error(state: State) -> Any:
    return state.result(raise_on_failure=False) if state.data is not None else None
