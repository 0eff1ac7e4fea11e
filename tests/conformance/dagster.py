"""Dagster for the suite: code server, daemon and webserver, driven through GraphQL."""

from __future__ import annotations

import json
import urllib.request
from datetime import UTC, date, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from conformance.engine import Attempt, Day, EngineWithRecords, Run, State

PARTITION, WILL_RETRY = "dagster/partition", "dagster/will_retry"
STATES: dict[str, State] = {
    "QUEUED": "queued",
    "NOT_STARTED": "queued",
    "STARTING": "queued",
    "STARTED": "running",
    "CANCELING": "running",
    "SUCCESS": "success",
    "FAILURE": "failed",
    "CANCELED": "failed",
}
RUN = (
    "runId rootRunId status creationTime tags { key value } stepStats { stepKey status attempts { startTime endTime } }"
)
# The step that an op of the job runs, where it has another name.
STEPS = {"raw": "extract", "typed": "transform", "typed_contract": "check"}
# What its services are called in their command lines.
SERVICES = {"code": ("dagster\0api\0grpc",), "daemon": ("dagster-daemon",), "ui": ("dagster-webserver",)}
NEXT_TICKS = """
import itertools, json, sys
from dagster._utils.schedules import schedule_execution_time_iterator
from flight_marts.definitions import defs
from flight_marts.platform import pipelines
schedule = defs().resolve_schedule_def("flights_daily_schedule")
ticks = schedule_execution_time_iterator(float(sys.argv[1]), schedule.cron_schedule, schedule.execution_timezone)
for tick in itertools.islice(ticks, int(sys.argv[2])):
    print(json.dumps([tick.timestamp(), pipelines.get("flights_daily").due(tick).key]))
"""


