"""Alerts: runs that failed, runs that take longer than their SLA, tables that were not published in time."""

import json
import time
from collections import defaultdict
from datetime import UTC, datetime

import dagster as dg

from ..platform import alerts, config
from . import arrivals
from .warehouse import run_url

LOOK_SECONDS, TAG_SECONDS = 10, 5
WILL_RETRY = "dagster/will_retry"
# What Dagster wraps an error in.
WRAPPERS = ("Failure", "DagsterExecutionStepExecutionError", "RetryRequestedFromPolicy")
FAILURES = {
    dg.DagsterEventType.ASSET_CHECK_EVALUATION,
    dg.DagsterEventType.STEP_FAILURE,
    dg.DagsterEventType.RUN_FAILURE,
}


@dg.run_failure_sensor(minimum_interval_seconds=LOOK_SECONDS, default_status=dg.DefaultSensorStatus.RUNNING)
def report_failed_runs(context: dg.RunFailureSensorContext) -> None:
    """Each once, with the step that failed; a run that was killed and is taken up again is none."""
    run = context.dagster_run
    if _is_taken_up_again(context.instance, run.run_id):
        return
    step, error, reason = cause(context.instance, run.run_id)
    alerts.report(
        "failed",
        pipeline=run.job_name,
        partition=run.tags.get("dagster/partition", ""),
        step=step,
        error=error,
        reason=reason,
        run_id=run.run_id,
        run_url=run_url(run.run_id),
    )


def _is_taken_up_again(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Dagster says so in a tag, a moment after the failure."""
    for _ in range(TAG_SECONDS):
        said = instance.get_run_by_id(run_id).tags.get(WILL_RETRY)
        if said or not instance.run_retries_enabled:
            return said == "true"
        time.sleep(1)
    return False


def cause(instance: dg.DagsterInstance, run_id: str) -> tuple[str, str, str]:
    """Step, class of the error, and message of a run's first failure."""
    for entry in instance.all_logs(run_id, of_type=FAILURES):
        event = entry.dagster_event
        if event.is_step_failure:
            error = event.step_failure_data.error
            while error and error.cause and error.cls_name in WRAPPERS:
                error = error.cause
            if error:
                return event.step_key, error.cls_name or "", error.message.partition(": ")[2].strip() or error.message
        elif event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            check = event.event_specific_data
            if not check.passed:
                return entry.step_key or check.check_name, "ContractError", check.description or check.check_name
        elif event.event_type is dg.DagsterEventType.RUN_FAILURE:
            return "", "", event.message or "failed"
    return "", "", "failed"


@dg.sensor(minimum_interval_seconds=LOOK_SECONDS, default_status=dg.DefaultSensorStatus.RUNNING)
def report_late_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Runs that are over their SLA and go on, and those that ended over it since the last look."""
    now, since = time.time(), float(context.cursor or time.time())
    running = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])
    ended = dg.RunsFilter(statuses=[dg.DagsterRunStatus.SUCCESS], updated_after=datetime.fromtimestamp(since, UTC))
    late = 0
    for record in [*context.instance.get_run_records(running), *context.instance.get_run_records(ended)]:
        run, sla = record.dagster_run, config.load().for_pipeline(record.dagster_run.job_name).sla_seconds
        took = (record.end_time or now) - (record.start_time or now)
        if took <= sla:
            continue
        late += 1
        alerts.report(
            "late",
            pipeline=run.job_name,
            partition=run.tags.get("dagster/partition", ""),
            reason=f"takes longer than {sla:g} s, and goes on" if record.end_time is None else f"took {took:.0f} s",
            run_id=run.run_id,
            run_url=run_url(run.run_id),
        )
    context.update_cursor(str(now))
    return dg.SkipReason(f"{late} runs over their SLA")


@dg.sensor(minimum_interval_seconds=6 * LOOK_SECONDS, default_status=dg.DefaultSensorStatus.RUNNING)
def report_stale_tables(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Tables whose freshness policy fails since the last look: Dagster shows that, and sends it to nobody."""
    graph = context.repository_def.asset_graph
    watched = [key for key in graph.get_all_asset_keys() if graph.get(key).freshness_policy]
    records = context.instance.get_freshness_state_records(watched)
    states = {key.to_user_string(): record.freshness_state.value for key, record in records.items()}
    known = json.loads(context.cursor or "{}")
    stale = defaultdict(list)
    for key in records:
        name = key.to_user_string()
        if states[name] == "FAIL" and known.get(name) != "FAIL":
            stale[graph.get(key).group_name].append(name)
    for pipeline, names in stale.items():
        reason = f"not published in time: {', '.join(sorted(names))}"
        alerts.report("late", pipeline=pipeline, partition=arrivals.last_due(pipeline)[1], reason=reason)
    context.update_cursor(json.dumps(states))
    return dg.SkipReason(f"{list(states.values()).count('FAIL')} of {len(watched)} tables are stale")
