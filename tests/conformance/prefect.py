"""Prefect through its REST API: server, worker and operations of `make up`."""

from __future__ import annotations

import json
import re
import urllib.request
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from repository import ROOT

from conformance.engine import Attempt, Day, EngineWithRecords, Run, State

STATES: dict[str, State] = {
    "SCHEDULED": "queued",
    "PENDING": "queued",
    "RUNNING": "running",
    "COMPLETED": "success",
    "FAILED": "failed",
}
RESTARTS = 2  # of a run whose process died: as many as retries in conformance.toml
WAITING = "AwaitingInput"
# What each role's processes have in their command line, run in the project's folder.
COMMANDS = {
    "server": "orchestration.prefect.service server",
    "worker": "orchestration.prefect.service worker",
    "operations": "orchestration.prefect.service operations",
    "run": "prefect.engine",
}
DEPLOYMENT = "conformance"  # named after the environment
TICKS = """
import json, sys
from datetime import datetime
import anyio
from prefect.server.schemas.schedules import CronSchedule
from {package}.orchestration.prefect import deployments
from {package}.platform import pipelines

pipeline = pipelines.get("flights_daily")
[configured] = deployments.schedules(pipeline)
schedule = CronSchedule(cron=configured.cron, timezone=configured.timezone)
ticks = anyio.run(schedule.get_dates, int(sys.argv[2]), datetime.fromisoformat(sys.argv[1]))
print(json.dumps([(str(tick), pipeline.due(tick).key) for tick in ticks]))
"""


