"""The business functions over a year against one DuckDB script, and the memory of a day of ten million rows.

Both publish the same tables into DuckDB files of their own, a month each in turn; then every figure is compared.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb
from projects import PACKAGE, environment, render, scratch, set_up, template, whole_year
from report import Figure, conclude, median_ratio, progress, show

TIMES_AT_MOST, GIGABYTES_AT_MOST = 1.5, 1.5  # over a year, by the clock
IMPORTS_AT_MOST, LARGE_AT_MOST = 1.5, 100  # seconds of CPU; for the largest day
WORKERS = Path(__file__).with_name("workers")
MEMORY_LIMIT, THREADS = "128MB", "2"  # those of a rendered project, on both sides
BIG_DAY = date(2013, 1, 2)
# Hosts a project whose business functions are measured; they are the same on each orchestrator.
HOST = "prefect"
TABLES = {
    "fact_flights": ("flight_key", "dep_delay_min, arr_delay_min, air_time_min, distance_mi, cancelled::INT"),
    "daily_carrier_performance": (
        "carrier",
        "flights, cancelled, departed, mean_dep_delay_min, p90_dep_delay_min, mean_arr_delay_min, p90_arr_delay_min",
    ),
    "daily_route_volume": ("destination", "flights, cancelled, distance_mi"),
    "fact_flights_quarantine": ("record", "source_row"),
}


@dataclass
class Worker:
    """A process that runs the days it is handed, and says what they took."""

    process: subprocess.Popen
    imported: dict

    def run(self, days: Sequence[str]) -> dict:
        self.process.stdin.write(json.dumps(list(days)) + "\n")
        self.process.stdin.flush()
        return self.answer()

    def answer(self) -> dict:
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"error: {self.process.args[1]} ended with {self.process.wait()}, see its output above")
        return json.loads(line)


@contextlib.contextmanager
def worker(python: Path, name: str, *arguments: object, log: Path, **variables: str) -> Iterator[Worker]:
    command = [str(part) for part in (python, WORKERS / f"{name}.py", *arguments)]
    with log.open("w") as errors:
        process = subprocess.Popen(
            command,
            env=environment(**variables),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        started = Worker(process, {})
        try:
            started.imported = started.answer()
            yield started
        except SystemExit:
            sys.stderr.write(log.read_text()[-3000:])
            raise
        finally:
            process.stdin.close()
            process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--days", type=int, default=365, help="days of the year to publish")
    parser.add_argument(
        "--rows",
        type=int,
        nargs="*",
        default=[1_000_000, 10_000_000],
        help="rows of the large days, none: leave them out",
    )
    parser.add_argument("--template", type=Path, help="another template to try; nothing is written then")
    parser.add_argument(
        "--reopen", action="store_true", help="close the warehouse after each step, and after each day of the script"
    )
    options = parser.parse_args()
    warehouse = "reopened" if options.reopen else "held"
    with scratch() as folder:
        project = render(options.template or template(folder), folder / "project", HOST)
        python = set_up(project, HOST)
        days = whole_year(folder / "landing")[: options.days]
        spoil(folder / "landing", days)
        year = measure_year(folder, project, python, days, warehouse)
        memory = measure_memory(folder, project, python, options.rows) if options.rows else {}
    figures = [
        Figure(f"{len(days)} days, the SQL script = 1 (CPU)", year["ratio_cpu"], "times"),
        Figure(f"{len(days)} days, the SQL script = 1 (wall)", year["ratio_wall"], "times", TIMES_AT_MOST),
        Figure("a day through the business functions", year["ms_per_day"], "ms"),
        Figure("a day through the SQL script", year["ms_per_day_script"], "ms"),
        *(Figure(f"of that, {name} (CPU)", value, "ms") for name, value in year["steps_ms"].items()),
        Figure("imports, once per process (CPU)", year["import_cpu"], "s", IMPORTS_AT_MOST),
        *told(memory),
    ]
    if options.template:
        show("business_functions", figures)
    else:
        conclude("business_functions", figures, options, {"year": year, "memory": memory})


def told(memory: dict[str, dict]) -> list[Figure]:
    """Peak memory by size of the day, and what the steps of the largest took."""
    if not memory:
        return []
    peaks = [
        Figure(f"peak memory, {name}", done["peak_memory"] / 1e9, "GB", GIGABYTES_AT_MOST)
        for name, done in memory.items()
    ]
    (_, day), *larger = memory.items()
    name, largest = larger[-1]
    return [
        *peaks,
        Figure("peak memory, imports only", day["imports"] / 1e9, "GB"),
        *(
            Figure(f"peak memory, {large}, a real day = 1", done["peak_memory"] / day["peak_memory"], "times")
            for large, done in larger
        ),
        Figure(name, largest["wall"], "s"),
        Figure(f"{name} (CPU)", largest["cpu"], "s", LARGE_AT_MOST),
        *(
            Figure(f"of that, {step} (CPU; peak {largest['peaks'][step] / 1e9:.2f} GB)", seconds, "s")
            for step, seconds in largest["steps"].items()
        ),
    ]


def spoil(landing: Path, days: Sequence[str]) -> None:
    """Give every tenth day a line that is cut short and a row from an unknown airport, so that quarantine has work."""
    for day in days[::10]:
        file = landing / day / "flights.csv"
        header, first, *lines, last = file.read_text().splitlines()
        first = re.sub(",(EWR|JFK|LGA),", ",SFO,", first)
        file.write_text("\n".join([header, first, *lines, last[:20]]) + "\n")


def measure_year(folder: Path, project: Path, python: Path, days: Sequence[str], warehouse: str) -> dict:
    ours, theirs = folder / "business.duckdb", folder / "script.duckdb"
    script = worker(
        *(python, "sql_script", theirs, folder / "landing", MEMORY_LIMIT, THREADS, warehouse),
        log=folder / "script.log",
    )
    settings = {
        "APP_ENV": "dev",
        "APP_ROOT": str(project),
        "APP_PIPELINES__FLIGHTS_DAILY__LANDING__URL": str(folder / "landing"),
        "APP_WAREHOUSE__URL": f"duckdb://{ours}",
        "APP_WAREHOUSE__MEMORY_LIMIT": MEMORY_LIMIT,
        "APP_WAREHOUSE__THREADS": THREADS,
    }
    arguments = (python, "business_functions", PACKAGE, warehouse)
    with worker(*arguments, log=folder / "business.log", **settings):
        pass  # writes byte code, which is no part of the imports' cost
    business = worker(*arguments, log=folder / "business.log", **settings)
    pairs = []
    with business as functions, script as floor:
        for number, (month, own) in enumerate(itertools.groupby(days, key=lambda day: day[:7])):
            batch = list(own)
            if number % 2:
                floor_done, done = floor.run(batch), functions.run(batch)
            else:
                done, floor_done = functions.run(batch), floor.run(batch)
            pairs.append((done, floor_done))
            progress(
                f"{month}, {len(batch)} days: business functions {done['cpu']:.2f} s CPU, {done['wall']:.2f} s wall; "
                f"script {floor_done['cpu']:.2f} s CPU, {floor_done['wall']:.2f} s wall"
            )
        imported = functions.imported["import_cpu"]
    total = {key: [sum(pair[side][key] for pair in pairs) for side in (0, 1)] for key in ("cpu", "wall")}
    return {
        "ratio_cpu": median_ratio((done["cpu"], floor["cpu"]) for done, floor in pairs),
        "ratio_wall": median_ratio((done["wall"], floor["wall"]) for done, floor in pairs),
        "ms_per_day": 1000 * total["wall"][0] / len(days),
        "ms_per_day_script": 1000 * total["wall"][1] / len(days),
        "steps_ms": {
            name: 1000 * sum(done["steps"][name] for done, _ in pairs) / len(days) for name in pairs[0][0]["steps"]
        },
        "import_cpu": imported,
        "peak_memory": [pairs[-1][side]["peak_memory"] for side in (0, 1)],
        "published": same_figures(ours, theirs),
        "pairs": pairs,
    }


def same_figures(ours: Path, theirs: Path) -> dict[str, list]:
    """Counts and sums of each published table; stops when the two warehouses differ in any row or figure."""
    found = {}
    with duckdb.connect() as con:
        con.execute(f"ATTACH '{ours}' AS ours (READ_ONLY); ATTACH '{theirs}' AS theirs (READ_ONLY)")
        for table, (key, numbers) in TABLES.items():
            columns = [f"round({number}::DOUBLE, 9)" for number in numbers.split(", ")]
            sums = ", ".join(f"round(sum({column}), 6)" for column in columns)
            query = f"SELECT count(*), count(DISTINCT {key}), count(DISTINCT flight_date), {sums} FROM"
            counted = [con.execute(f"{query} {side}.{table}").fetchone() for side in ("ours", "theirs")]
            rows = f"SELECT flight_date, {key}, {', '.join(columns)} FROM"
            differing = con.execute(
                f"SELECT count(*) FROM (({rows} ours.{table} EXCEPT ALL {rows} theirs.{table}) "
                f"UNION ALL ({rows} theirs.{table} EXCEPT ALL {rows} ours.{table}))"
            ).fetchone()[0]
            if counted[0] != counted[1] or differing:
                sys.exit(f"error: {table} differs in {differing} rows:\n  {counted[0]}\n  {counted[1]}")
            found[table] = list(counted[0])
            progress(f"{table}: {counted[0][0]:,} rows, the same from both")
    return found


def measure_memory(folder: Path, project: Path, python: Path, sizes: Sequence[int]) -> dict[str, dict]:
    """What processes say that publish one day each, with the project's own settings: a real day, then larger ones."""
    # As a team with such days would: in the file that says how many rows a day may have.
    settings = project / "config" / "pipelines" / "flights_daily.toml"
    settings.write_text(re.sub(r"max_rows = \d+", f"max_rows = {2 * max(sizes)}", settings.read_text()))
    real = project / "data" / "landing" / "flights_daily"
    found = {"a real day": publish_alone(folder, project, python, real)}
    for rows in sizes:
        many = folder / "many" / BIG_DAY.isoformat()
        many.mkdir(parents=True)
        write_many(real / many.name / "flights.csv", many / "flights.csv", rows)
        (many / "_SUCCESS").touch()
        found[f"a day of {rows:,} rows"] = publish_alone(folder, project, python, many.parent, rows)
        shutil.rmtree(many.parent)
    return found


