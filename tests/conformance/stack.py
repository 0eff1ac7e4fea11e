"""One running engine as the behaviours' tests see it: its project, its input, its warehouse and its alerts."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import psycopg
from combinations import MANIFESTS
from projects import Project

from conformance import flights
from conformance.alert_receiver import AlertReceiver
from conformance.engine import Engine
from conformance.warehouse_proxy import WarehouseProxy

PASSWORD = "correct-horse-battery-staple"  # noqa: S105  of a server that lives as long as the tests
# Local days and hours of UTC side by side, where clocks change on 10 March 2013.
WEATHER = """
[env.conformance.landing]
url = "data/landing/weather"

[env.conformance.schedule]
timezone = "America/New_York"
"""


@dataclass
class Stack:
    """One engine, running. landing: where its input lands."""

    engine: Engine
    project: Project
    landing: Path
    proxy: WarehouseProxy
    receiver: AlertReceiver
    warehouse_url: str

    @property
    def version(self) -> str:
        """The orchestrator's package and its version, as the project has installed it."""
        package = re.match(r"[\w-]+", MANIFESTS[self.engine.name]["dependencies"][0])[0]
        locked = tomllib.loads((self.project.folder / "uv.lock").read_text())["package"]
        return " ".join([package, *(each["version"] for each in locked if each["name"] == package)])

    def land(self, day: date, **how: int | bool) -> date:
        flights.land(self.landing, day, **how)
        return day

    def land_empty(self, day: date) -> None:
        """A day without its file, but said to be complete."""
        folder = self.landing / day.isoformat()
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "_SUCCESS").touch()

    def hourly_rows(self, table: str, key: str) -> int:
        """Published rows of an hour."""
        with psycopg.connect(self.warehouse_url, autocommit=True) as con:
            hour = datetime.strptime(key, "%Y-%m-%dT%HZ")  # noqa: DTZ007  UTC, as the table has it
            return con.execute(f"SELECT count(*) FROM {table} WHERE time_hour = %s", [hour]).fetchone()[0]

    def rows(self, table: str, day: date) -> int:
        """Published rows of a day, as a reader outside sees them; 0 when there is no such table."""
        with psycopg.connect(self.warehouse_url, autocommit=True) as con:
            if con.execute("SELECT to_regclass(%s)", [table]).fetchone() == (None,):
                return 0
            return con.execute(f"SELECT count(*) FROM {table} WHERE flight_date = %s", [day]).fetchone()[0]


def add_weather(folder: Path) -> None:
    """The pipeline that is not the sample: hourly, made as a team makes one."""
    command = [sys.executable, "scripts/pipeline.py", "--name", "weather", "--sample", str(flights.weather())]
    done = subprocess.run([*command, "--grain", "hour"], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with (folder / "config" / "pipelines" / "weather.toml").open("a") as file:
        file.write(WEATHER)
