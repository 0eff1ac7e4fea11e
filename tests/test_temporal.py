"""What Temporal is chosen for, on running services: work in many parts that outlives its worker and its server."""

from __future__ import annotations

import base64
import csv
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from combinations import answers_for
from projects import SET_UP_SECONDS, UV, Project
from servers import free_port

pytestmark = [pytest.mark.project, pytest.mark.deep]
WAIT_SECONDS = 300  # a busy machine; no test asserts a time
WORKERS = 3  # besides that of `make up`; each works on one part at a time
PARTS = 10
DECLARATION = """
from ...platform.partitions import Grain
from ...platform.pipelines import Pipeline

PIPELINE = Pipeline("model", Grain.DAY, ("wait_for_input", "train", "publish"), ("model",), "batch_etl")
"""
# Each part fits a line to a tenth of the day's flights. A part whose file `hold-<part>` is there stays at its middle.
STEPS = """
import csv, json, os, time
from pathlib import Path

from ...platform import runs
from ...platform.steps import step
from . import PIPELINE

PARTS, FOLDER = 10, Path(os.environ["PARTS_FOLDER"])

def input_ready(partition):
    return not (FOLDER / "no-input").exists()

def wait_for_input(partition):
    with step(PIPELINE, "wait_for_input", partition):
        pass

def train(partition, part):
    with step(PIPELINE, "train", partition):
        attempt, sums = runs.current_run().attempt, runs.current_run().progress or [0, 0.0, 0.0]
        with (Path(os.environ["APP_ROOT"]) / "data/landing/flights_daily/2013-01-02/flights.csv").open() as file:
            flights = [row for row in csv.DictReader(file) if row["arr_delay"] != "NA"][part::PARTS]
        for number in range(sums[0], len(flights)):
            if number == len(flights) // 2:
                stay(part, attempt)
            delays = float(flights[number]["dep_delay"]), float(flights[number]["arr_delay"])
            sums = [number + 1, sums[1] + delays[0], sums[2] + delays[1]]
            if sums[0] % 5 == 0:
                runs.note_progress(sums)
            with (FOLDER / "worked.jsonl").open("a") as log:
                log.write(json.dumps([partition.key, part, attempt, number]) + "\\n")
        (FOLDER / f"{partition.key}-{part}.json").write_text(json.dumps(sums))

def stay(part, attempt):
    held = FOLDER / f"hold-{part}"
    if held.exists():
        (FOLDER / f"held-{part}-{attempt}").write_text(str(os.getpid()))
    while held.exists():
        time.sleep(0.1)

def publish(partition):
    with step(PIPELINE, "publish", partition):
        parts = [json.loads((FOLDER / f"{partition.key}-{part}.json").read_text()) for part in range(PARTS)]
        (FOLDER / f"{partition.key}.json").write_text(json.dumps([sum(each) for each in zip(*parts)]))
"""
WORKFLOW = """
import asyncio

from temporalio import activity, workflow

with workflow.unsafe.imports_passed_through():
    from {package}.orchestration.temporal import policies
    from {package}.pipelines.model import PIPELINE

OPTIONS = policies.activity_options(PIPELINE)


@activity.defn(name="model.wait_for_input")
async def wait_for_input(key: str) -> None:
    await policies.look_for_input(PIPELINE, "wait_for_input", key)


@activity.defn(name="model.train")
async def train(key: str, part: int) -> dict[str, int]:
    return await policies.run_step(PIPELINE, "train", key, part=part)


@activity.defn(name="model.publish")
async def publish(key: str) -> dict[str, int]:
    return await policies.run_step(PIPELINE, "publish", key)


@workflow.defn(name=PIPELINE.name)
class Model:
    @workflow.run
    async def run(self, partition: str | None = None) -> None:
        async with policies.watched_run(PIPELINE, partition) as key:
            await workflow.execute_activity(wait_for_input, key, **OPTIONS["wait_for_input"])
            await asyncio.gather(
                *(workflow.execute_activity(train, args=[key, part], **OPTIONS["train"]) for part in range(10))
            )
            await workflow.execute_activity(publish, key, **OPTIONS["publish"])
"""


def until(is_so: Callable[[], object], problem: Callable[[], object]) -> None:
    end = time.monotonic() + WAIT_SECONDS
    while not is_so():
        assert time.monotonic() < end, problem()
        time.sleep(0.3)