def publish_alone(folder: Path, project: Path, python: Path, landing: Path, rows: int | None = None) -> dict:
    """Publish the day in a process of its own, and see that it published that many rows, each with a key of its own."""
    warehouse = folder / "alone.duckdb"
    settings = {
        "APP_ENV": "dev",
        "APP_ROOT": str(project),
        "APP_PIPELINES__FLIGHTS_DAILY__LANDING__URL": str(landing),
        "APP_WAREHOUSE__URL": f"duckdb://{warehouse}",
    }
    progress(f"publishing a day of {rows:,} rows" if rows else "publishing a real day")
    log = folder / "alone.log"
    with worker(python, "business_functions", PACKAGE, "reopened", log=log, **settings) as functions:
        done = functions.run([BIG_DAY.isoformat()]) | {"imports": functions.imported["peak_memory"]}
    progress(f"peak memory {done['peak_memory'] / 1e9:.2f} GB after {done['wall']:.1f} s")
    with duckdb.connect(warehouse, read_only=True) as con:
        published = con.execute("SELECT count(*), count(DISTINCT flight_key) FROM fact_flights").fetchone()
    if rows and published != (rows, rows):
        sys.exit(f"error: {published} flights and keys were published instead of {rows}")
    warehouse.unlink()
    return done


def write_many(source: Path, target: Path, rows: int) -> None:
    """The rows of a real day over and over, each with a key of its own: another flight number and another minute.

    Carrier, route, hour, delays and all else stay as they were, so that every row keeps the contract.
    """
    progress(f"writing a day of {rows:,} rows")
    with duckdb.connect(config={"memory_limit": "1GB", "temp_directory": str(target.parent)}) as con:
        con.execute(
            f"""
            COPY (
                WITH flights AS (
                    SELECT *, row_number() OVER (ORDER BY line) AS place,
                        row_number() OVER same - 1 AS number, count(*) OVER same AS size
                    FROM (SELECT row_number() OVER () AS line, * FROM read_csv('{source}', all_varchar = true))
                    WINDOW same AS (PARTITION BY carrier, origin, hour ORDER BY line
                        ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)
                ), many AS (
                    SELECT *, repetition * size + number AS new
                    FROM range(1 + {rows} // (SELECT count(*) FROM flights)) AS r(repetition), flights
                    LIMIT {rows}
                )
                SELECT year, month, day, dep_time, (100 * hour::INT + new % 60)::VARCHAR AS sched_dep_time, dep_delay,
                    arr_time, sched_arr_time, arr_delay, carrier, (1 + new // 60)::VARCHAR AS flight, tailnum, origin,
                    dest, air_time, distance, hour, (new % 60)::VARCHAR AS minute, time_hour
                FROM many
            ) TO '{target}' (HEADER, QUOTE '')
            """
        )


if __name__ == "__main__":
    main()
