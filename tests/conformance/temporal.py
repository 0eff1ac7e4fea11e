"""Temporal through its own command line: server, worker and the processes of steps of `make up`."""

from __future__ import annotations

import json
import subprocess
import tomllib
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, ClassVar
from uuid import uuid4

from conformance.engine import Attempt, Day, Engine, Run, State

STATES: dict[str, State] = {
    "WORKFLOW_EXECUTION_STATUS_RUNNING": "running",
    "WORKFLOW_EXECUTION_STATUS_COMPLETED": "success",
}
# What each role's processes have in their command line, run in the project's folder.
COMMANDS = {
    "server": "server start-dev",
    "worker": "orchestration.temporal.service worker",
    "run": "multiprocessing.forkserver",
}
GRPC_BELOW_UI = 1000
TICKS = """
import asyncio, json, sys, tempfile
from datetime import datetime, timedelta
from pathlib import Path
from google.protobuf.timestamp_pb2 import Timestamp
from temporalio.api.workflowservice.v1 import ListScheduleMatchingTimesRequest
from temporalio.client import Schedule, ScheduleActionStartWorkflow
from {package}.orchestration.temporal import in_process, schedules, server
from {package}.platform import pipelines

def stamp(moment):
    made = Timestamp()
    made.FromDatetime(moment)
    return made

async def main(address):
    client = await in_process._connected(address, None)
    pipeline, after = pipelines.get("flights_daily"), datetime.fromisoformat(sys.argv[1])
    action = ScheduleActionStartWorkflow(pipeline.name, id=pipeline.name, task_queue="nobody")
    await client.create_schedule("asked", Schedule(action=action, spec=schedules.spec(pipeline)))
    wanted = ListScheduleMatchingTimesRequest(namespace="default", schedule_id="asked", start_time=stamp(after),
        end_time=stamp(after + timedelta(days=30)))
    found = (await client.workflow_service.list_schedule_matching_times(wanted)).start_time[: int(sys.argv[2])]
    ticks = [each.ToDatetime(after.tzinfo) for each in found]
    print(json.dumps([(str(tick), pipeline.due(tick).key) for tick in ticks]))

with tempfile.TemporaryDirectory() as folder:
    running = server.TemporaryServer(Path(folder) / "temporal.db")
    try:
        running.wait()
        asyncio.run(main(running.address))
    finally:
        running.stop()
"""


