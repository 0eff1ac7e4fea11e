"""Apache Airflow, driven and seen through its REST API, and its processes through /proc."""

from __future__ import annotations

import json
import os
import re
import signal
import time
import urllib.error
import urllib.parse
import urllib.request
from datetime import date, datetime
from pathlib import Path
from typing import Any

import yaml
from projects import UV
from repository import ROOT

from conformance.engine import Attempt, Day, EngineWithRecords, Run

# States of a task in which no attempt of it has begun.
NOT_BEGUN = (None, "scheduled", "queued", "upstream_failed", "skipped", "removed")
TICKS = """
import json, sys
from datetime import datetime
from airflow.dag_processing.dagbag import DagBag
from airflow.timetables.base import TimeRestriction
from airflow._shared.timezones.timezone import coerce_datetime
after, count = datetime.fromisoformat(sys.argv[1]), int(sys.argv[2])
timetable = DagBag("dags/flights_daily.py").dags["flights_daily"].timetable
restriction = TimeRestriction(earliest=coerce_datetime(after), latest=None, catchup=True)
ticks, last = [], None
for _ in range(count):
    last = timetable.next_dagrun_info_v2(last_dagrun_info=last, restriction=restriction)
    ticks.append((last.run_after.isoformat(), last.partition_key))
print("TICKS", json.dumps(ticks))
"""


