"""An export of runs, CSV or JSON: when each pipeline ran last, and so which are dead."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from .estate import Estate
from .facts import READ, Fact, Problem

# Columns as Airflow, Prefect, Dagster, Oozie and their databases name them; the first that a file has counts.
NAMES = (
    "dag_id",
    "pipeline",
    "flow_name",
    "flow",
    "job_name",
    "jobName",
    "pipeline_name",
    "app_name",
    "appName",
    "task_family",
    "name",
)
DATES = (
    "last_run",
    "start_date",
    "start_time",
    "startTime",
    "startedTime",
    "execution_date",
    "logical_date",
    "end_date",
    "end_time",
    "endTime",
    "created",
    "date",
)
LISTS = ("runs", "dag_runs", "results", "workflows")


class RunsError(Exception):
    """The export cannot be used; the message says why and what to do."""


def apply(estate: Estate, file: Path, dead_after: int) -> None:
    """Note when each pipeline ran last; one that did not for ``dead_after`` days before the newest run is dead."""
    rows = _rows(file)
    last, unused = _last(rows, file)
    newest = max(last.values())
    known = set()
    for pipeline in estate.pipelines:
        name = next((each for each in (pipeline.name.value, pipeline.name.value.replace("-", "_")) if each in last), "")
        known.add(name)
        if name:
            pipeline.last_run = last[name].isoformat()
            old = newest - last[name] > timedelta(days=dead_after)
            pipeline.dead = Fact(f"last run on {last[name]}", READ) if old else None
        elif pipeline.name.sure and not pipeline.repeated:
            pipeline.dead = (
                Fact(f"no run in {file.name}", READ) if _covers(pipeline.orchestrator, estate, last) else None
            )
    estate.unknown_runs = sorted(last.keys() - known)
    if unused:
        estate.problems.append(Problem(str(file), 1, f"{unused} rows have no name or no date, and are left out"))


def _covers(orchestrator: str, estate: Estate, last: dict[str, date]) -> bool:
    """Whether the export has runs of an orchestrator at all: one of Airflow says nothing of what cron runs."""
    names = {pipeline.name.value for pipeline in estate.pipelines if pipeline.orchestrator == orchestrator}
    return bool({each.replace("-", "_") for each in names} & {each.replace("-", "_") for each in last})


def _rows(file: Path) -> list[dict[str, Any]]:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise RunsError(f"{file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise RunsError(f"{file} is no text: export the runs as CSV or JSON") from None
    if text.lstrip()[:1] in ("[", "{"):
        try:
            found = json.loads(text)
        except json.JSONDecodeError as error:
            raise RunsError(f"{file} is no JSON: {error.msg} in line {error.lineno}") from None
        if isinstance(found, dict):
            found = next((found[key] for key in LISTS if isinstance(found.get(key), list)), [])
        return [row for row in found if isinstance(row, dict)]
    try:
        return list(csv.DictReader(text.splitlines(), skipinitialspace=True))
    except csv.Error as error:
        raise RunsError(f"{file} is no CSV: {error}") from None


def _last(rows: list[dict[str, Any]], file: Path) -> tuple[dict[str, date], int]:
    """The day of the last run of each name, and how many rows could not be used."""
    columns = {key for row in rows for key in row if key}
    name = next((each for each in NAMES if each in columns), None)
    dates = [each for each in DATES if each in columns]
    if not name or not dates:
        wanted = f"one of {', '.join(NAMES)} and one of {', '.join(DATES)}"
        raise RunsError(f"{file} does not say which pipelines ran when: it needs a column {wanted}")
    last: dict[str, date] = {}
    unused = 0
    for row in rows:
        day = _day(row.get(each) for each in dates)
        if row.get(name) and day:
            last[str(row[name])] = max(day, last.get(str(row[name]), day))
        else:
            unused += 1
    if not last:
        raise RunsError(f"{file} has no row with a name and a date such as 2026-01-31")
    return last, unused


def _day(values: Iterable[Any]) -> date | None:
    for value in values:
        try:
            if isinstance(value, int | float) and not isinstance(value, bool):
                return datetime.fromtimestamp(value, UTC).date()
            if value:
                return datetime.fromisoformat(str(value).strip()).date()
        except (ValueError, OverflowError, OSError):
            continue
    return None
