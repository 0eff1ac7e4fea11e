"""Executions in the emulator: the definition as it is deployed, with connectors that act on this machine.

A container of the job is a process of the project's command. Locks and markers are files. The alert of a failed
execution, which a policy of Cloud Monitoring sends in the cloud, is sent by the command.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO
from uuid import uuid4

import filelock
import yaml

from ...platform import decisions, files, pipelines
from ...platform.errors import PartitionBusy
from ...platform.partitions import Partition
from ...platform.pipelines import PACKAGE, Pipeline
from .. import containers, executions
from ..engine import RunState
from . import ENGINE, definitions, emulator

POLL_SECONDS = 1
STATES = {"running": "ACTIVE", "success": "SUCCEEDED", "failed": "FAILED"}
PROJECT = {
    "GOOGLE_CLOUD_PROJECT_ID": "this-machine",
    "GOOGLE_CLOUD_PROJECT_NUMBER": "0",
    "GOOGLE_CLOUD_LOCATION": "local",
    "STEP_JOB": "projects/0/locations/local/jobs/steps",
    "LOCK_BUCKET": "locks",
}


@contextmanager
def opened() -> Iterator[Callable[[Pipeline, Partition], RunState]]:
    """What runs partitions; each call returns how the execution ended."""
    with executions.open_log(ENGINE.id) as log:
        yield lambda pipeline, partition: run(pipeline, {"partition": partition.key, "again": True}, log)


def run(pipeline: Pipeline, arguments: Mapping[str, Any], log: TextIO, *, people: bool = False) -> RunState:
    """Execute the workflow of a pipeline. arguments: as the deployed workflow takes them.

    people: whether the run waits for their decision; one of a command ends when it has asked, as it would end with it,
    and the command that decides promotes. Raises PartitionBusy when another execution has the partition, ConfigError
    when there is no definition.
    """
    definition = yaml.safe_load(definitions.source(pipeline))
    execution = executions.Execution(ENGINE.id, uuid4().hex, pipeline.name, "", executions.now())
    execution.partition = str(arguments.get("partition", ""))
    machine = Machine(execution, log)
    variables = _environment(pipeline, execution, people)
    with execution.recorded(machine.stop):
        try:
            emulator.execute(definition, arguments, variables, machine.connectors, execution.note_state)
        except emulator.Failed as failed:
            tags = failed.payload.get("tags") or [""]
            execution.fail(str(failed.payload.get("step", "")), str(tags[0]), str(failed))
    if execution.state == "success" and not machine.begun and arguments.get("again"):
        reason = "is being run by another execution: wait until it has ended, or stop it"
        raise PartitionBusy(f"{pipeline.name} {execution.partition} {reason}")
    return execution.run_state()


class Machine:
    """What the connectors of one execution do here, and what becomes known of it."""

    def __init__(self, execution: executions.Execution, log: TextIO) -> None:
        self.execution, self._log = execution, log
        self._container: containers.Container | None = None
        self._locks = executions.home(ENGINE.id) / "locks"
        self.connectors: dict[str, emulator.Handler] = {
            "googleapis.run.v2.projects.locations.jobs.run": self.run_job,
            "googleapis.run.v2.projects.locations.jobs.executions.tasks.list": self.tasks,
            "googleapis.storage.v1.objects.insert": self.insert_object,
            "googleapis.storage.v1.objects.get": self.get_object,
            "googleapis.workflowexecutions.v1.projects.locations.workflows.executions.get": self.get_execution,
            "events.create_callback_endpoint": self.open_callback,
            "events.await_callback": self.await_callback,
        }

    @property
    def begun(self) -> bool:
        """Whether a container has been started."""
        return bool(self.execution.attempts)

    def stop(self) -> None:
        """End the container that still runs."""
        if self._container and self._container.exit_code is None:
            self._container.stop()

    def run_job(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Run the project's command to its end. Raises the connector's OperationError when it fails."""
        overrides = given["body"]["overrides"]
        [container] = overrides["containerOverrides"]
        arguments = container["args"]
        number = int(arguments[arguments.index("--attempt") + 1])
        self._container = containers.Container(["python", "-m", PACKAGE, *arguments], {}, self._log)
        attempt = executions.Attempt(arguments[2], number, self._container.started)
        self.execution.attempts.append(attempt)
        self.execution.partition = arguments[arguments.index("--partition") + 1]
        self.execution.write()
        try:
            attempt.exit_code = self._container.wait(float(overrides["timeout"].removesuffix("s")))
        except TimeoutError:
            self._container.stop()
            attempt.error, attempt.reason = "TimeoutError", f"it took longer than {overrides['timeout']}"
        else:
            attempt.error, attempt.reason = self._container.error, self._container.reason
        attempt.ended = self._container.ended or executions.now()
        self.execution.write()
        name = f"{given['name']}/executions/{len(self.execution.attempts)}"
        if attempt.exit_code == 0:
            return {"name": name, "succeededCount": 1}
        operation = {"name": f"{name}/operation", "done": True, "metadata": {"name": name}}
        raise emulator.error("the operation failed", "OperationError", operation=operation)

    def tasks(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The one task of a container's execution, with its exit code unless it was ended at its time-out."""
        attempt = self.execution.attempts[int(given["parent"].rpartition("/")[2]) - 1]
        result = {} if attempt.exit_code is None else {"exitCode": attempt.exit_code}
        return {"tasks": [{"name": f"{given['parent']}/tasks/0", "lastAttemptResult": result}]}

    def insert_object(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Write an object if it is still of the generation that is asked for."""
        file = self._object(given["name"])
        with filelock.FileLock(file.with_suffix(".lock")):
            generation = json.loads(file.read_text())["generation"] if file.exists() else 0
            if int(given.get("ifGenerationMatch", generation)) != generation:
                raise emulator.error("the object is of another generation", "HttpError", code=412)
            files.replace(file, json.dumps({"generation": generation + 1, "body": given["body"]}), durable=False)
        return {"name": given["name"], "generation": str(generation + 1)}

    def get_object(self, given: Mapping[str, Any]) -> Any:
        """What is known of an object, or its content. Raises the connector's HttpError when there is none."""
        file = self._object(given["object"])
        if not file.exists():
            raise emulator.error("there is no such object", "HttpError", code=404)
        content = json.loads(file.read_text())
        return content["body"] if given.get("alt") == "media" else {"generation": str(content["generation"])}

    def open_callback(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """An address that nobody calls here: this process looks into the table itself."""
        return {"url": ""}

    def await_callback(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Wait until the newest request of the partition is decided. Raises the connector's TimeoutError."""
        pipeline, until = pipelines.get(self.execution.pipeline), time.monotonic() + given["timeout"]
        while time.monotonic() < until:
            asked = [each for each in decisions.of_pipeline(pipeline) if each.partition == self.execution.partition]
            if asked and not asked[-1].is_pending:
                return {"received_time": executions.now()}
            time.sleep(POLL_SECONDS)
        raise emulator.error("nobody has called", "TimeoutError")

    def get_execution(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The state of an execution, of which this machine still has the file."""
        wanted = given["name"].rpartition("/")[2]
        for each in executions.read(ENGINE.id):
            if each.id == wanted:
                return {"name": given["name"], "state": STATES[each.state]}
        raise emulator.error("there is no such execution", "HttpError", code=404)

    def _object(self, name: str) -> Path:
        self._locks.mkdir(parents=True, exist_ok=True)
        return self._locks / f"{name}.json"


def _environment(pipeline: Pipeline, execution: executions.Execution, people: bool) -> dict[str, str]:
    own = {"GOOGLE_CLOUD_WORKFLOW_ID": pipeline.name, "GOOGLE_CLOUD_WORKFLOW_EXECUTION_ID": execution.id}
    return {**PROJECT, **own, **definitions.variables(pipeline, people=people)}
