"""Backfill through Airflow's own: its runs execute on the services of `make up`, and each is shown as it ends.

Airflow backfills ticks of the schedule: a day is that of the first tick on the day after. The runs are the server's:
when this is interrupted they go on, and the same command finds them again.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from datetime import time as clock
from itertools import chain
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

import httpx

from .platform import config
from .platform.errors import PermanentError

POLL_SECONDS = 2
PAGE = 100  # runs that the server tells of in one answer
LOCKED_SECONDS = 60  # to try again when SQLite, which has one writer, is locked
UNENDED = ("queued", "running")

Run = dict[str, Any]  # as the API tells it


def run(pipeline: str, server: str, days: Sequence[date]) -> int:
    """Run the days and wait for them; returns the exit code, 1 when a day was not published. server: its address."""
    settings = config.load()
    print(f"{pipeline} {days[0]} to {days[-1]} on airflow ({settings.env}), on the services of `make up`", flush=True)
    with httpx.Client(base_url=f"{server}/api/v2", timeout=60) as http:
        token = http.get(f"{server}/auth/token").raise_for_status().json()["access_token"]
        http.headers["Authorization"] = f"Bearer {token}"
        backfill = Backfill(http, server, pipeline, settings)
        try:
            failed = backfill.run(days)
        except KeyboardInterrupt:
            print("\nthe runs go on, and the same command shows them again; stop them in the UI", file=sys.stderr)
            raise
    print(f"{len(days) - len(failed)} of {len(days)} days published")
    for day, reason in sorted(failed.items()):
        print(f"error: {pipeline} {day}: {reason}", file=sys.stderr)
    if failed:
        print(f"when that is mended: make backfill FROM={days[0]} TO={days[-1]} ONLY_MISSING=1", file=sys.stderr)
    return 1 if failed else 0


class Backfill:
    """A backfill of one DAG, over the REST API of a server."""

    def __init__(self, http: httpx.Client, server: str, dag_id: str, settings: config.Settings) -> None:
        self.http, self.server, self.dag_id = http, server, dag_id
        self.zone = ZoneInfo(settings.for_pipeline(dag_id).schedule.timezone)
        # So many that the pool of the warehouse is never idle while one of them waits or starts.
        self.runs_at_once = 2 * settings.concurrency.get("warehouse", 1)

    def run(self, days: Sequence[date]) -> dict[date, str]:
        """Run the days, each once, and show them as they end; returns those that failed, and why."""
        first, last = self._ticks_from_to(min(days), max(days))
        runs = self._runs(first, last)
        under_way = {day: runs[day] for day in days if day in runs and runs[day]["state"] in UNENDED}
        ticks = self._dry_run(first, last)
        first_tick = {self._day(tick): tick for tick in reversed(ticks)}
        wanted = [day for day in days if day in first_tick and day not in under_way]
        without = set(days) - set(wanted) - set(under_way)
        told = "no tick of the schedule falls on the day after; run it alone: make run DATE={}"
        failed = {day: told.format(day) for day in without}
        created = (self._create(span) for span in _stretches([first_tick[day] for day in wanted], ticks))
        ended = 0
        for batch in chain([under_way], created):
            for day, run in self._as_they_end(batch):
                ended += 1
                if run["state"] != "success":
                    failed[day] = self._reason(run)
                print(f"  {day}  {run['state']:<10}{run['duration'] or 0:7.1f} s   {ended} of {len(days)}", flush=True)
        return failed

    def _ticks_from_to(self, first: date, last: date) -> tuple[datetime, datetime]:
        """Beginning and end of the time whose ticks process these days."""
        after_first, after_last = first + timedelta(days=1), last + timedelta(days=1)
        return datetime.combine(after_first, clock.min, self.zone), datetime.combine(after_last, clock.max, self.zone)

    def _day(self, tick: datetime) -> date:
        return tick.astimezone(self.zone).date() - timedelta(days=1)

    def _dry_run(self, first: datetime, last: datetime) -> list[datetime]:
        """The ticks that a backfill would run, in order."""
        answer = self._post("/backfills/dry_run", self._span(first, last))
        return [datetime.fromisoformat(each["logical_date"]) for each in answer["backfills"]]

    def _create(self, ticks: Sequence[datetime]) -> dict[date, Run]:
        """Start a backfill of these ticks, as soon as no other is active; returns its runs by the day they process."""
        while active := self._active():
            if active["is_paused"]:
                raise PermanentError(f"backfill {active['id']} of {self.dag_id} is paused: end it at {self.server}")
            time.sleep(POLL_SECONDS)  # Airflow allows one a DAG, and notes its end up to half a minute later
        self._post("/backfills", self._span(ticks[0], ticks[-1]) | {"max_active_runs": self.runs_at_once})
        return self._runs(ticks[0], ticks[-1])

    def _active(self) -> Run | None:
        newest = self._get("/backfills", dag_id=self.dag_id, limit=1, order_by="-id")["backfills"]
        return newest[0] if newest and newest[0]["completed_at"] is None else None

    def _as_they_end(self, runs: dict[date, Run]) -> Iterator[tuple[date, Run]]:
        pending = {day: run["dag_run_id"] for day, run in runs.items()}
        while pending:
            first, last = self._ticks_from_to(min(pending), max(pending))
            for day, run in self._runs(first, last).items():
                if run["dag_run_id"] == pending.get(day) and run["state"] not in UNENDED:
                    del pending[day]
                    yield day, run
            if pending:
                time.sleep(POLL_SECONDS)

    def _runs(self, first: datetime, last: datetime) -> dict[date, Run]:
        """Runs of the ticks in that time, by the day they process; of several for a day the first."""
        found: dict[date, Run] = {}
        span = {"logical_date_gte": first.isoformat(), "logical_date_lte": last.isoformat()}
        offset, total = 0, 1
        while offset < total:
            latest_first = {"order_by": "-logical_date", "limit": PAGE, "offset": offset}
            page = self._get(f"/dags/{self.dag_id}/dagRuns", **span, **latest_first)
            found |= {self._day(datetime.fromisoformat(run["logical_date"])): run for run in page["dag_runs"]}
            offset, total = offset + PAGE, page["total_entries"]
        return found

    def _reason(self, run: Run) -> str:
        path = f"dags/{self.dag_id}/dagRuns/{quote(run['dag_run_id'])}"
        tasks = self._get(f"/{path}/taskInstances")["task_instances"]
        steps = ", ".join(task["task_id"] for task in tasks if task["state"] == "failed") or "the run"
        return f"{steps} failed, see {self.server}/{path.replace('dagRuns', 'runs')}"

    def _span(self, first: datetime, last: datetime) -> dict[str, str]:
        span = {"from_date": first.isoformat(), "to_date": last.isoformat()}
        return {"dag_id": self.dag_id, "reprocess_behavior": "completed", **span}

    def _get(self, path: str, **parameters: Any) -> Any:
        return self.http.get(path, params=parameters).raise_for_status().json()

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        for _ in range(LOCKED_SECONDS):
            answer = self.http.post(path, json=body)
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                break
            time.sleep(1)
        if answer.is_error:
            raise PermanentError(f"Airflow refuses the backfill: {answer.json().get('detail', answer.text)}")
        return answer.json()


def _stretches(wanted: Sequence[datetime], ticks: Sequence[datetime]) -> Iterator[list[datetime]]:
    """The wanted ticks in stretches without another tick in between: one backfill runs all ticks of its time."""
    stretch: list[datetime] = []
    for tick in ticks:
        if tick in wanted:
            stretch.append(tick)
        elif stretch:
            yield stretch
            stretch = []
    if stretch:
        yield stretch
