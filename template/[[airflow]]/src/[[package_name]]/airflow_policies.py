"""What every DAG has from the platform: retries, time-outs, pools, the SLA, alerts, and the day a run is for.

The values come from the configuration; a DAG names pipeline and step, and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from airflow.sdk import (
    CronTriggerTimetable,
    DeadlineAlert,
    RetryDecision,
    RetryPolicy,
    SyncCallback,
    get_current_context,
)
from airflow.sdk.configuration import conf
from airflow.sdk.exceptions import AirflowSensorTimeout
from airflow.sdk.log import mask_secret

from .airflow_deadlines import RunQueuedAt
from .platform import alerts, config, masking, steps
from .platform.errors import InputNotReady, is_transient

POOL = "warehouse"  # `make up` makes a pool of each line of [concurrency]
SHORTEST_POLL_SECONDS = 5  # a wait that comes back before the executor has reported its last look counts as failed

masking.add_listener(mask_secret)


def schedule(pipeline: str) -> CronTriggerTimetable:
    """Ticks in the configured time zone; with no time to look back, switching a DAG on runs nothing that is past."""
    chosen = config.load().for_pipeline(pipeline).schedule
    return CronTriggerTimetable(chosen.cron, timezone=chosen.timezone, run_immediately=timedelta(0))


def sla(pipeline: str) -> list[DeadlineAlert]:
    """A run that takes longer than ``sla_seconds`` from when it is queued is reported, and goes on."""
    return [
        DeadlineAlert(
            name=f"{pipeline} is published",
            reference=RunQueuedAt(),
            interval=timedelta(seconds=config.load().for_pipeline(pipeline).sla_seconds),
            callback=SyncCallback(report_late),
        )
    ]


def step(pipeline: str, name: str, pool: str = POOL) -> dict[str, Any]:
    """Arguments of the task that runs this step. pool: the shared system it works on, a name of ``[concurrency]``."""
    chosen = config.load().for_step(pipeline, name)
    retries = chosen.retries
    return {
        "retries": retries.attempts,
        "retry_policy": ConfiguredRetries(retries),
        # For a task that was killed, and so asks no policy.
        "retry_delay": timedelta(seconds=retries.first_delay_seconds),
        "retry_exponential_backoff": retries.factor,
        "max_retry_delay": timedelta(seconds=retries.max_delay_seconds),
        "execution_timeout": timedelta(seconds=chosen.timeout_seconds),
        "on_failure_callback": report_failed,
        "pool": pool,
        "weight_rule": "upstream",  # a day that has begun goes before one that has not
    }


def wait(pipeline: str, name: str) -> dict[str, Any]:
    """Arguments of a sensor that frees its place between two looks, and shares no system."""
    chosen = config.load().for_pipeline(pipeline).input_wait
    return step(pipeline, name, pool="default_pool") | {
        "mode": "reschedule",
        "poke_interval": max(chosen.poll_seconds, SHORTEST_POLL_SECONDS),
        "timeout": chosen.timeout_seconds,
    }


@dataclass(frozen=True)
class ConfiguredRetries(RetryPolicy):
    """Retries what may pass, after the delays of ``[retries]``, and fails at once on what is permanent."""

    retries: config.Retries

    def evaluate(self, exception: BaseException, try_number: int, max_tries: int, context: Any = None) -> RetryDecision:
        if not is_transient(exception):
            return RetryDecision.fail(f"{type(exception).__name__} is permanent")
        return RetryDecision.retry(timedelta(seconds=self.retries.delay(try_number)))


def business_date(dag_run: Any) -> date:
    """The day given to a manual run as ``date``, else the one before the run's tick where the schedule is kept."""
    return _business_date(dag_run.dag_id, dag_run.conf, dag_run.run_after)


def _business_date(pipeline: str, given: Mapping[str, Any] | None, run_after: datetime) -> date:
    if day := (given or {}).get("date"):
        return date.fromisoformat(day)
    zone = ZoneInfo(config.load().for_pipeline(pipeline).schedule.timezone)
    return run_after.astimezone(zone).date() - timedelta(days=1)


@contextmanager
def run_context() -> Iterator[None]:
    """Logs, metrics and alerts of the step in the body name Airflow's run and attempt."""
    task = get_current_context()["ti"]
    with steps.run_context(run_id=task.run_id, attempt=task.try_number, run_url=_url(task.dag_id, task.run_id)):
        yield


def report_failed(context: Mapping[str, Any]) -> None:
    """The alert of a failed run, for each of its tasks and for the DAG; only the first one is sent.

    The task knows its error. A task whose process was killed reports nothing, and then the DAG does.
    """
    run, error = context["dag_run"], context.get("exception")
    if isinstance(error, AirflowSensorTimeout):
        error = InputNotReady(f"the input has not arrived; {error}")
    alerts.report(
        "failed",
        pipeline=run.dag_id,
        partition=business_date(run).isoformat(),
        step=context["ti"].task_id,
        error=type(error).__name__ if isinstance(error, BaseException) else "",
        reason=str(error or "the task ended without a word, as one does that is killed; its log may tell more"),
        run_id=run.run_id,
        run_url=_url(run.dag_id, run.run_id),
    )


def report_late(context: Mapping[str, Any]) -> None:
    """The alert of a missed SLA; the run may still go on. Runs of a backfill wait for each other and have no SLA."""
    run = context["dag_run"]
    if run["run_type"] == "backfill":
        return
    pipeline, run_id = run["dag_id"], run["dag_run_id"]
    seconds = config.load().for_pipeline(pipeline).sla_seconds
    alerts.report(
        "late",
        pipeline=pipeline,
        partition=_business_date(pipeline, run["conf"], datetime.fromisoformat(run["run_after"])).isoformat(),
        reason=f"not published {seconds:,.0f} s after its start; the run goes on",
        run_id=run_id,
        run_url=_url(pipeline, run_id),
    )


def _url(dag_id: str, run_id: str) -> str:
    server = conf.get("api", "base_url", fallback="http://127.0.0.1:8080")
    return f"{server.rstrip('/')}/dags/{dag_id}/runs/{quote(run_id)}"
