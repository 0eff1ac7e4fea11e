"""What every workflow has from the platform: time-outs, retries, the partition of a run, waiting, alerts.

The values come from the configuration; a workflow names them once, at its top. Workflows import this module outside of
their sandbox, so `watched_run`, the only part that runs inside of a workflow, must do the same on every replay.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from temporalio import activity, workflow
from temporalio.common import RetryPolicy, SearchAttributeKey
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    ApplicationErrorCategory,
    CancelledError,
    FailureError,
    is_cancelled_exception,
)
from temporalio.exceptions import TimeoutError as ActivityTimeoutError

from ...platform import alerts, config, pipelines
from ...platform.errors import PartitionElsewhere
from ...platform.pipelines import Pipeline
from ...platform.runs import Run, progress_kept
from . import connection, processes
from .processes import Failure, Work

PIPELINE = SearchAttributeKey.for_keyword("pipeline")
PARTITION = SearchAttributeKey.for_keyword("partition")
ENVIRONMENT = SearchAttributeKey.for_keyword("env")
SEARCH_ATTRIBUTES = (PIPELINE, PARTITION, ENVIRONMENT)
SCHEDULED = SearchAttributeKey.for_datetime("TemporalScheduledStartTime")  # the tick, however late the run starts

HEARTBEAT_SECONDS = 30  # a worker that says nothing for so long is gone, and the step starts on another one
QUEUE = timedelta(days=7)  # that a step may wait for a worker, with all its attempts
LOOK_SECONDS = 120  # for one look for the input
SLACK_SECONDS = 30  # the server waits so much longer than the worker, which ends a step at its time-out
SHORTEST_SECONDS = 0.1  # Temporal takes no pause of 0
STARTED_ALONE = "TEMPORAL_TASK_QUEUE"  # set by `make run`: the one queue of its process


@dataclass
class Report:
    """What `report_incident` takes, see `alerts.Incident`."""

    kind: str
    pipeline: str
    partition: str
    step: str = ""
    error: str = ""
    reason: str = ""


def task_queue(system: str = "") -> str:
    """Name of the queue for steps that use a system of ``[concurrency]``; without one, of workflows and other steps."""
    whole = os.environ.get(STARTED_ALONE)
    return whole or "-".join(part for part in (connection.project(), config.environment(), system) if part)


def activity_options(pipeline: Pipeline) -> dict[str, dict[str, Any]]:
    """Options of each step's activity: ended at its time-out, and tried again after growing pauses."""
    return {
        step: _waiting(pipeline) if step == "wait_for_input" else _of_step(pipeline, step) for step in pipeline.steps
    }


def _of_step(pipeline: Pipeline, step: str) -> dict[str, Any]:
    settings = config.load().for_step(pipeline.name, step)
    retries = settings.retries
    return {
        "start_to_close_timeout": timedelta(seconds=settings.timeout_seconds + SLACK_SECONDS),
        "schedule_to_close_timeout": QUEUE,
        "heartbeat_timeout": timedelta(seconds=HEARTBEAT_SECONDS),
        # The pauses of what the server itself notices: a worker that is gone. After an error see `_application_error`.
        "retry_policy": RetryPolicy(
            initial_interval=timedelta(seconds=max(retries.first_delay_seconds, SHORTEST_SECONDS)),
            backoff_coefficient=retries.factor,
            maximum_interval=timedelta(seconds=max(retries.max_delay_seconds, SHORTEST_SECONDS)),
            maximum_attempts=retries.attempts + 1,
        ),
    }


def _waiting(pipeline: Pipeline) -> dict[str, Any]:
    """The server asks a worker every ``poll_seconds``; in between, the run takes no place."""
    wait = pipeline.settings.input_wait
    return {
        "start_to_close_timeout": timedelta(seconds=LOOK_SECONDS + SLACK_SECONDS),
        "schedule_to_close_timeout": timedelta(seconds=wait.timeout_seconds + LOOK_SECONDS) + QUEUE,
        "heartbeat_timeout": timedelta(seconds=HEARTBEAT_SECONDS),
        "retry_policy": RetryPolicy(
            initial_interval=timedelta(seconds=max(wait.poll_seconds, SHORTEST_SECONDS)), backoff_coefficient=1
        ),
    }


