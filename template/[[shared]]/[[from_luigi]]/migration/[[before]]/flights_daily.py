# /// script
# requires-python = ">=3.10"
# dependencies = ["luigi>=3.6,<4", "duckdb>=1.3,<2"]
# ///
"""How flights_daily ran before, on Luigi. Its environment is its own: uv makes it from the lines above.

uv run --script migration/before/flights_daily.py PublishFlights --day 2013-01-02 --local-scheduler
"""

import datetime
import os
import sys
from pathlib import Path

import duckdb
import luigi
from luigi.util import requires

HERE = Path(__file__).parent
LANDING = Path(os.environ.get("LANDING", "data/landing/flights_daily"))
WAREHOUSE = Path(os.environ.get("WAREHOUSE", "var/before.duckdb"))
ONE_WRITER = {"warehouse": 1}  # Luigi's scheduler gives a resource to one task at a time


def run_sql(name: str, day: datetime.date) -> None:
    """Run a file of SQL with the variables that it reads."""
    WAREHOUSE.parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(WAREHOUSE) as con:
        con.execute(f"SET VARIABLE day = '{day}'; SET VARIABLE file = '{LANDING / str(day) / 'flights.csv'}'")
        con.execute((HERE / name).read_text())


class Marker(luigi.Target):
    """A row in the warehouse that says that a task is done, as its tables alone do not."""

    def __init__(self, task: luigi.Task) -> None:
        self.task_id = task.task_id

    def exists(self) -> bool:
        return WAREHOUSE.exists() and self._execute("SELECT 1 FROM done WHERE task_id = ?") is not None

    def touch(self) -> None:
        self._execute("INSERT OR IGNORE INTO done VALUES (?)")

    def _execute(self, statement: str) -> tuple | None:
        with duckdb.connect(WAREHOUSE) as con:
            con.execute("CREATE TABLE IF NOT EXISTS done (task_id VARCHAR PRIMARY KEY)")
            return con.execute(statement, [self.task_id]).fetchone()


class LandedFlights(luigi.ExternalTask):
    """The file of a day, complete when its marker is there."""

    day = luigi.DateParameter()

    def output(self) -> luigi.Target:
        return luigi.LocalTarget(LANDING / str(self.day) / "_SUCCESS")


@requires(LandedFlights)
class StageFlights(luigi.Task):
    retry_count = 3
    worker_timeout = 1800
    resources = ONE_WRITER

    def output(self) -> luigi.Target:
        return Marker(self)

    def run(self) -> None:
        run_sql("stage.sql", self.day)
        self.output().touch()


@requires(StageFlights)
class CheckFlights(luigi.Task):
    resources = ONE_WRITER

    def output(self) -> luigi.Target:
        return Marker(self)

    def run(self) -> None:
        with duckdb.connect(WAREHOUSE) as con:
            rows = con.execute("SELECT count(*) FROM staged_flights").fetchone()[0]
        if not 300 <= rows <= 2000:
            raise ValueError(f"{rows} flights on {self.day} are not a day of flights")
        self.output().touch()


@requires(CheckFlights)
class PublishFlights(luigi.Task):
    retry_count = 3
    worker_timeout = 1800
    resources = ONE_WRITER

    def output(self) -> luigi.Target:
        return Marker(self)

    def run(self) -> None:
        run_sql("publish.sql", self.day)
        self.output().touch()


if __name__ == "__main__":
    sys.exit(0 if luigi.run() else 1)