class TemporalEngine(Engine):
    name: ClassVar[str] = "temporal"
    roles: ClassVar[tuple[str, ...]] = ("server", "worker", "run")
    waits_as: ClassVar[tuple[State, ...]] = ("waiting",)
    doubled: ClassVar[str] = "worker"

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        # Histories hold the last attempt of a step only; the others are seen while the run goes on.
        self.seen: dict[tuple[str, str], dict[int, Attempt]] = {}

    def trigger(self, day: Day) -> str:
        name = f"{self.pipeline}-{day}-{uuid4().hex[:8]}"
        options = ["--type", self.pipeline, "--task-queue", self._queue, "--workflow-id", name]
        started = self._call("workflow", "start", *options, "--input", json.dumps(str(day)))
        return f"{name}/{started['runId']}"

    def run(self, run_id: str) -> Run:
        described = self._about("describe", run_id)
        state = STATES.get(described["workflowExecutionInfo"]["status"], "failed")
        for pending in described.get("pendingActivities", []):
            self._watch(run_id, pending)
            reason = pending.get("lastFailure", {}).get("applicationFailureInfo", {}).get("type")
            if reason == "InputNotReady":
                state = "waiting"
        events = self._about("show", run_id)["events"]
        steps = {
            each["eventId"]: each["activityTaskScheduledEventAttributes"]["activityType"]["name"].rpartition(".")[2]
            for each in events
            if "activityTaskScheduledEventAttributes" in each
        }
        for began, ended in attempts_in(events):
            step = steps[began["activityTaskStartedEventAttributes"]["scheduledEventId"]]
            number = began["activityTaskStartedEventAttributes"].get("attempt", 1)
            self._attempts(run_id, step)[number] = Attempt(seconds(began["eventTime"]), *ended)
        attempts = {}
        for step in {*steps.values(), *(step for run, step in self.seen if run == run_id)}:
            known = self._attempts(run_id, step)
            # One that was too short to be seen counts all the same.
            attempts[step] = [known.get(n, Attempt(0, 0, "unseen")) for n in range(1, max(known, default=0) + 1)]
        return Run(run_id, state, attempts)

    def runs_of(self, day: Day) -> list[Run]:
        wanted = f"WorkflowType = '{self.pipeline}' AND partition = '{day}'"
        listed = self._call("workflow", "list", "--query", wanted, "--limit", "1000")
        return [self.run("/".join(each["execution"].values())) for each in reversed(listed)]

    def places_taken(self) -> int:
        listed = self._call("workflow", "list", "--query", "ExecutionStatus = 'Running'", "--limit", "1000")
        described = [self._about("describe", "/".join(each["execution"].values())) for each in listed]
        pending = [activity for each in described for activity in each.get("pendingActivities", [])]
        return sum(each["state"] == "PENDING_ACTIVITY_STATE_STARTED" for each in pending)

    def pids(self, role: str) -> list[int]:
        commands, inside = {}, set()
        for entry in Path("/proc").iterdir():
            try:
                commands[entry.name] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                if str(self.project.folder) in (entry / "environ").read_bytes().decode(errors="replace"):
                    inside.add(entry.name)
            except (OSError, ValueError):
                continue  # no process, or it ended meanwhile
        matches = [number for number in inside if COMMANDS[role] in commands[number]]
        if role == "run":  # the children of the process that forks
            matches = [number for number in matches if COMMANDS[role] in commands.get(parent_of(number), "")]
        return [int(number) for number in matches]

    def metadata(self, run_id: str) -> str:
        return json.dumps(
            [
                self._about("describe", run_id),
                self._about("show", run_id),
                self._call("schedule", "describe", "--schedule-id", self.pipeline),
                self._call("task-queue", "describe", "--task-queue", self._queue),
            ]
        )

    def days_kept(self) -> float:
        """The server's own limit. Its clock cannot be moved, so that no test sees it remove a run."""
        kept = self._call("operator", "namespace", "describe", "--namespace", "default")
        return float(kept["config"]["workflowExecutionRetentionTtl"].removesuffix("s")) / 86_400

    def pipelines(self) -> set[str]:
        return {each["scheduleId"] for each in self._call("schedule", "list")}

    def ticks(self, after: datetime, count: int, cron: str, timezone: str) -> list[tuple[datetime, date]]:
        [package] = [path.parent.name for path in (self.project.folder / "src").glob("*/platform")]
        command = [".venv/bin/python", "-c", TICKS.format(package=package), after.isoformat(), str(count)]
        found = json.loads(self.with_schedule(command, cron, timezone))
        return [(datetime.fromisoformat(tick), date.fromisoformat(day)) for tick, day in found]

    @property
    def _queue(self) -> str:
        declared = tomllib.loads((self.project.folder / "pyproject.toml").read_text())
        return f"{declared['project']['name']}-conformance"

    def _attempts(self, run_id: str, step: str) -> dict[int, Attempt]:
        return self.seen.setdefault((run_id, step), {})

    def _watch(self, run_id: str, pending: dict[str, Any]) -> None:
        """Note what the server says of the attempts of a step that has not ended."""
        known = self._attempts(run_id, pending["activityType"]["name"].rpartition(".")[2])
        number, is_started = pending.get("attempt", 1), pending["state"] == "PENDING_ACTIVITY_STATE_STARTED"
        if is_started:
            known[number] = Attempt(seconds(pending["lastStartedTime"]), None, "started")
        if number > 1 and "lastAttemptCompleteTime" in pending:
            ended = seconds(pending["lastAttemptCompleteTime"])
            before = known.setdefault(number - 1, Attempt(ended, None, "failed"))  # too short to be seen
            before.ended, before.state = ended, "failed"

    def _about(self, command: str, run_id: str) -> Any:
        name, _, run = run_id.rpartition("/")
        return self._call("workflow", command, "--workflow-id", name, "--run-id", run)

    def _call(self, *arguments: str) -> Any:
        command = [".venv/bin/temporal", *arguments, "--output", "json"]
        command += ["--address", f"127.0.0.1:{self.port - GRPC_BELOW_UI}"]
        done = subprocess.run(command, cwd=self.project.folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout or "[]")


def parent_of(number: str) -> str:
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[1]
    except OSError:
        return ""


def seconds(text: str) -> float:
    return datetime.fromisoformat(text[:26].rstrip("Z")).replace(tzinfo=UTC).timestamp()


ENDINGS = {
    "EVENT_TYPE_ACTIVITY_TASK_COMPLETED": "completed",
    "EVENT_TYPE_ACTIVITY_TASK_FAILED": "failed",
    "EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT": "timed out",
    "EVENT_TYPE_ACTIVITY_TASK_CANCELED": "canceled",
}


def attempts_in(events: list[dict[str, Any]]) -> list[tuple[dict[str, Any], tuple[float | None, str]]]:
    """The last attempt of each step: the event of its start, and when and how it ended."""
    endings = {}
    for each in events:
        for attributes in (value for key, value in each.items() if key.endswith("EventAttributes")):
            if each["eventType"] in ENDINGS and "startedEventId" in attributes:
                endings[attributes["startedEventId"]] = (seconds(each["eventTime"]), ENDINGS[each["eventType"]])
    started = [each for each in events if "activityTaskStartedEventAttributes" in each]
    return [(each, endings.get(each["eventId"], (None, "started"))) for each in started]


ENGINE = TemporalEngine