async def run_step(pipeline: Pipeline, step: str, key: str, root: str = "", **options: Any) -> dict[str, int]:
    """Run a step of a partition as the current activity. Returns its rows by kind.

    options: of the step's function, such as the part of a partition that one of many activities works on.
    root: the run that has started the current one as its child. Raises ApplicationError, which says whether another
    attempt may succeed, and after which pause.
    """
    seconds = config.load().for_step(pipeline.name, step).timeout_seconds
    return await _work(pipeline, Work(pipeline.name, step, key, _run(root), options=options), seconds) or {}


def can_wait() -> bool:
    """Whether a run may wait for days: not in `make run`, whose process is its only worker."""
    return STARTED_ALONE not in os.environ


async def look_for_input(pipeline: Pipeline, step: str, key: str) -> None:
    """Return when the partition's input is there, else have the server ask again after ``poll_seconds``.

    Fails for good when ``input_wait.timeout_seconds`` are over.
    """
    wait, waited = pipeline.settings.input_wait, datetime.now(UTC) - activity.info().scheduled_time
    left = wait.timeout_seconds - waited.total_seconds()
    work = Work(pipeline.name, step, key, _run(), looks=True, last=left <= 0)
    if await _work(pipeline, work, LOOK_SECONDS) is None:
        raise ApplicationError(
            "the input is not there yet",
            type="InputNotReady",
            category=ApplicationErrorCategory.BENIGN,
            next_retry_delay=timedelta(seconds=max(min(wait.poll_seconds, left), SHORTEST_SECONDS)),
        )


async def _work(pipeline: Pipeline, work: Work, seconds: float) -> dict[str, int] | None:
    try:
        if STARTED_ALONE in os.environ:
            return await _in_thread(work, seconds)
        return await processes.run(work, seconds, activity.heartbeat)
    except Failure as failure:
        if failure.error == PartitionElsewhere.__name__:  # the run then ends as cancelled, see `watched_run`
            info = activity.info()
            handle = activity.client().get_workflow_handle(info.workflow_id or "", run_id=info.workflow_run_id)
            await handle.cancel(reason=f"{failure.error}: {failure.reason}")
        raise _application_error(pipeline, work, failure) from None
    except asyncio.CancelledError:
        if activity.is_worker_shutdown():
            stopped = Failure("WorkerStopped", f"the worker stopped during {work.step}", True)
            raise _application_error(pipeline, work, stopped) from None
        raise


async def _in_thread(work: Work, seconds: float) -> dict[str, int] | None:
    """As `make run` does it, which shows the steps as they end. No thread can be ended, so a time-out is final."""
    noted = [work.run.progress]
    with progress_kept(noted.append):
        task = asyncio.create_task(asyncio.to_thread(work))
    try:
        while not task.done():
            activity.heartbeat(noted[-1])
            seconds -= processes.BEAT_SECONDS
            if seconds < -processes.BEAT_SECONDS:
                raise Failure("TimeoutError", f"{work.step} takes longer than its time-out", False)
            await asyncio.wait([task], timeout=min(processes.BEAT_SECONDS, max(seconds, SHORTEST_SECONDS)))
        activity.heartbeat(noted[-1])
        return task.result()
    except Failure:
        raise
    except Exception as error:
        raise Failure.of(error) from error


def _application_error(pipeline: Pipeline, work: Work, failure: Failure) -> ApplicationError:
    """The failure in Temporal's terms. The pause before the next attempt has the jitter that a policy cannot have."""
    if work.looks:
        pause = pipeline.settings.input_wait.poll_seconds
    else:
        pause = config.load().for_step(pipeline.name, work.step).retries.delay(activity.info().attempt)
    return ApplicationError(
        failure.reason,
        type=failure.error,
        non_retryable=not failure.transient,
        next_retry_delay=timedelta(seconds=max(pause, SHORTEST_SECONDS)) if failure.transient else None,
    )


def _run(root: str = "") -> Run:
    """The run of the current activity. root: the one that has started it, where it is a child."""
    info = activity.info()
    [progress] = list(info.heartbeat_details)[:1] or [None]
    return Run(
        info.workflow_run_id or "",
        attempt=info.attempt,
        url=connection.run_url(info.workflow_id or "", info.workflow_run_id or ""),
        engine="temporal",
        root=root,
        one_process=STARTED_ALONE in os.environ,
        progress=progress,
    )


