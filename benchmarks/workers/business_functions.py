"""Run with a rendered project's Python: the pipeline's own steps, for the days that come in on standard input.

Arguments: the package, and `held` to keep the warehouse open over the days of a line, or `reopened` to leave it to the
steps, each of which opens and closes it. Reads a JSON list of days a line, and answers each with a JSON line of seconds
(wall, CPU, CPU per step) and peak memory in bytes. The first line it writes says how long the imports took.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import resource
import sys
import time
from pathlib import Path

STEPS = ("wait_for_input", "extract", "transform", "check", "publish")


def peak_memory() -> int:
    """Most memory this process has held since `forget_peak`, in bytes."""
    status = Path("/proc/self/status")
    if status.exists():  # what getrusage tells of a new process may be its parent's
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def forget_peak() -> None:
    with contextlib.suppress(OSError):  # elsewhere than on Linux the peak stays that of the whole run
        Path("/proc/self/clear_refs").write_text("5")


def main(package: str, warehouse: str) -> None:
    start = time.process_time()
    pipeline = importlib.import_module(f"{package}.platform.pipelines").get("flights_daily")
    for name in ("transform", "contract"):  # else the first day would pay for them
        importlib.import_module(f"{package}.pipelines.flights_daily.{name}")
    runs = importlib.import_module(f"{package}.platform.runs")
    connect = importlib.import_module(f"{package}.platform.warehouse").connect
    importlib.import_module("ibis").to_sql(importlib.import_module("ibis").table({"a": "int64"}, name="a"), "duckdb")
    importlib.import_module("duckdb").connect().close()
    assert pipeline.code
    print(json.dumps({"import_cpu": time.process_time() - start, "peak_memory": peak_memory()}), flush=True)
    for line in sys.stdin:
        by_step, peaks = dict.fromkeys(STEPS, 0.0), dict.fromkeys(STEPS, 0)
        wall, cpu = time.perf_counter(), time.process_time()
        with connect() if warehouse == "held" else contextlib.nullcontext():
            for day in map(pipeline.partition, json.loads(line)):
                for name in STEPS:
                    forget_peak()
                    began = time.process_time()
                    with runs.run_context(runs.Run(day.key, one_process=True)):
                        pipeline.step(name)(day)
                    by_step[name] += time.process_time() - began
                    peaks[name] = max(peaks[name], peak_memory())
        done = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "steps": by_step}
        print(json.dumps(done | {"peak_memory": max(peaks.values()), "peaks": peaks}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
