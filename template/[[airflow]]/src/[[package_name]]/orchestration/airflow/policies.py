"""What every DAG has from the platform: schedule, retries, time-outs, pools, the SLA, alerts, and the run's partition.

The values come from the configuration; a DAG names pipeline and step.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from airflow.sdk import DeadlineAlert, RetryDecision, RetryPolicy, SyncCallback, get_current_context
from airflow.sdk.configuration import conf
from airflow.sdk.exceptions import AirflowSensorTimeout, AirflowSkipException
from airflow.sdk.log import mask_secret

from ...platform import alerts, config, landing, masking, pipelines
from ...platform.errors import InputNotReady, PartitionElsewhere, is_transient
from ...platform.partitions import Partition
from ...platform.pipelines import Pipeline
from ...platform.runs import Run, run_context
from .deadlines import RunQueuedAt
from .partitions import of_run
from .timetable import PartitionTimetable

ENGINE = "airflow"
POOL = "warehouse"  # `make up` makes a pool of each line of [concurrency]
SHORTEST_POLL_SECONDS = 5  # a wait that comes back before the executor has reported its last look counts as failed
ONE_PROCESS = False  # whether this process runs all tasks of a run, as `make run` does

masking.add_listener(mask_secret)


def schedule(pipeline: Pipeline) -> PartitionTimetable:
    """When runs of the pipeline are due, and for which partition; never where another orchestrator schedules it."""
    settings = pipeline.settings
    cron = settings.schedule.cron if settings.orchestrator == ENGINE else ""
    return PartitionTimetable(pipeline.grain, cron, settings.schedule.timezone)


def sla(pipeline: Pipeline) -> list[DeadlineAlert]:
    """A run that takes longer than ``sla_seconds`` from when it is queued is reported, and continues."""
    return [
        DeadlineAlert(
            name=f"{pipeline.name} is published",
            reference=RunQueuedAt(),
            interval=timedelta(seconds=pipeline.settings.sla_seconds),
            callback=SyncCallback(report_late),
        )
    ]


def step(pipeline: Pipeline, name: str, pool: str = POOL) -> dict[str, Any]:
    """Arguments of the task that runs this step. pool: the shared system it works on, a name of ``[concurrency]``."""
    chosen = config.load().for_step(pipeline.name, name)
    retries = chosen.retries
    return {
        "retries": retries.attempts,
        "retry_policy": ConfiguredRetries(retries),
        # For a task whose process was killed, and so asks no policy.
        "retry_delay": timedelta(seconds=retries.first_delay_seconds),
        "retry_exponential_backoff": retries.factor,
        "max_retry_delay": timedelta(seconds=retries.max_delay_seconds),
        "execution_timeout": timedelta(seconds=chosen.timeout_seconds),
        "on_failure_callback": report_failed,
        "pool": pool,
        "weight_rule": "upstream",  # a partition that has begun goes before one that has not
    }


def wait(pipeline: Pipeline, name: str) -> dict[str, Any]:
    """Arguments of a sensor that frees its place between two looks, and uses no shared system."""
    chosen = pipeline.settings.input_wait
    return step(pipeline, name, pool="default_pool") | {
        "mode": "reschedule",
        "poke_interval": max(chosen.poll_seconds, SHORTEST_POLL_SECONDS),
        "timeout": chosen.timeout_seconds,
    }


@contextmanager
def partition_of_run(pipeline: Pipeline) -> Iterator[Partition]:
    """The partition of the run that this task belongs to; logs, metrics and alerts of the body name the run.

    A task whose partition another orchestrator has is skipped, and so are those after it.
    """
    context = get_current_context()
    task, dag_run = context["ti"], context["dag_run"]
    run = Run(task.run_id, task.try_number, _url(dag_run.dag_id, task.run_id), ENGINE, one_process=ONE_PROCESS)
    with run_context(run):
        try:
            yield of_run(pipeline, dag_run.partition_key, dag_run.conf, dag_run.run_after)
        except PartitionElsewhere as error:
            raise AirflowSkipException(str(error)) from error


@dataclass(frozen=True)
class ConfiguredRetries(RetryPolicy):
    """Retries an error that may pass, after the delays of ``[retries]``. Fails at once on a permanent error."""

    retries: config.Retries

    def evaluate(self, exception: BaseException, try_number: int, max_tries: int, context: Any = None) -> RetryDecision:
        if not is_transient(exception):
            return RetryDecision.fail(f"{type(exception).__name__} is permanent")
        return RetryDecision.retry(timedelta(seconds=self.retries.delay(try_number)))


def report_failed(context: Mapping[str, Any]) -> None:
    """Send the alert of a failed run. Each task and the DAG call this; only the first call sends it.

    The task knows its error. A task whose process was killed calls nothing; the DAG then sends the alert.
    """
    run, error = context["dag_run"], context.get("exception")
    if isinstance(error, AirflowSensorTimeout):
        error = not_ready(pipelines.get(run.dag_id), _key(run.dag_id, run.partition_key, run.conf, run.run_after))
    killed = "the task's process was killed, so there is no error message; the most common cause is memory"
    alerts.report(
        alerts.Incident(
            kind="failed",
            pipeline=run.dag_id,
            partition=_key(run.dag_id, run.partition_key, run.conf, run.run_after),
            step=context["ti"].task_id,
            error=type(error).__name__ if isinstance(error, BaseException) else "",
            reason=str(error or killed),
            run=Run(run.run_id, url=_url(run.dag_id, run.run_id), engine=ENGINE),
        )
    )


def report_late(context: Mapping[str, Any]) -> None:
    """Send the alert of a missed SLA. The run may continue. Runs of a backfill wait for each other and have no SLA."""
    run = context["dag_run"]
    if run["run_type"] == "backfill":
        return
    name, run_id = run["dag_id"], run["dag_run_id"]
    seconds = pipelines.get(name).settings.sla_seconds
    alerts.report(
        alerts.Incident(
            kind="late",
            pipeline=name,
            partition=_key(name, run.get("partition_key"), run["conf"], datetime.fromisoformat(run["run_after"])),
            reason=f"not published {seconds:,.0f} s after its start; the run continues",
            run=Run(run_id, url=_url(name, run_id), engine=ENGINE),
        )
    )


def not_ready(pipeline: Pipeline, key: str) -> InputNotReady:
    """The error of a run whose wait has timed out. Airflow itself says only that its sensor timed out."""
    settings, partition, place = pipeline.settings, pipeline.partition(key), key
    if settings.landing.url:
        place = landing.of(pipeline).shown(partition, settings.landing.marker)
    elif settings.providers:
        from ...platform import providers  # which loads what no other task needs

        place = " and ".join(each.describe(pipeline, partition) for each in providers.of(pipeline))
    return InputNotReady(f"no input: {place} has not arrived after {settings.input_wait.timeout_seconds:,.0f} s")


def _key(name: str, key: str | None, given: Mapping[str, Any] | None, run_after: datetime) -> str:
    return of_run(pipelines.get(name), key, given, run_after).key


def _url(dag_id: str, run_id: str) -> str:
    server = conf.get("api", "base_url", fallback="http://127.0.0.1:8080")
    return f"{server.rstrip('/')}/dags/{dag_id}/runs/{quote(run_id)}"
