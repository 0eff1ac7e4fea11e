"""Metrics of the steps for Prometheus: a text file per pipeline in var/<env>/metrics/, for a textfile collector.

A Pushgateway gets the same when ``[metrics]`` names one. Counters go on from one process to the next, through the file.
The format is written here: loading Prometheus's own client takes longer than all the steps of a small day.
"""

from __future__ import annotations

import fcntl
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

from . import logging
from .runs import current_run

if TYPE_CHECKING:
    from .config import Settings
    from .steps import StepReport

PUSH_SECONDS = 3
# Name: type, and what it tells. All have the labels env and pipeline, those of a step also step.
METRICS = {
    "pipeline_step_attempts_total": ("counter", "Attempts of a step, the first ones and retries."),
    "pipeline_step_failures_total": ("counter", "Attempts that failed, by class of the error."),
    "pipeline_step_failed": ("gauge", "Whether the last attempt failed."),
    "pipeline_step_attempt": ("gauge", "Number of the last attempt within its run, from 1."),
    "pipeline_step_duration_seconds": ("gauge", "Wall time of the last attempt."),
    "pipeline_rows_total": ("counter", "Rows by what became of them, published by table."),
    "pipeline_published_timestamp_seconds": ("gauge", "When a partition was published last."),
    "pipeline_newest_partition_timestamp_seconds": ("gauge", "Start of the newest partition published."),
}
Series = dict[str, float]  # by name and labels, as in the file


def record(report: StepReport, settings: Settings) -> None:
    """Add a finished step to the metrics. Never raises: what is measured matters more than the measure."""
    try:
        folder = settings.state / "metrics"
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{report.pipeline.name}.prom"
        with file.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # parallel runs take turns
            series = _read(file)
            _add(series, report, settings.env)
            text = _text(series)
            new = file.with_suffix(".new")
            new.write_text(text, encoding="utf-8")
            new.replace(file)  # readers never see half of it
        if settings.metrics.pushgateway_url:
            _push(settings, report.pipeline.name, text)
    except Exception as error:  # noqa: BLE001
        logging.get_logger().warning("metrics not recorded", error=type(error).__name__, reason=str(error))


def _add(series: Series, report: StepReport, env: str) -> None:
    pipeline = {"env": env, "pipeline": report.pipeline.name}
    step = {**pipeline, "step": report.step}

    def count(name: str, by: float = 1, **more: str) -> None:
        series[_key(name, step | more)] = series.get(_key(name, step | more), 0) + by

    count("pipeline_step_attempts_total")
    series[_key("pipeline_step_failed", step)] = int(report.failed)
    series[_key("pipeline_step_attempt", step)] = current_run().attempt
    series[_key("pipeline_step_duration_seconds", step)] = report.seconds
    if report.failed:
        count("pipeline_step_failures_total", error=report.error)
        return
    for kind, rows in report.rows.items():
        # What the publishing step counts are rows by table.
        labels = {"kind": "published", "table": kind} if report.publishes else {"kind": kind}
        count("pipeline_rows_total", by=rows, **labels)
    if report.publishes:
        if start := report.partition.start:
            newest = _key("pipeline_newest_partition_timestamp_seconds", pipeline)
            series[newest] = max(series.get(newest, 0), start.timestamp())
        series[_key("pipeline_published_timestamp_seconds", pipeline)] = time.time()


def _key(name: str, labels: dict[str, str]) -> str:
    shown = (f'{label}="{_escaped(value)}"' for label, value in labels.items())
    return f"{name}{{{','.join(shown)}}}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _read(file: Path) -> Series:
    if not file.exists():
        return {}
    lines = file.read_text(encoding="utf-8").splitlines()
    pairs = (line.rpartition(" ") for line in lines if not line.startswith("#"))
    return {key: float(value) for key, _, value in pairs}


def _text(series: Series) -> str:
    lines: list[str] = []
    for name, (kind, told) in METRICS.items():
        found = [f"{key} {value}" for key, value in sorted(series.items()) if key.startswith(f"{name}{{")]
        lines += [f"# HELP {name} {told}", f"# TYPE {name} {kind}", *found] if found else []
    return "".join(f"{line}\n" for line in lines)


def _push(settings: Settings, pipeline: str, text: str) -> None:
    group = f"metrics/job/pipelines/env/{settings.env}/pipeline/{pipeline}"
    address = f"{settings.metrics.pushgateway_url.rstrip('/')}/{group}"
    request = urllib.request.Request(address, text.encode(), method="PUT")  # noqa: S310  configured by us
    with urllib.request.urlopen(request, timeout=PUSH_SECONDS):  # noqa: S310
        return
