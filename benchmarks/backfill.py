"""A year of daily partitions backfilled through each running engine, beside the bare business functions.

Engine and warehouse are on one PostgreSQL server; the bare functions fill a database of their own on it. Processes are
watched through /proc, so it needs Linux.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import psycopg
from business_functions import worker
from processes import Watch
from projects import ORCHESTRATORS, PACKAGE, UV, environment, render, scratch, set_up, template, whole_year
from report import ROOT, Figure, conclude, earlier, progress, show, spent

sys.path.append(str(ROOT / "tests"))  # the server that the tests use
from servers import free_port, postgresql_server

TABLES = {
    "fact_flights": "flight_key",
    "daily_carrier_performance": "carrier",
    "daily_route_volume": "origin || destination",
}
SHOWN_FROM = 5e6  # bytes; smaller processes stand in the JSON file only


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--days", type=int, default=365, help="days of the year to backfill")
    parser.add_argument("--parallel", type=int, default=2, help="limit of the pool `warehouse` (default 2)")
    parser.add_argument("--orchestrators", nargs="+", choices=ORCHESTRATORS, default=list(ORCHESTRATORS))
    parser.add_argument("--template", type=Path, help="another template to try; nothing is written then")
    options = parser.parse_args()
    with scratch() as folder, postgresql_server(connections=300) as server:
        source = options.template or template(folder)
        days = whole_year(folder / "landing")[: options.days]
        measured = {
            name: measure(name, render(source, folder / name, name), folder, server, days, options.parallel)
            for name in options.orchestrators
        }
    if options.template:
        show("backfill", [figure for name, found in measured.items() for figure in told(name, found)])
    else:
        measured = earlier("backfill") | measured  # an orchestrator that was not asked for keeps its figures
        options.orchestrators = sorted(measured)
        figures = [figure for name in options.orchestrators for figure in told(name, measured[name])]
        conclude("backfill", figures, options, measured)


def measure(name: str, project: Path, folder: Path, server: str, days: Sequence[str], parallel: int) -> dict:
    python = set_up(project, name)
    variables = {
        "APP_PIPELINES__FLIGHTS_DAILY__LANDING__URL": str(folder / "landing"),
        "APP_PIPELINES__FLIGHTS_DAILY__SCHEDULE__CRON": an_hour_ago(),
        "APP_CONCURRENCY__WAREHOUSE": str(parallel),
        "APP_LOGGING__FORMAT": "json",
    }
    with closing(psycopg.connect(server, autocommit=True)) as con:
        for database in (f"{name}_engine", f"{name}_warehouse", f"{name}_bare"):
            con.execute(f"CREATE DATABASE {database}")
    address = server.removesuffix("postgres")
    bare = run_bare(python, project, folder, days, variables | {"APP_WAREHOUSE__URL": f"{address}{name}_bare"})
    variables |= {
        "APP_WAREHOUSE__URL": f"{address}{name}_warehouse",
        "ENGINE_DATABASE_URL": f"{address}{name}_engine",
        f"{name.upper()}_PORT": str(free_port()),
    }
    make = ["make", "--no-print-directory", f"UV={UV}"]
    progress(f"starting {name}")
    spent([*make, "up"], cwd=project, environment=environment(**variables))
    try:
        watch = Watch(int((project / "var" / "dev" / name / "supervisord.pid").read_text()))
        progress(f"backfilling {len(days)} days through {name}, {parallel} at once")
        with watch:
            command = [*make, "backfill", f"FROM={days[0]}", f"TO={days[-1]}"]
            engine = spent(command, cwd=project, environment=environment(**variables))
    finally:
        spent([*make, "down"], cwd=project, environment=environment(**variables))
    published = same_as_files(f"{address}{name}_warehouse", folder / "landing", days)
    return {
        "wall": engine.wall,
        "cpu": engine.cpu + watch.cpu,
        "bare": bare,
        "peak_memory": watch.peaks,
        "peak_memory_together": watch.peak_together,
        "days": len(days),
        "published": published,
        "parallel": parallel,
    }


def an_hour_ago() -> str:
    """A daily schedule, whose ticks an engine may backfill, that does not fire within this run."""
    return f"0 {(datetime.now(UTC).hour - 1) % 24} * * *"


def run_bare(python: Path, project: Path, folder: Path, days: Sequence[str], variables: dict[str, str]) -> dict:
    """The same days through the business functions alone, one after the other in one process."""
    progress(f"{len(days)} days through the bare business functions")
    settings = {"APP_ENV": "dev", "APP_ROOT": str(project), **variables}
    with worker(python, "business_functions", PACKAGE, "reopened", log=folder / "bare.log", **settings) as functions:
        return functions.run(days)


def same_as_files(warehouse: str, landing: Path, days: Sequence[str]) -> dict[str, int]:
    """Rows of each table; stops when a day of flights is not there exactly once, or is another than in its file."""
    found = {}
    with closing(psycopg.connect(warehouse)) as con:
        for table, key in TABLES.items():
            rows = con.execute(
                f"SELECT flight_date, count(*), count(DISTINCT {key}) FROM {table} GROUP BY 1"
            ).fetchall()
            by_day = {day.isoformat(): count for day, count, _ in rows}
            doubled = [day.isoformat() for day, count, keys in rows if count != keys]
            if doubled or sorted(by_day) != list(days):
                sys.exit(f"error: {table} has {len(by_day)} of {len(days)} days; doubled: {doubled}")
            found[table] = sum(by_day.values())
            if table == "fact_flights":
                differing = [day for day in days if by_day[day] != _rows_in(landing / day / "flights.csv")]
                if differing:
                    sys.exit(f"error: {table} has another number of flights than the files of {differing}")
    return found


def _rows_in(file: Path) -> int:
    with file.open(encoding="utf-8", newline="") as lines:
        return sum(1 for _ in csv.reader(lines)) - 1


def told(name: str, found: dict) -> list[Figure]:
    count, bare = found["days"], found["bare"]
    figures = [
        Figure(f"{name}: {count} days, {found['parallel']} at once", found["wall"], "s"),
        Figure(f"{name}: a day (wall)", found["wall"] / count, "s"),
        Figure(f"{name}: a day through the bare functions, one at a time (wall)", bare["wall"] / count, "s"),
        Figure(f"{name}: overhead of a run over the bare functions (CPU)", (found["cpu"] - bare["cpu"]) / count, "s"),
        Figure(f"{name}: peak memory, all processes together", found["peak_memory_together"] / 1e9, "GB"),
    ]
    by_size = sorted(found["peak_memory"].items(), key=lambda each: -each[1])
    figures += [
        Figure(f"{name}: peak memory of {what}", peak / 1e9, "GB") for what, peak in by_size if peak >= SHOWN_FROM
    ]
    return figures


if __name__ == "__main__":
    main()