class PrefectEngine(EngineWithRecords):
    name: ClassVar[str] = "prefect"
    roles: ClassVar[tuple[str, ...]] = ("server", "worker", "operations", "run")
    waits_as: ClassVar[tuple[State, ...]] = ("waiting",)  # a run is queued before its first look
    doubled: ClassVar[str] = "worker"

    def up(self, **variables: str) -> None:
        super().up(**{"PREFECT_SERVER_SERVICES_DB_VACUUM_LOOP_SECONDS": "10", **variables})

    def in_production(self) -> dict[str, str]:
        values = ROOT / "template/[[prefect]]/[[prefect_on_kubernetes]]/deploy/kubernetes/prefect-worker.yml.jinja"
        [seconds] = re.findall(r"^    queryInterval: (\d+)", values.read_text(), re.MULTILINE)
        return {"PREFECT_WORKER_QUERY_SECONDS": seconds}

    def trigger(self, day: Day) -> str:
        deployment = self._call(f"/deployments/name/{self.pipeline}/{DEPLOYMENT}")["id"]
        body = {"parameters": {"partition": str(day)}, "state": {"type": "SCHEDULED"}}
        return self._call(f"/deployments/{deployment}/create_flow_run", body)["id"]

    def run(self, run_id: str) -> Run:
        return self._as_told(self._call(f"/flow_runs/{run_id}"))

    def _as_told(self, found: dict[str, Any]) -> Run:
        run_id = found["id"]
        attempts: dict[str, list[Attempt]] = {}
        for task_run in self._task_runs(run_id):
            states = self._call(f"/task_run_states/?task_run_id={task_run['id']}")
            attempts.setdefault(task_run["name"].rpartition("-")[0], []).extend(attempts_in(states))
        for of_step in attempts.values():
            of_step.sort(key=lambda attempt: attempt.began)
        return Run(run_id, self._state_of(found), attempts)

    def runs_of(self, day: Day) -> list[Run]:
        wanted = {"flows": self._flow, "sort": "EXPECTED_START_TIME_ASC"}
        found, page = [], [None]
        while page:
            page = self._call("/flow_runs/filter", {**wanted, "offset": len(found), "limit": 200})
            found += page
        now = datetime.now(UTC)
        due = [run for run in found if not run["auto_scheduled"] or moment(run["expected_start_time"]) <= now]
        return [self._as_told(run) for run in due if self._day_of(run) == str(day)]

    def places_taken(self) -> int:
        taken = {"state": {"type": {"any_": ["RUNNING", "PENDING"]}}}
        return len(self._call("/flow_runs/filter", {"flow_runs": taken, "flows": self._flow}))

    def pids(self, role: str) -> list[int]:
        found = []
        for entry in Path("/proc").iterdir():
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                inside = str(self.project.folder) in (entry / "environ").read_bytes().decode(errors="replace")
            except (OSError, ValueError):
                continue  # no process, or it ended meanwhile
            if COMMANDS[role] in command and inside:
                found.append(int(entry.name))
        return found

    def metadata(self, run_id: str) -> str:
        about = {"logs": {"flow_run_id": {"any_": [run_id]}}}
        return json.dumps(
            [
                self._call(f"/flow_runs/{run_id}"),
                self._call(f"/flow_run_states/?flow_run_id={run_id}"),
                self._task_runs(run_id),
                self._call("/logs/filter", about),
                self._call("/events/filter", {"filter": {"related": {"id": [f"prefect.flow-run.{run_id}"]}}}),
                self._call("/events/filter", {"filter": {"resource": {"id": [f"prefect.flow-run.{run_id}"]}}}),
                self._call("/deployments/filter", {}),
                self._call("/work_pools/filter", {}),
                self._call("/block_documents/filter", {}),
                self._call("/automations/filter", {}),
            ]
        )

    def pipelines(self) -> set[str]:
        deployed = self._call("/deployments/filter", {})
        return {each["entrypoint"].rpartition(":")[2] for each in deployed if each["name"] == DEPLOYMENT}

    def ticks(self, after: datetime, count: int, cron: str, timezone: str) -> list[tuple[datetime, date]]:
        [package] = [path.parent.name for path in (self.project.folder / "src").glob("*/platform")]
        command = [".venv/bin/python", "-c", TICKS.format(package=package), after.isoformat(), str(count)]
        found = json.loads(self.with_schedule(command, cron, timezone))
        return [(datetime.fromisoformat(tick), date.fromisoformat(day)) for tick, day in found]

    def age(self, run_id: str, days: int) -> None:
        older = ", ".join(f"{column} = {column} - make_interval(days => %s)" for column in ("start_time", "end_time"))
        self.in_records(f"UPDATE flow_run SET {older} WHERE id = %s", days, days, run_id)

    def look_for_old_history(self) -> None:
        """It looks every few seconds, see `up`."""

    @property
    def _flow(self) -> dict[str, Any]:
        return {"name": {"any_": [self.pipeline]}}

    def _task_runs(self, run_id: str) -> list[dict[str, Any]]:
        return self._call("/task_runs/filter", {"flow_runs": {"id": {"any_": [run_id]}}})

    def _state_of(self, run: dict[str, Any]) -> State:
        if run["state_name"] == WAITING:
            return "waiting"
        if run["state_type"] != "CRASHED":
            return STATES.get(run["state_type"], "failed")
        # Prefect says crashed a moment before the project's hook lets the run start again.
        states = self._call(f"/flow_run_states/?flow_run_id={run['id']}")
        return "queued" if sum(each["name"] == "AwaitingRetry" for each in states) < RESTARTS else "failed"

    def _day_of(self, run: dict[str, Any]) -> str:
        """The partition of its parameter, else the day before its scheduled start in the time zone of its schedule."""
        if given := run["parameters"].get("partition"):
            return given
        [schedule] = self._call(f"/deployments/name/{self.pipeline}/{DEPLOYMENT}")["schedules"]
        zone = ZoneInfo(schedule["schedule"]["timezone"])
        return str(moment(run["expected_start_time"]).astimezone(zone).date() - timedelta(days=1))

    def _call(self, path: str, body: Any = None) -> Any:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/api{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310  our own loopback address
            return json.load(answer)


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def attempts_in(states: list[dict[str, Any]]) -> list[Attempt]:
    """An attempt begins with each RUNNING state, and ends with the state after it."""
    found: list[Attempt] = []
    for state in sorted(states, key=lambda each: each["timestamp"]):
        when = moment(state["timestamp"]).timestamp()
        if found and found[-1].ended is None:
            found[-1].ended, found[-1].state = when, state["name"]
        if state["type"] == "RUNNING":
            found.append(Attempt(when, None, state["name"]))
    return found


ENGINE = PrefectEngine