def values(payloads: dict | list) -> list:
    """What the command line shows of payloads: of a run that goes on the values, of a history the stored form."""
    if isinstance(payloads, list):
        return payloads
    return [json.loads(base64.b64decode(each["data"])) for each in payloads.get("payloads", [])]


class Services:
    """Server and workers of a project whose pipeline `model` works in ten parts. folder: what the parts write."""

    def __init__(self, project: Project, folder: Path) -> None:
        self.project, self.folder, self.port = project, folder, free_port()
        (self.package,) = [path.parent.name for path in (project.folder / "src").glob("*/platform")]
        self.workers: list[psutil.Popen] = []
        self.variables = {
            "TEMPORAL_PORT": str(self.port),
            "PARTS_FOLDER": str(folder),
            "ACTIVITIES_AT_ONCE": "1",
            "APP_INPUT_WAIT__POLL_SECONDS": "1",
            "APP_RETRIES__FIRST_DELAY_SECONDS": "1",
        }

    def make(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.project.make(*arguments, timeout=WAIT_SECONDS, **self.variables)

    def up(self) -> None:
        done = self.make("up")
        assert done.returncode == 0, done.stdout + done.stderr

    def add_worker(self) -> None:
        """One more worker of the same project, as on another machine."""
        home = self.project.folder / "var" / "dev" / "temporal"
        own = {"APP_ENV": "dev", "APP_ROOT": str(self.project.folder), "TEMPORAL_HOME": str(home)}
        with (home / f"worker-{len(self.workers) + 2}.log").open("w") as log:
            worker = psutil.Popen(
                [".venv/bin/python", "-m", f"{self.package}.orchestration.temporal.service", "worker"],
                cwd=self.project.folder,
                env={**os.environ, **self.variables, **own},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.workers.append(worker)

    def start(self, key: str) -> None:
        """Start a run of a day, whose workflow has the day as its id."""
        self.call(
            *("workflow", "start", "--type", "model", "--workflow-id", key, "--input", json.dumps(key)),
            *("--task-queue", f"{self.project_name}-dev"),
        )

    @property
    def project_name(self) -> str:
        return re.search(r'^name = "(.+)"', (self.project.folder / "pyproject.toml").read_text(), re.MULTILINE)[1]

    def answers(self) -> bool:
        """Whether the server does, which its supervisor has started again."""
        try:
            return "SERVING" in self.call("operator", "cluster", "health")
        except AssertionError:
            return False

    def call(self, *arguments: str) -> str:
        command = [".venv/bin/temporal", *arguments, "--address", f"127.0.0.1:{self.port - 1000}"]
        done = subprocess.run(command, cwd=self.project.folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def described(self, key: str) -> dict:
        return json.loads(self.call("workflow", "describe", "--workflow-id", key, "--output", "json"))

    def status(self, key: str) -> str:
        return self.described(key)["workflowExecutionInfo"]["status"].removeprefix("WORKFLOW_EXECUTION_STATUS_")

    def attempts(self, key: str) -> dict[int, int]:
        """How often each part of a run that has ended was begun, by the server's history."""
        events = json.loads(self.call("workflow", "show", "--workflow-id", key, "--output", "json"))["events"]
        parts, begun = {}, {}
        for each in events:
            asked = each.get("activityTaskScheduledEventAttributes", {})
            if asked.get("activityType", {}).get("name") == "model.train":
                parts[each["eventId"]] = values(asked["input"])[1]
            started = each.get("activityTaskStartedEventAttributes", {})
            if started.get("scheduledEventId") in parts:
                begun[parts[started["scheduledEventId"]]] = started.get("attempt", 1)
        return begun

    def hold(self, part: int) -> None:
        (self.folder / f"hold-{part}").touch()

    def release(self, part: int) -> None:
        (self.folder / f"hold-{part}").unlink()

    def held(self, part: int, attempt: int = 1) -> psutil.Process:
        """The process of a part, as soon as it is held at its middle and the server knows what it has noted."""
        file = self.folder / f"held-{part}-{attempt}"
        until(lambda: file.exists() and file.read_text(), lambda: f"part {part} has not begun: {self.log()}")
        return psutil.Process(int(file.read_text()))

    def knows_progress(self, key: str) -> bool:
        pending = self.described(key).get("pendingActivities", [])
        return any(isinstance(noted, list) for each in pending for noted in values(each.get("heartbeatDetails", {})))

    def worked(self, key: str) -> list[tuple[int, int, int]]:
        """Part, attempt and number of each flight that was worked on."""
        lines = (self.folder / "worked.jsonl").read_text().splitlines()
        return [(part, attempt, number) for day, part, attempt, number in map(json.loads, lines) if day == key]

    def kill(self, *commands: str) -> None:
        """End, with no time for anything, the services whose command line has one of these words."""
        supervisor = psutil.Process(
            int((self.project.folder / "var" / "dev" / "temporal" / "supervisord.pid").read_text())
        )
        every = [*supervisor.children(), *(each for each in self.workers if each.poll() is None)]
        chosen = [each for each in every if any(words in " ".join(each.cmdline()) for words in commands)]
        assert len(chosen) >= len(commands), [each.cmdline() for each in every]
        for process in chosen:
            process.kill()
        psutil.wait_procs(chosen, timeout=60)
        until(self.answers, self.log)

    def log(self) -> str:
        return "\n".join(
            file.read_text()[-2000:] for file in (self.project.folder / "var/dev/temporal").glob("worker*.log")
        )

    def close(self) -> None:
        for worker in self.workers:
            if worker.is_running():
                worker.terminate()
        psutil.wait_procs(self.workers, timeout=60)
        self.make("down")


@pytest.fixture(scope="module")
def services(render, tmp_path_factory) -> Iterator[Services]:
    folder = Path(shutil.copytree(render(**answers_for(("temporal",))), tmp_path_factory.mktemp("parts") / "project"))
    project = Project(folder, ("temporal",))
    done = project.make("setup", timeout=SET_UP_SECONDS, UV=UV)
    assert done.returncode == 0, done.stdout + done.stderr
    made = Services(project, tmp_path_factory.mktemp("written"))
    code = folder / "src" / made.package / "pipelines" / "model"
    code.mkdir()
    (code / "__init__.py").write_text(DECLARATION)
    (code / "steps.py").write_text(STEPS)
    (folder / "workflows" / "model.py").write_text(WORKFLOW.format(package=made.package))
    (folder / "config" / "pipelines" / "model.toml").write_text('orchestrator = "temporal"\n')
    try:
        made.up()
        for _ in range(WORKERS):
            made.add_worker()
        yield made
    finally:
        made.close()


def same_as_whole(services: Services, key: str) -> bool:
    """Whether the parts together counted every flight of the day, and each once."""
    with (services.project.folder / "data/landing/flights_daily/2013-01-02/flights.csv").open() as file:
        flights = [row for row in csv.DictReader(file) if row["arr_delay"] != "NA"]
    whole = [len(flights), *(sum(float(row[name]) for row in flights) for name in ("dep_delay", "arr_delay"))]
    return json.loads((services.folder / f"{key}.json").read_text()) == whole


def test_of_ten_parts_only_the_one_whose_worker_was_killed_runs_again_from_where_it_was(services):
    key, third = "2013-01-02", 2
    services.hold(third)
    services.start(key)
    step = services.held(third)
    others = [part for part in range(PARTS) if part != third]
    until(
        lambda: all((services.folder / f"{key}-{part}.json").exists() for part in others),
        lambda: f"the others wait for it: {services.log()}",
    )
    until(lambda: services.knows_progress(key), lambda: services.described(key))
    step.parent().parent().kill()  # the worker; between them is the process that forks
    services.release(third)
    until(lambda: services.status(key) != "RUNNING", lambda: services.described(key))
    assert services.status(key) == "COMPLETED", services.log()
    assert services.attempts(key) == {**dict.fromkeys(others, 1), third: 2}
    again = [number for part, attempt, number in services.worked(key) if (part, attempt) == (third, 2)]
    before = [number for part, attempt, number in services.worked(key) if (part, attempt) == (third, 1)]
    assert 0 < min(again) <= max(before) + 1, "it went on from what it had noted"
    assert same_as_whole(services, key)


def test_a_run_outlives_the_server_and_all_workers_while_it_works_and_while_it_waits(services):
    key, no_input = "2013-01-03", services.folder / "no-input"
    no_input.touch()
    services.start(key)
    until(lambda: "InputNotReady" in json.dumps(services.described(key)), lambda: services.described(key))
    services.kill("server start-dev", "service worker")  # its supervisor starts one of each again
    no_input.unlink()
    services.hold(5)
    services.held(5)
    services.kill("server start-dev", "service worker")
    services.release(5)
    until(lambda: services.status(key) != "RUNNING", lambda: services.described(key))
    assert services.status(key) == "COMPLETED", services.log()
    assert same_as_whole(services, key)
