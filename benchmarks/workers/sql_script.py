"""Run with a rendered project's Python: flights_daily.sql, for the days that come in on standard input.

Arguments: the warehouse file, the landing folder, the memory limit, the number of threads, and `held` or `reopened`:
whether the file stays open over the days of a line, or is opened for each. Speaks as business_functions.py does.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from datetime import date, timedelta
from pathlib import Path

from business_functions import peak_memory

SCRIPT = Path(__file__).with_name("flights_daily.sql").read_text(encoding="utf-8")
MAX_ROWS = 20_000_000


def script(day: date, landing: Path) -> str:
    return SCRIPT.format(
        file=landing / day.isoformat() / "flights.csv",
        day=day.isoformat(),
        next_day=(day + timedelta(days=1)).isoformat(),
        year=day.year,
        month=day.month,
        day_of_month=day.day,
        max_rows=MAX_ROWS,
    )


def main(file: str, landing: str, memory_limit: str, threads: str, warehouse: str) -> None:
    start = time.process_time()
    import duckdb

    settings = {"memory_limit": memory_limit, "threads": int(threads)}
    duckdb.connect().close()
    print(json.dumps({"import_cpu": time.process_time() - start, "peak_memory": peak_memory()}), flush=True)
    for line in sys.stdin:
        wall, cpu = time.perf_counter(), time.process_time()
        with duckdb.connect(file, config=settings) if warehouse == "held" else contextlib.nullcontext():
            for day in map(date.fromisoformat, json.loads(line)):
                with duckdb.connect(file, config=settings) as con:
                    con.execute(script(day, Path(landing)))
        done = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
        print(json.dumps(done | {"peak_memory": peak_memory()}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
