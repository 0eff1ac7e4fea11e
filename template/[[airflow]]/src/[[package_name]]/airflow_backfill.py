"""Backfill through Airflow's own: its runs execute on the services of `make up`, and each is shown as it ends.

Airflow backfills ticks of the schedule: a day is that of the first tick on the day after, and one without a tick is a
run by hand. The runs are the server's: when this is interrupted they go on, and the same command finds them again.
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
RECONNECTIONS = 6  # over a quarter of a minute, as a server needs that is started again
LOCKED_SECONDS = 60  # to try again when SQLite, which has one writer, is locked
UNENDED = ("queued", "running")

Run = dict[str, Any]  # as the API tells it


def run(pipeline: str, server: str, days: Sequence[date]) -> int:
    """Run the days and wait for them; returns the exit code, 1 when a day was not published. server: its address."""
    settings = config.load()
    print(f"{pipeline} {days[0]} to {days[-1]} on airflow ({settings.env}), on the services of `make up`", flush=True)
    transport = httpx.HTTPTransport(retries=RECONNECTIONS)
    with httpx.Client(base_url=f"{server}/api/v2", timeout=60, transport=transport) as http:
        try:
            token = http.get(f"{server}/auth/token").raise_for_status().json()["access_token"]
            http.headers["Authorization"] = f"Bearer {token}"
            failed = Backfill(http, server, pipeline, settings).run(days)
        except httpx.TransportError:
            raise PermanentError(f"Airflow does not answer at {server}; runs that have begun go on") from None
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
        unended = self._runs(state=UNENDED)
        under_way = {day: unended[day] for day in days if day in unended}
        ticks = self._ticks(min(days), max(days))
        first_tick = {self._day_before(tick): tick for tick in reversed(ticks)}
        wanted = [day for day in days if day not in under_way]
        without = {day: self._trigger(day) for day in wanted if day not in first_tick}
        stretches = _stretches([first_tick[day] for day in wanted if day in first_tick], ticks)
        failed: dict[date, str] = {}
        ended = 0
        for batch in chain([under_way | without], map(self._create, stretches)):
            for day, run in self._as_they_end(batch):
                ended += 1
                if run["state"] != "success":
                    failed[day] = self._reason(run)
                print(f"  {day}  {run['state']:<10}{run['duration'] or 0:7.1f} s   {ended} of {len(days)}", flush=True)
        return failed

    def _ticks(self, first: date, last: date) -> list[datetime]:
        """The ticks that a backfill of these days would run, in order."""
        after_first, after_last = first + timedelta(days=1), last + timedelta(days=1)
        span = (datetime.combine(after_first, clock.min, self.zone), datetime.combine(after_last, clock.max, self.zone))
        answer = self._post("/backfills/dry_run", self._span(*span))
        return [datetime.fromisoformat(each["logical_date"]) for each in answer["backfills"]]

    def _create(self, ticks: Sequence[datetime]) -> dict[date, Run]:
        """Start a backfill of these ticks, as soon as no other is active; returns its runs by the day they process."""
        while active := self._active():
            if active["is_paused"]:
                raise PermanentError(f"backfill {active['id']} of {self.dag_id} is paused: end it at {self.server}")
            time.sleep(POLL_SECONDS)  # Airflow allows one a DAG, and notes its end up to half a minute later
        self._post("/backfills", self._span(ticks[0], ticks[-1]) | {"max_active_runs": self.runs_at_once})
        return self._runs(logical_date_gte=ticks[0].isoformat(), logical_date_lte=ticks[-1].isoformat())

    def _active(self) -> Run | None:
        newest = self._get("/backfills", dag_id=self.dag_id, limit=1, order_by="-id")["backfills"]
        return newest[0] if newest and newest[0]["completed_at"] is None else None

    def _trigger(self, day: date) -> Run:
        """A run of a day that no tick of the schedule processes."""
        return self._post(f"/dags/{self.dag_id}/dagRuns", {"logical_date": None, "conf": {"date": day.isoformat()}})

    def _as_they_end(self, runs: dict[date, Run]) -> Iterator[tuple[date, Run]]:
        pending = {day: run["dag_run_id"] for day, run in sorted(runs.items())}
        while pending:
            # They begin in order, so those that can have ended are among the first.
            for day, run_id in list(pending.items())[: 2 * self.runs_at_once]:
                run = self._get(f"/dags/{self.dag_id}/dagRuns/{quote(run_id)}")
                if run["state"] not in UNENDED:
                    del pending[day]
                    yield day, run
            if pending:
                time.sleep(POLL_SECONDS)

    def _runs(self, **chosen: Any) -> dict[date, Run]:
        """Runs of the DAG by the day they process; of several for a day the first."""
        found: dict[date, Run] = {}
        offset, total = 0, 1
        while offset < total:
            latest_first = {"order_by": "-run_after", "limit": PAGE, "offset": offset}
            page = self._get(f"/dags/{self.dag_id}/dagRuns", **chosen, **latest_first)
            found |= {self._day(run): run for run in page["dag_runs"]}
            offset, total = offset + PAGE, page["total_entries"]
        return found

    def _day(self, run: Run) -> date:
        """The day that a run processes, as in `airflow_policies`."""
        if given := (run["conf"] or {}).get("date"):
            return date.fromisoformat(given)
        return self._day_before(datetime.fromisoformat(run["run_after"]))

    def _day_before(self, tick: datetime) -> date:
        return tick.astimezone(self.zone).date() - timedelta(days=1)

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
            told = "json" in answer.headers.get("content-type", "")
            reason = answer.json().get("detail") if told else answer.text
            raise PermanentError(f"Airflow refuses the backfill: {reason} ({answer.status_code})")
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