class Airflow(EngineWithRecords):
    name = "airflow"
    roles = ("scheduler", "api-server", "dag-processor")
    waits_as = ("waiting",)
    doubled = "scheduler"

    token = ""

    def up(self, **variables: str) -> None:
        super().up(**variables)
        self.token = ""

    def in_production(self) -> dict[str, str]:
        values = (
            ROOT / "template/[[airflow]]/[[airflow_on_kubernetes]]/deploy/kubernetes/airflow.yml.jinja"
        ).read_text()
        [scheduler] = re.findall(r"^  scheduler: (\{.*\})$", values, re.MULTILINE)
        return {f"AIRFLOW__SCHEDULER__{key.upper()}": str(value) for key, value in yaml.safe_load(scheduler).items()}

    def trigger(self, day: Day) -> str:
        run = self._call(f"dags/{self.pipeline}/dagRuns", {"logical_date": None, "partition_key": str(day)})
        return run["dag_run_id"]

    def run(self, run_id: str) -> Run:
        path = f"dags/{self.pipeline}/dagRuns/{urllib.parse.quote(run_id)}"
        found = self._call(path)
        tasks = {task["task_id"]: task for task in self._call(f"{path}/taskInstances")["task_instances"]}
        attempts = {step: self._attempts(path, step) for step, task in tasks.items() if task["map_index"] < 0}
        waiting = tasks.get("wait_for_input", {}).get("state") == "up_for_reschedule"
        return Run(run_id, "waiting" if waiting else found["state"], attempts)

    def runs_of(self, day: Day) -> list[Run]:
        runs = self._call(f"dags/{self.pipeline}/dagRuns?limit=1000&order_by=run_after")["dag_runs"]
        return [self.run(run["dag_run_id"]) for run in runs if run["partition_key"] == str(day)]

    def places_taken(self) -> int:
        return sum(pool["running_slots"] for pool in self._call("pools")["pools"])

    def pids(self, role: str) -> list[int]:
        """scheduler: with its workers and what they run; run: what the workers run."""
        if role != "run":
            [service] = self._children(self.supervisor, role)
            return [*self._descendants(service), service] if role == "scheduler" else [service]
        [scheduler] = self._children(self.supervisor, "scheduler")
        return [run for worker in self._children(scheduler) for run in self._descendants(worker)]

    def metadata(self, run_id: str) -> str:
        path = f"dags/{self.pipeline}/dagRuns/{urllib.parse.quote(run_id)}"
        told: list[Any] = [
            self._call(path),
            self._call(f"eventLogs?dag_id={self.pipeline}&run_id={urllib.parse.quote(run_id)}"),
        ]
        for task in self._call(f"{path}/taskInstances")["task_instances"]:
            own = f"{path}/taskInstances/{task['task_id']}"
            told += [task, self._call(f"{own}/tries"), self._call(f"{own}/xcomEntries/return_value", missing={})]
            told += [self._call(f"{own}/logs/{number + 1}", missing={}) for number in range(task["try_number"])]
        return json.dumps(told)

    def pipelines(self) -> set[str]:
        return {dag["dag_id"] for dag in self._call("dags")["dags"]}

    def ticks(self, after: datetime, count: int, cron: str, timezone: str) -> list[tuple[datetime, date]]:
        command = [UV, "run", "--quiet", "--no-sync", "--env-file", "deploy/local/airflow.env", "python", "-c", TICKS]
        printed = self.with_schedule([*command, after.isoformat(), str(count)], cron, timezone)
        [line] = [line for line in printed.splitlines() if line.startswith("TICKS ")]
        found = json.loads(line.removeprefix("TICKS "))
        return [(datetime.fromisoformat(tick), date.fromisoformat(day)) for tick, day in found]

    def age(self, run_id: str, days: int) -> None:
        for table in ("dag_run", "task_instance"):
            columns = ("start_date", "end_date")
            older = ", ".join(f"{column} = {column} - make_interval(days => %s)" for column in columns)
            self.in_records(f"UPDATE {table} SET {older} WHERE run_id = %s", days, days, run_id)
        then = time.time() - days * 86400
        for folder in self.files_of(run_id):
            for path in (*folder.rglob("*"), folder):
                os.utime(path, (then, then))

    def look_for_old_history(self) -> None:
        """The service sleeps until the next day; supervisord starts it again when it has ended."""
        [service] = self._children(self.supervisor, "airflow.history") or self._children(self.supervisor, "sleep")
        os.kill(service, signal.SIGTERM)

    def _attempts(self, path: str, step: str) -> list[Attempt]:
        tries = self._call(f"{path}/taskInstances/{step}/tries", missing={"task_instances": []})["task_instances"]
        begun = [one for one in tries if one["state"] not in NOT_BEGUN and one["start_date"]]
        return [
            Attempt(_seconds(one["start_date"]), one["end_date"] and _seconds(one["end_date"]), one["state"])
            for one in sorted(begun, key=lambda one: one["try_number"])
        ]

    def _call(self, path: str, body: dict[str, Any] | None = None, missing: Any = None) -> Any:
        """JSON that the API answers; ``missing`` where there is no such thing, if that is given."""
        self.token = self.token or self._open("/auth/token")["access_token"]
        try:
            return self._open(f"/api/v2/{path}", body)
        except urllib.error.HTTPError as error:
            if error.code == 404 and missing is not None:
                return missing
            raise AssertionError(f"{error.code} {path}: {error.read().decode()}") from None

    def _open(self, path: str, body: dict[str, Any] | None = None) -> Any:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        headers |= {"Authorization": f"Bearer {self.token}"} if self.token else {}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, headers)
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310  our own loopback address
            return json.load(answer)

    def _children(self, parent: int, word: str = "") -> list[int]:
        """Child processes of that one, whose command line has the word; a service may write it with an underscore."""
        found = []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and _parent(entry) == parent:
                    command = (entry / "cmdline").read_bytes().replace(b"_", b"-").decode()
                    found += [int(entry.name)] if word in command else []
            except OSError:
                continue  # it ended meanwhile
        return found

    def _descendants(self, parent: int) -> list[int]:
        children = self._children(parent)
        return [*children, *(each for child in children for each in self._descendants(child))]


def _parent(entry: Path) -> int:
    return int((entry / "stat").read_text().rpartition(")")[2].split()[1])


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


ENGINE: type[EngineWithRecords] = Airflow
