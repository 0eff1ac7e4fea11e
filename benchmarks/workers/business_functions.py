"""Run with a rendered project's Python: the pipeline's own steps, for the days that come in on standard input.

Reads a JSON list of days a line, and answers each with a JSON line of seconds (wall, CPU, CPU per step) and the
process's peak memory in bytes. The first line it writes says how long the imports took.
"""

from __future__ import annotations

import importlib
import json
import resource
import sys
import time
from datetime import date

STEPS = ("wait_for_input", "extract", "transform", "check", "publish")


def peak_memory() -> int:
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kilobytes if sys.platform == "darwin" else kilobytes * 1024


def main(package: str) -> None:
    start = time.process_time()
    steps = importlib.import_module(f"{package}.pipelines.flights_daily.steps")
    for name in ("transform", "contract"):  # else the first day would pay for them
        importlib.import_module(f"{package}.pipelines.flights_daily.{name}")
    importlib.import_module("ibis").duckdb.connect().disconnect()
    print(json.dumps({"import_cpu": time.process_time() - start, "peak_memory": peak_memory()}), flush=True)
    for line in sys.stdin:
        by_step = dict.fromkeys(STEPS, 0.0)
        wall, cpu = time.perf_counter(), time.process_time()
        for day in map(date.fromisoformat, json.loads(line)):
            for name in STEPS:
                began = time.process_time()
                getattr(steps, name)(day)
                by_step[name] += time.process_time() - began
        done = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "steps": by_step}
        print(json.dumps(done | {"peak_memory": peak_memory()}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
