"""Alerts: every failed run is reported once, with the steps that failed."""

import dagster as dg

from ..platform import alerts


@dg.run_failure_sensor(default_status=dg.DefaultSensorStatus.RUNNING)
def report_failed_runs(context: dg.RunFailureSensorContext) -> None:
    run = context.dagster_run
    failed = [f"{event.step_key}: {_cause(event)}" for event in context.get_step_failure_events()]
    checks = context.instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
    evaluations = [entry.dagster_event.event_specific_data for entry in checks if entry.dagster_event]
    failed += [f"{check.check_name}: {check.description}" for check in evaluations if not check.passed]
    reason = "\n".join(failed) or context.failure_event.message or "failed"
    alerts.run_failed(run.job_name, run.tags.get("dagster/partition", ""), reason, f"/runs/{run.run_id}")


def _cause(event: dg.DagsterEvent) -> str:
    error = event.step_failure_data.error
    while error and error.cause:
        error = error.cause
    return error.message.strip() if error else event.message or ""