@activity.defn
async def partition_due(pipeline: str, tick: str) -> str:
    """Key of the partition that a tick of the schedule is for.

    An activity, as the configuration may change while a run goes on, and a replay must find what the run began with.
    """
    return pipelines.get(pipeline).due(datetime.fromisoformat(tick)).key


@activity.defn
async def report_incident(report: Report) -> None:
    """Send the alert of a run. Temporal tries again while a receiver does not answer; each gets it once."""
    incident = alerts.Incident(**vars(report), run=_run())
    delivered = await asyncio.to_thread(alerts.report, incident)
    if not delivered and config.load().for_pipeline(report.pipeline).alerts.urls:
        raise ApplicationError("the alert was not delivered", type="AlertNotDelivered")


ACTIVITIES = (partition_due, report_incident)


@asynccontextmanager
async def watched_run(pipeline: Pipeline, partition: str | None) -> AsyncIterator[str]:
    """Watch the steps of a run, the body: report it when it fails, and when it is not done after ``sla_seconds``.

    Yields the key of the partition: the given one, else that of the schedule's tick.
    """
    key = partition or await _due(pipeline)
    values = {PIPELINE: pipeline.name, PARTITION: key, ENVIRONMENT: config.environment()}
    workflow.upsert_search_attributes([attribute.value_set(value) for attribute, value in values.items()])
    watch = asyncio.create_task(_report_when_late(pipeline, key))
    try:
        yield key
    except Exception as error:
        if is_cancelled_exception(error):
            raise  # somebody's wish
        if _cause(error)[2] == PartitionElsewhere.__name__:
            raise CancelledError("another orchestrator has the partition") from error  # as the step has asked for
        await _report(_failed(pipeline, key, error))
        if isinstance(error, FailureError):
            raise
        # An error of the workflow's own code: Temporal would try again for ever, and nobody would know.
        raise ApplicationError(f"{type(error).__name__}: {error}", type=type(error).__name__) from error
    finally:
        watch.cancel()


async def _due(pipeline: Pipeline) -> str:
    info = workflow.info()
    tick = info.typed_search_attributes.get(SCHEDULED) or info.start_time
    return await workflow.execute_local_activity(
        partition_due,
        args=[pipeline.name, tick.isoformat()],
        start_to_close_timeout=timedelta(seconds=LOOK_SECONDS),
        schedule_to_close_timeout=QUEUE,
    )


async def _report_when_late(pipeline: Pipeline, key: str) -> None:
    seconds = pipeline.settings.sla_seconds
    await asyncio.sleep(seconds)
    reason = f"not published within {seconds:,.0f} s; the run continues"
    await _report(Report("late", pipeline.name, key, reason=reason), within=timedelta(hours=1))


async def _report(report: Report, within: timedelta = timedelta(minutes=2)) -> None:
    """Send an alert, again and again within this time: a failed run does not end before."""
    try:
        await workflow.execute_activity(
            report_incident,
            report,
            task_queue=task_queue(),
            start_to_close_timeout=timedelta(minutes=1),
            schedule_to_close_timeout=within,
            retry_policy=RetryPolicy(initial_interval=timedelta(seconds=5), maximum_interval=timedelta(minutes=5)),
        )
    except ActivityError as error:
        if not is_cancelled_exception(error):  # else the run has ended meanwhile
            workflow.logger.error("alert not sent: %s", error.cause)


def _failed(pipeline: Pipeline, key: str, error: Exception) -> Report:
    step, cause, name = _cause(error)
    reason = cause.message if isinstance(cause, FailureError) else f"{name}: {cause}"
    return Report("failed", pipeline.name, key, step=step, error=name, reason=reason)


def _cause(error: Exception) -> tuple[str, BaseException, str]:
    """The step that failed, its error, and the name of the error's class."""
    step, cause = "", error
    if isinstance(error, ActivityError):
        step, cause = error.activity_type.rpartition(".")[2], error.cause or error
    name = type(cause).__name__
    if isinstance(cause, ApplicationError):
        name = cause.type or name
    elif isinstance(cause, ActivityTimeoutError):
        name = "TimeoutError"
    return step, cause, name
