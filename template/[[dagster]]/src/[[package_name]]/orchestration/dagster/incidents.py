"""Alerts: runs that failed, runs that take longer than their SLA, tables that were not published in time."""

import json
import time
from collections import defaultdict
from datetime import UTC, datetime
from typing import NamedTuple

import dagster as dg

from ...platform import alerts, config, pipelines
from ...platform.alerts import Incident
from ...platform.runs import Run
from . import arrivals
from .instance import is_in_dagster_plus
from .partitions import key_of
from .policies import ONE_AT_A_TIME, STEP
from .warehouse import run_url

LOOK_SECONDS, TAG_SECONDS = 10, 5
WILL_RETRY = "dagster/will_retry"
# What Dagster wraps an error in, and we.
WRAPPERS = ("Failure", "DagsterExecutionStepExecutionError", "RetryRequestedFromPolicy")
FAILURES = {
    dg.DagsterEventType.ASSET_CHECK_EVALUATION,
    dg.DagsterEventType.STEP_FAILURE,
    dg.DagsterEventType.RUN_FAILURE,
}


class Cause(NamedTuple):
    """Why a run failed. error: class of the error."""

    step: str
    error: str
    reason: str


@dg.run_failure_sensor(minimum_interval_seconds=LOOK_SECONDS, default_status=dg.DefaultSensorStatus.RUNNING)
def report_failed_runs(context: dg.RunFailureSensorContext) -> None:
    """Each once, with the step that failed, when the run is still failed by the time this looks.

    The event may be outdated: a run that was killed is taken up again, and one whose process was started twice may have
    ended well.
    """
    run = settled(context.instance, context.dagster_run.run_id)
    if run is None or not run.is_failure or run.tags.get(WILL_RETRY) == "true":
        return
    step, error, reason = cause(context.instance, run.run_id)
    alerts.report(Incident("failed", pipeline_of(run), key_of(run), step, error, reason, _as_ours(run)))


def settled(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRun | None:
    """A run as it is now. Of one that failed Dagster says in a tag, a moment later, whether it takes it up again."""
    for _ in range(TAG_SECONDS):
        run = instance.get_run_by_id(run_id)
        if run is None or not run.is_failure or WILL_RETRY in run.tags or not instance.run_retries_enabled:
            return run
        time.sleep(1)
    return instance.get_run_by_id(run_id)


def cause(instance: dg.DagsterInstance, run_id: str) -> Cause:
    """The first failure of a run."""
    for entry in instance.all_logs(run_id, of_type=FAILURES):
        event = entry.dagster_event
        if event.is_step_failure:
            failure = event.step_failure_data
            error = failure.error
            while error and error.cause and error.cls_name in WRAPPERS:
                error = error.cause
            if error:
                step = _step(failure.user_failure_data.metadata if failure.user_failure_data else {}, event.step_key)
                message = error.message.partition(": ")[2].strip() or error.message
                return Cause(step, error.cls_name or "", message)
        elif event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            check = event.event_specific_data
            if not check.passed:
                step = _step(check.metadata, entry.step_key or check.check_name)
                return Cause(step, "ContractError", check.description or check.check_name)
        elif event.event_type is dg.DagsterEventType.RUN_FAILURE:
            return Cause("", "", event.message or "failed")
    return Cause("", "", "failed")


def _step(metadata: dict[str, dg.MetadataValue], otherwise: str) -> str:
    return str(metadata[STEP].value) if STEP in metadata else otherwise


@dg.sensor(minimum_interval_seconds=LOOK_SECONDS, default_status=dg.DefaultSensorStatus.RUNNING)
def report_late_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Runs that are over their SLA and go on, and those that ended over it since the last look."""
    now = time.time()
    since = datetime.fromtimestamp(_number(context.cursor, now), UTC)
    running = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])
    ended = dg.RunsFilter(statuses=[dg.DagsterRunStatus.SUCCESS], updated_after=since)
    late = 0
    for record in [*context.instance.get_run_records(running), *context.instance.get_run_records(ended)]:
        run = record.dagster_run
        sla = config.load().for_pipeline(pipeline_of(run)).sla_seconds
        took = (record.end_time or now) - (record.start_time or now)
        if took <= sla:
            continue
        late += 1
        reason = f"takes longer than {sla:g} s and continues" if record.end_time is None else f"took {took:.0f} s"
        alerts.report(Incident("late", pipeline_of(run), key_of(run), reason=reason, run=_as_ours(run)))
    context.update_cursor(str(now))
    return dg.SkipReason(f"{late} runs over their SLA")


@dg.sensor(minimum_interval_seconds=6 * LOOK_SECONDS, default_status=dg.DefaultSensorStatus.RUNNING)
def report_stale_tables(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Tables whose freshness policy fails since the last look: Dagster shows that, and sends it to nobody."""
    if is_in_dagster_plus(context.instance):
        return dg.SkipReason("Dagster+ reports stale tables itself: set an alert policy for freshness there")
    graph = context.repository_def.asset_graph
    watched = [key for key in graph.get_all_asset_keys() if graph.get(key).freshness_policy]
    records = context.instance.get_freshness_state_records(watched)
    states = {key.to_user_string(): record.freshness_state.value for key, record in records.items()}
    known = _states(context.cursor)
    stale = defaultdict(list)
    for key in records:
        name = key.to_user_string()
        if states[name] == "FAIL" and known.get(name) != "FAIL":
            stale[graph.get(key).group_name].append(name)
    for name, tables in stale.items():
        if name in pipelines.names():
            pipeline = pipelines.get(name)
            partition = pipeline.due(arrivals.last_tick(pipeline)).key
            reason = f"not published in time: {', '.join(sorted(tables))}"
            alerts.report(Incident("late", name, partition, reason=reason))
    context.update_cursor(json.dumps(states))
    return dg.SkipReason(f"{list(states.values()).count('FAIL')} of {len(watched)} tables are stale")


def pipeline_of(run: dg.DagsterRun) -> str:
    """The pipeline of a run: as its job says, or that of the assets which somebody has materialized without a job."""
    known = pipelines.names()
    for name in (run.job_name, run.tags.get(ONE_AT_A_TIME, "").split(" ")[0]):
        if name in known:
            return name
    keys = [key.path for key in run.asset_selection or ()]
    for name in known:
        if any(path[0] == name or path[-1] in pipelines.get(name).tables for path in keys):
            return name
    return run.job_name


def _as_ours(run: dg.DagsterRun) -> Run:
    return Run(run.run_id, url=run_url(run.run_id), engine="dagster", root=run.root_run_id or run.run_id)


def _number(cursor: str | None, otherwise: float) -> float:
    try:
        return float(cursor or otherwise)
    except ValueError:
        return otherwise


def _states(cursor: str | None) -> dict[str, str]:
    try:
        kept = json.loads(cursor or "{}")
    except ValueError:
        return {}
    return kept if isinstance(kept, dict) else {}
