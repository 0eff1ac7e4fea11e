"""A second, hourly pipeline beside the daily one, where the orchestrator runs in its cloud alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import duckdb
from conformance import flights
from projects import RUN_SECONDS, SET_UP_SECONDS, Project

HOURS = [f"2013-03-10T{hour:02}Z" for hour in range(5, 9)]  # New York's clocks change at 07Z
DAY = "2013-01-02"


def project_with_an_hourly_pipeline(rendered: Path, folder: Path, orchestrator: str) -> Project:
    """An installed copy of a rendered project, to which ``make pipeline`` has added the hourly pipeline weather."""
    project = Project(Path(shutil.copytree(rendered, folder)), (orchestrator,))
    made = ("pipeline", "NAME=weather", f"SAMPLE={flights.weather()}", "GRAIN=hour")
    for command in (["setup"], made):
        done = project.make(*command, timeout=SET_UP_SECONDS)
        assert done.returncode == 0, done.stdout + done.stderr
    return project


def deployed(project: Project, command: tuple[str, ...], file: str, **variables: str) -> dict:
    """What this command writes into a file for Terraform."""
    done = project.make(*command, timeout=RUN_SECONDS, **variables)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads((project.folder / file).read_text())


def each_hour_publishes_its_own_rows(project: Project) -> None:
    """Hours across a change of clocks, then a day of the other pipeline."""
    landing = project.folder / "data" / "landing" / "weather"
    landed = {hour: flights.land_weather(landing, hour) for hour in HOURS}
    span = ("PIPELINE=weather", f"FROM={HOURS[0]}", f"TO={HOURS[-1]}")
    for command in (("backfill", *span), ("run", "PIPELINE=flights_daily", f"DATE={DAY}")):
        done = project.make(*command, timeout=4 * RUN_SECONDS)
        assert done.returncode == 0, done.stdout + done.stderr
    assert all(landed.values())
    assert published(project) == landed


def published(project: Project) -> dict[str, int]:
    """Published rows of the hourly pipeline, by the key of their hour."""
    count = "SELECT strftime(time_hour, '%Y-%m-%dT%HZ'), count(*) FROM fact_weather GROUP BY 1"
    with duckdb.connect(project.folder / "var" / "dev" / "warehouse.duckdb", read_only=True) as con:
        return dict(con.execute(count).fetchall())


def remove(project: Project) -> None:
    """Remove it; the daily pipeline and what was published stay."""
    before = published(project)
    for command in (("pipeline-remove", "NAME=weather"), ("run", f"DATE={DAY}")):
        done = project.make(*command, timeout=RUN_SECONDS)
        assert done.returncode == 0, done.stdout + done.stderr
    assert published(project) == before
