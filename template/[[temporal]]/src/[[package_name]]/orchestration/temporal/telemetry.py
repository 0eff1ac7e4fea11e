"""Logs and metrics of Temporal's SDK in the project's form."""

from __future__ import annotations

import logging

from temporalio import activity, workflow
from temporalio.exceptions import ApplicationError
from temporalio.runtime import (
    LogForwardingConfig,
    LoggingConfig,
    OpenTelemetryConfig,
    PrometheusConfig,
    Runtime,
    TelemetryConfig,
    TelemetryFilter,
)

from ...platform import config


def runtime(settings: config.Settings, prometheus_address: str = "") -> Runtime:
    """Where the SDK's own lines and figures go: into our logs, and to Prometheus or a collector where there is one."""
    forwarding = LogForwardingConfig(
        logger=logging.getLogger("temporalio.core"), append_target_to_name=False, prepend_target_on_message=False
    )
    quiet = TelemetryFilter(core_level="WARN", other_level="ERROR")
    metrics: PrometheusConfig | OpenTelemetryConfig | None = None
    if prometheus_address:
        metrics = PrometheusConfig(bind_address=prometheus_address)
    elif settings.telemetry.otlp_endpoint:
        url = f"{settings.telemetry.otlp_endpoint.rstrip('/')}/v1/metrics"
        metrics = OpenTelemetryConfig(url=url, http=True)
    return Runtime(telemetry=TelemetryConfig(logging=LoggingConfig(quiet, forwarding=forwarding), metrics=metrics))


class RunContext(logging.Filter):
    """Gives records about a run the keys that lines of its steps have."""

    def filter(self, record: logging.LogRecord) -> bool:
        about = record.__dict__.pop("temporal_workflow", None) or {}
        about |= record.__dict__.pop("temporal_activity", None) or {}
        if about:
            record.pipeline = about.get("workflow_type")
            record.run_id = about.get("run_id") or about.get("workflow_run_id")
            record.attempt = about.get("attempt")
            record.step = str(about.get("activity_type", "")).rpartition(".")[2] or None
        if record.exc_info and isinstance(record.exc_info[1], ApplicationError):
            record.msg, record.args = f"{record.getMessage()}: {record.exc_info[1]}", ()
            record.exc_info = record.exc_text = None  # the step's own line has said it, and Temporal keeps the rest
        return True


def configure() -> None:
    """Short messages: what they are about is in keys of their own."""
    for each in (workflow.logger, activity.logger):
        for context in ("workflow_info_on_message", "activity_info_on_message"):
            if hasattr(each, context):
                setattr(each, context, False)
    for handler in logging.getLogger().handlers:
        handler.addFilter(RunContext())
