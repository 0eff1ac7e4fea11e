"""Metrics of the steps for Prometheus: a text file per pipeline in var/<env>/metrics/, for a textfile collector.

A Pushgateway gets the same when ``[metrics]`` names one. The Prometheus client keeps counters in memory, and its mode
for several processes leaves a file for each of them, while every step may be a process of its own. So the text file is
the state: a step reads it, adds to it and replaces it, under a lock.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING

from . import files, logging, outgoing, schedules
from .runs import current_run

if TYPE_CHECKING:
    from prometheus_client import Metric

    from .config import Settings
    from .steps import StepReport

PUSH_SECONDS = 3  # for the whole call; a Pushgateway that hangs costs a process no more than once that
LOCK_SECONDS = 10
# Name: type and description. All have the labels env and pipeline, those of a step also step.
METRICS = {
    "pipeline_step_attempts_total": ("counter", "Attempts of a step, the first ones and retries."),
    "pipeline_step_failures_total": ("counter", "Attempts that failed, by class of the error."),
    "pipeline_step_failed": ("gauge", "Whether the last attempt failed."),
    "pipeline_step_attempt": ("gauge", "Number of the last attempt within its run, from 1."),
    "pipeline_step_duration_seconds": ("gauge", "Wall time of the last attempt."),
    "pipeline_rows_total": ("counter", "Rows by what became of them, published by table."),
    "pipeline_partition_rows": ("gauge", "Rows of the newest partition published, by table."),
    "pipeline_published_timestamp_seconds": ("gauge", "When a partition was published last."),
    "pipeline_newest_partition_timestamp_seconds": ("gauge", "Start of the newest partition published."),
    "pipeline_due_timestamp_seconds": ("gauge", "When the partition after it must be published: its tick and the SLA."),
}
_written: dict[Path, tuple[str, Metrics]] = {}  # by this process: what it wrote last is not parsed again
Key = tuple[str, tuple[tuple[str, str], ...]]  # name and labels


def record(report: StepReport, settings: Settings) -> None:
    """Add a finished step to the metrics. Never raises: what is measured matters more than the measure."""
    failed = "metrics not recorded"
    try:
        metrics = _add_to_file(report, settings)
        if settings.metrics.pushgateway_url:
            failed = "metrics not pushed"
            _push(metrics, report.pipeline.name, settings)
    except Exception as error:  # noqa: BLE001
        logging.get_logger().warning(failed, error=type(error).__name__, reason=str(error))


@dataclass
class Metrics:
    """The metrics of one pipeline in one environment, as a collector of the Prometheus client."""

    labels: dict[str, str]
    values: dict[Key, float] = field(default_factory=dict)

    def get(self, name: str, **more: str) -> float:
        return self.values.get(self._key(name, more), 0)

    def set(self, name: str, value: float, **more: str) -> None:
        self.values[self._key(name, more)] = value

    def count(self, name: str, by: float = 1, **more: str) -> None:
        self.set(name, self.get(name, **more) + by, **more)

    def drop(self, name: str) -> None:
        self.values.pop(self._key(name, {}), None)

    def collect(self) -> Iterator[Metric]:
        from prometheus_client import Metric

        for name, (kind, description) in METRICS.items():
            metric = Metric(name.removesuffix("_total"), description, kind)
            for (sample, labels), value in sorted(self.values.items()):
                if sample == name:
                    metric.add_sample(name, dict(labels), value)
            if metric.samples:
                yield metric

    def load(self, text: str) -> None:
        """Add what a text says about this pipeline and skip the rest. Raises what the parser raises on damaged text."""
        from prometheus_client.parser import text_string_to_metric_families

        for sample in (sample for family in text_string_to_metric_families(text) for sample in family.samples):
            if sample.name in METRICS and self.labels.items() <= sample.labels.items() and isfinite(sample.value):
                self.values[sample.name, tuple(sorted(sample.labels.items()))] = sample.value

    def _key(self, name: str, more: dict[str, str]) -> Key:
        return name, tuple(sorted((self.labels | more).items()))


def _add_to_file(report: StepReport, settings: Settings) -> Metrics:
    from filelock import FileLock
    from prometheus_client import generate_latest

    folder = settings.state / "metrics"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{report.pipeline.name}.prom"
    with FileLock(file.with_suffix(".lock"), timeout=LOCK_SECONDS):  # parallel runs take turns
        metrics = _read(file, {"env": settings.env, "pipeline": report.pipeline.name})
        _add(metrics, report, settings)
        text = generate_latest(metrics).decode()
        files.replace(file, text, durable=False)
        _written[file] = (text, metrics)
    return metrics


def _read(file: Path, labels: dict[str, str]) -> Metrics:
    """What the file says. One that is damaged is set aside, and counting starts again, as after a restart."""
    metrics = Metrics(labels)
    if not file.exists():
        return metrics
    try:
        text = file.read_bytes().decode()
        last, known = _written.pop(file, ("", metrics))
        if text == last:
            return known
        metrics.load(text)
    except OSError:
        raise
    except Exception as error:  # noqa: BLE001  whatever the parser makes of such a text
        aside = file.with_suffix(".damaged")
        file.replace(aside)
        log, reason = logging.get_logger(), repr(str(error))[:80]
        log.warning("damaged metrics file set aside, counters start again", file=str(aside), reason=reason)
        return Metrics(labels)
    return metrics


def _add(metrics: Metrics, report: StepReport, settings: Settings) -> None:
    step = report.step
    metrics.count("pipeline_step_attempts_total", step=step)
    metrics.set("pipeline_step_failed", int(report.failed), step=step)
    metrics.set("pipeline_step_attempt", current_run().attempt, step=step)
    metrics.set("pipeline_step_duration_seconds", report.seconds, step=step)
    if report.failed:
        metrics.count("pipeline_step_failures_total", step=step, error=report.error)
        return
    for kind, rows in report.rows.items():
        # What the publishing step counts are rows by table.
        labels = {"kind": "published", "table": kind} if report.publishes else {"kind": kind}
        metrics.count("pipeline_rows_total", by=rows, step=step, **labels)
    if report.publishes:
        _add_publication(metrics, report, settings)


def _add_publication(metrics: Metrics, report: StepReport, settings: Settings) -> None:
    metrics.set("pipeline_published_timestamp_seconds", time.time())
    start = report.partition.start
    if start and start.timestamp() < metrics.get("pipeline_newest_partition_timestamp_seconds"):
        return  # an older partition says nothing about the newest one
    if start:
        metrics.set("pipeline_newest_partition_timestamp_seconds", start.timestamp())
    for table, rows in report.rows.items():
        metrics.set("pipeline_partition_rows", rows, table=table)
    if tick := schedules.tick_after(report.pipeline, report.partition):
        sla_seconds = settings.for_pipeline(report.pipeline.name).sla_seconds
        metrics.set("pipeline_due_timestamp_seconds", tick.timestamp() + sla_seconds)
    else:
        metrics.drop("pipeline_due_timestamp_seconds")


def _push(metrics: Metrics, pipeline: str, settings: Settings) -> None:
    from prometheus_client import push_to_gateway

    group = {"env": settings.env, "pipeline": pipeline}

    def push() -> None:
        push_to_gateway(settings.metrics.pushgateway_url, "pipelines", metrics, group, timeout=PUSH_SECONDS)

    outgoing.within(PUSH_SECONDS, push, key="pushgateway")