class Dagster(EngineWithRecords):
    """A day that has not landed is awaited by the sensor, without a run: its id is then the day, until there is one."""

    name = "dagster"
    roles = ("run", "code", "daemon", "ui")

    def trigger(self, day: Day) -> str:
        if not (self._landing / str(day) / "_SUCCESS").exists():
            return str(day)
        # As its UI does: with the run configuration and the tags that the job has for this partition.
        query = """query($job: PipelineSelector!, $day: String!) { pipelineOrError(params: $job) { ... on Pipeline {
            partition(partitionName: $day) { runConfigOrError { ... on PartitionRunConfig { yaml } }
            tagsOrError { ... on PartitionTags { results { key value } } } } } } }"""
        found = self._ask(query, job=self._selector, day=str(day))["pipelineOrError"]["partition"]
        tags = found["tagsOrError"]["results"]
        launch = """mutation($run: ExecutionParams!) { launchRun(executionParams: $run) {
            __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
        run = {
            "selector": self._selector,
            "runConfigData": yaml.safe_load(found["runConfigOrError"]["yaml"]),
            "mode": "default",
            "executionMetadata": {"tags": [*tags, {"key": PARTITION, "value": str(day)}]},
        }
        launched = self._ask(launch, run=run)["launchRun"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        return launched["run"]["runId"]

    def run(self, run_id: str) -> Run:
        if len(run_id) <= len("2013-01-01"):
            requested = self._of_partition(run_id)
            return _run(requested[-1:], run_id) if requested else Run(run_id, "waiting")
        query = f"query($id: ID!) {{ runGroupOrError(runId: $id) {{ ... on RunGroup {{ runs {{ {RUN} }} }} }} }}"
        group = self._ask(query, id=run_id)["runGroupOrError"]["runs"]
        return _run(sorted(group, key=lambda run: run["creationTime"]), run_id)

    def runs_of(self, day: Day) -> list[Run]:
        return [_run([run], run["runId"]) for run in self._of_partition(str(day))]

    def places_taken(self) -> int:
        return len(self._runs({"statuses": ["STARTED", "STARTING"]}))

    def pids(self, role: str) -> list[int]:
        ours = _descendants(self.supervisor)
        if role in SERVICES:
            return [pid for pid, command in ours.items() if any(word in command for word in SERVICES[role])]
        return [pid for pid, command in ours.items() if "multiprocessing.spawn" in command]

    def metadata(self, run_id: str) -> str:
        query = """query($id: ID!) { runOrError(runId: $id) { ... on Run { runConfigYaml tags { key value }
            eventConnection { events { __typename ... on MessageEvent { message level stepKey eventType } } } } } }"""
        captured = [path.read_text() for path in (self._state / "logs" / run_id).rglob("*.*")]
        return json.dumps(self._ask(query, id=run_id)) + "\n".join(captured)

    def pipelines(self) -> set[str]:
        query = "{ repositoriesOrError { ... on RepositoryConnection { nodes { pipelines { name } } } } }"
        [repository] = self._ask(query)["repositoriesOrError"]["nodes"]
        return {job["name"] for job in repository["pipelines"]}

    def ticks(self, after: datetime, count: int, cron: str, timezone: str) -> list[tuple[datetime, date]]:
        command = [".venv/bin/python", "-c", NEXT_TICKS, str(after.timestamp()), str(count)]
        printed = self.with_schedule(command, cron, timezone)
        found = map(json.loads, printed.splitlines())
        return [(datetime.fromtimestamp(tick, UTC), date.fromisoformat(day)) for tick, day in found]

    def age(self, run_id: str, days: int) -> None:
        older = "update_timestamp = update_timestamp - make_interval(days => %s)"
        self.in_records(f"UPDATE runs SET {older} WHERE run_id = %s", days, run_id)

    def look_for_old_history(self) -> None:
        """As if the sensor's last look were long ago."""
        never = r"""regexp_replace(instigator_body, '("last_tick_(?:start_)?timestamp": )[0-9.]+', '\10.0', 'g')"""
        sensor = "%remove_old_history%"
        self.in_records(f"UPDATE instigators SET instigator_body = {never} WHERE instigator_body LIKE %s", sensor)

    def has_loaded(self) -> bool:
        """Whether the server knows what the code server serves."""
        query = "{ workspaceOrError { ... on Workspace { locationEntries { locationOrLoadError { __typename } } } } }"
        [entry] = self._ask(query)["workspaceOrError"]["locationEntries"]
        return entry["locationOrLoadError"]["__typename"] == "RepositoryLocation"

    @property
    def _landing(self) -> Path:
        return self.project.folder / "data" / "landing" / self.pipeline

    @property
    def _state(self) -> Path:
        return self.project.folder / "var" / "conformance" / "dagster"

    @cached_property
    def _selector(self) -> dict[str, str]:
        query = "{ repositoriesOrError { ... on RepositoryConnection { nodes { name location { name } } } } }"
        [repository] = self._ask(query)["repositoriesOrError"]["nodes"]
        names = {"repositoryName": repository["name"], "repositoryLocationName": repository["location"]["name"]}
        return {**names, "pipelineName": self.pipeline}

    def _of_partition(self, day: str) -> list[dict]:
        return self._runs({"pipelineName": self.pipeline, "tags": [{"key": PARTITION, "value": day}]})

    def _runs(self, chosen: dict) -> list[dict]:
        """Runs that fit, the oldest first."""
        query = (
            f"query($runs: RunsFilter!) {{ runsOrError(filter: $runs) {{ ... on Runs {{ results {{ {RUN} }} }} }} }}"
        )
        return self._ask(query, runs=chosen)["runsOrError"]["results"][::-1]

    def _ask(self, query: str, **variables: object) -> dict[str, Any]:
        body = json.dumps({"query": query, "variables": variables}).encode()
        url, kind = f"http://127.0.0.1:{self.port}/graphql", {"Content-Type": "application/json"}
        with urllib.request.urlopen(urllib.request.Request(url, body, kind), timeout=60) as answer:
            told = json.load(answer)
        assert "errors" not in told, told["errors"]
        return told["data"]


def _run(group: list[dict], run_id: str) -> Run:
    """A run and those that took it up again after it was killed, as one; the oldest first."""
    last = group[-1]
    attempts: dict[str, list[Attempt]] = {}
    for step in (step for run in group for step in run["stepStats"]):
        own = [Attempt(each["startTime"], each["endTime"], step["status"].lower()) for each in step["attempts"]]
        name = step["stepKey"].rpartition("__")[2]
        attempts.setdefault(STEPS.get(name, name), []).extend(own)
    state = STATES[last["status"]]
    # Dagster says a moment after a failure whether it takes the run up again.
    if last["status"] == "FAILURE" and {"key": WILL_RETRY, "value": "false"} not in last["tags"]:
        state = "queued"
    return Run(run_id, state, attempts)


def _descendants(pid: int) -> dict[int, str]:
    """Command line of each process below this one."""
    parents, commands = {}, {}
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit():
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                commands[int(entry.name)] = (entry / "cmdline").read_text()
        except OSError:
            continue  # it ended meanwhile
    found, new = {}, {pid}
    while new:
        new = {child for child, parent in parents.items() if parent in new}
        found |= {child: commands.get(child, "") for child in new}
    return found


ENGINE = Dagster
