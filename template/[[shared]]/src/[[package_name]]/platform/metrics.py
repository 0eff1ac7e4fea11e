"""Metrics of the steps for Prometheus: a text file per pipeline in var/<env>/metrics/, for a textfile collector.

A Pushgateway gets the same when ``[metrics]`` names one. Counters go on from one process to the next, through the file.
"""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from . import logging

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Metric

    from .config import Settings
    from .steps import StepReport

PUBLISH = "publish"
PUSH_SECONDS = 3
OF_STEP = ("env", "pipeline", "step")
OF_PIPELINE = ("env", "pipeline")
# Name: type, labels, what it tells. Counters end in _total where they are shown.
METRICS: dict[str, tuple[str, tuple[str, ...], str]] = {
    "pipeline_step_attempts": ("counter", OF_STEP, "Attempts of a step, the first ones and retries."),
    "pipeline_step_failures": ("counter", (*OF_STEP, "error"), "Attempts that failed, by class of the error."),
    "pipeline_step_failed": ("gauge", OF_STEP, "Whether the last attempt failed."),
    "pipeline_step_attempt": ("gauge", OF_STEP, "Number of the last attempt within its run, from 1."),
    "pipeline_step_duration_seconds": ("gauge", OF_STEP, "Wall time of the last attempt."),
    "pipeline_rows": ("counter", (*OF_STEP, "kind", "table"), "Rows by what became of them, published by table."),
    "pipeline_published_timestamp_seconds": ("gauge", OF_PIPELINE, "When a partition was published last."),
    "pipeline_newest_partition_timestamp_seconds": ("gauge", OF_PIPELINE, "Start in UTC of the newest partition."),
}
Samples = dict[tuple[str, tuple[str, ...]], float]


def record(report: StepReport, settings: Settings) -> None:
    """Add a finished step to the metrics. Never raises: what is measured matters more than the measure."""
    try:
        folder = settings.state / "metrics"
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{report.pipeline}.prom"
        with file.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # parallel runs take turns
            samples = _read(file)
            _add(samples, report, settings.env)
            registry = _registry(samples)
            _write(file, registry)
        if settings.metrics.pushgateway_url:
            _push(settings, report.pipeline, registry)
    except Exception as error:  # noqa: BLE001
        logging.get_logger().warning("metrics not recorded", error=type(error).__name__, reason=str(error))


def _add(samples: Samples, report: StepReport, env: str) -> None:
    from .steps import current_run

    pipeline = (env, report.pipeline)
    step = (*pipeline, report.step)

    def count(name: str, *more: str, by: float = 1) -> None:
        samples[name, (*step, *more)] = samples.get((name, (*step, *more)), 0) + by

    count("pipeline_step_attempts")
    samples["pipeline_step_failed", step] = int(report.failed)
    samples["pipeline_step_attempt", step] = current_run().attempt
    samples["pipeline_step_duration_seconds", step] = report.seconds
    if report.failed:
        count("pipeline_step_failures", report.error)
        return
    for kind, rows in report.rows.items():
        # What the publishing step counts are rows by table.
        labels = ("published", kind) if report.step == PUBLISH else (kind, "")
        count("pipeline_rows", *labels, by=rows)
    if report.step == PUBLISH:
        newest = ("pipeline_newest_partition_timestamp_seconds", pipeline)
        day = datetime.combine(report.partition, datetime.min.time(), UTC).timestamp()
        samples[newest] = max(samples.get(newest, day), day)
        samples["pipeline_published_timestamp_seconds", pipeline] = time.time()


def _read(file: Path) -> Samples:
    from prometheus_client.parser import text_string_to_metric_families

    if not file.exists():
        return {}
    return {
        (family.name, tuple(sample.labels[label] for label in METRICS[family.name][1])): sample.value
        for family in text_string_to_metric_families(file.read_text(encoding="utf-8"))
        if family.name in METRICS
        for sample in family.samples
    }


def _registry(samples: Samples) -> CollectorRegistry:
    from prometheus_client import CollectorRegistry

    class Recorded:
        """What was measured, in the form that the client library writes and pushes."""

        def collect(self) -> Iterator[Metric]:
            from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

            families = {"counter": CounterMetricFamily, "gauge": GaugeMetricFamily}
            for name, (kind, labels, told) in METRICS.items():
                family = families[kind](name, told, labels=labels)
                for (of, values), value in sorted(samples.items()):
                    if of == name:
                        family.add_metric(values, value)
                yield family

    registry = CollectorRegistry()
    registry.register(Recorded())
    return registry


def _write(file: Path, registry: CollectorRegistry) -> None:
    from prometheus_client import write_to_textfile

    write_to_textfile(str(file), registry)  # written beside it and moved: readers never see half of it


def _push(settings: Settings, pipeline: str, registry: CollectorRegistry) -> None:
    from prometheus_client import push_to_gateway

    grouping = {"env": settings.env, "pipeline": pipeline}
    push_to_gateway(settings.metrics.pushgateway_url, "pipelines", registry, grouping, timeout=PUSH_SECONDS)
