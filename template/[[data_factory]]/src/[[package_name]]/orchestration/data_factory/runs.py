"""Runs on this machine: the definitions as they are deployed, with actions that take place here.

A container of the job is a process of the project's command, and a file that has landed is one in the landing place.
The alert of a failed run, which Azure Monitor sends in the cloud, is sent by the command.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, TextIO
from uuid import uuid4

from ...platform import landing
from ...platform.errors import ConfigError
from ...platform.partitions import ALL, Partition
from ...platform.pipelines import PACKAGE, Pipeline
from .. import containers, executions
from ..engine import RunState
from . import ENGINE, callbacks, definitions, runner
from .runner import Failed

JOB = "/subscriptions/this-machine/resourceGroups/local/providers/Microsoft.App/jobs/steps"
CONTAINER = {
    "image": "project",
    "command": ["python", "-m", PACKAGE],
    "env": [],
    "resources": {"cpu": 0.5, "memory": "1Gi"},
}
CALL = re.compile(rf"https://management\.azure\.com{JOB}(/executions/(?P<number>\d+))?(?P<verb>/start|/stop)?\?.*")


@contextmanager
def opened() -> Iterator[Callable[[Pipeline, Partition], RunState]]:
    """What runs partitions; each call returns how the run ended."""
    with executions.open_log(ENGINE.id) as log:
        yield lambda pipeline, partition: run(pipeline, {"partition": partition.key}, log)


def run(
    pipeline: Pipeline, parameters: Mapping[str, str], log: TextIO, *, people: bool = False, table: str = ""
) -> RunState:
    """Run the definition of a pipeline. parameters: as a trigger gives them. Raises ConfigError when there is none.

    people: whether the run waits for their decision; one of a command ends when it has asked, as it would end with it,
    and the command that decides promotes. table: where it then leaves the address to call.
    """
    execution = executions.Execution(ENGINE.id, uuid4().hex, pipeline.name, "", executions.now())
    execution.partition = parameters.get("partition", "")
    machine = Machine(pipeline, execution, log)
    values = {"factory": "", "step_job": JOB, "container": CONTAINER, "decisions_table": table}
    values |= definitions.global_parameters(people=people)
    whole = runner.Run(machine, values, execution.id, execution.note_state)
    with execution.recorded(machine.stop):
        try:
            whole.of(definitions.name_of(pipeline), parameters)
        except Failed as failed:
            last = execution.attempts[-1] if execution.attempts else None
            execution.fail(last.step if last and last.exit_code else "", failed.code, str(failed))
    return execution.run_state()


class Machine:
    """What the activities of one run do here, and what becomes known of it."""

    def __init__(self, pipeline: Pipeline, execution: executions.Execution, log: TextIO) -> None:
        self.pipeline, self.execution, self._log = pipeline, execution, log
        self._containers: list[containers.Container] = []

    def stop(self) -> None:
        """End the containers that still run."""
        for each in self._containers:
            if each.exit_code is None:
                each.stop()

    def web(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """The part of Azure's API that starts a job's container, looks at it and stops it."""
        known = CALL.fullmatch(given["url"])
        kind = (given["method"], known["verb"], bool(known["number"])) if known else None
        if kind == ("POST", "/start", False):
            return self._start(json.loads(given["body"]))
        if kind == ("GET", None, True):
            return self._look(int(known["number"]))
        if kind == ("POST", "/stop", True):
            self._containers[int(known["number"])].stop()
            self._look(int(known["number"]))
            return {}
        raise ConfigError(
            f"the runner on this machine has no answer to {given['method']} {given['url']}: it starts, shows and stops "
            "containers of the job of the steps"
        )

    def web_hook(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Hand over an address of this machine and wait until somebody calls it."""
        with callbacks.address() as (url, called):
            callbacks.leave(given, url)
            if not called.wait(runner.seconds(given["timeout"])):
                raise Failed(f"nobody called within {given['timeout']}", "WebHookTimeout")
        return {}

    def validate(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Look for the marker of the partition in the landing place until the time is over."""
        wanted = given["dataset"]["parameters"]
        # Of a pipeline without partitions, the folder is the landing place itself.
        key = ALL if self.pipeline.grain == "none" else wanted["folder"].rpartition("/")[2]
        partition = self.pipeline.partition(key)
        place, end = landing.of(self.pipeline), time.monotonic() + runner.seconds(given["timeout"])
        while not place.has(partition, wanted["file"]):
            if time.monotonic() > end:
                missing = place.shown(partition, wanted["file"])
                raise Failed(f"{missing} did not land within {given['timeout']}", "ValidationTimeout")
            self.wait(given["sleep"])
        return {"exists": True}

    def wait(self, seconds: float) -> None:
        """Let time pass; until a container's end when one runs, as only that is waited for then."""
        for each in self._containers[-1:]:
            if each.exit_code is None:
                with suppress(TimeoutError):
                    each.wait(seconds)
                return
        time.sleep(seconds)

    def _start(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        [container] = body["containers"]
        arguments = container["args"]
        self.execution.partition = arguments[arguments.index("--partition") + 1]
        number = int(arguments[arguments.index("--attempt") + 1])
        environment = {each["name"]: each["value"] for each in container["env"]}
        self._containers.append(containers.Container([*container["command"], *arguments], environment, self._log))
        self.execution.attempts.append(executions.Attempt(arguments[2], number, self._containers[-1].started))
        self.execution.write()
        return {"name": str(len(self._containers) - 1)}

    def _look(self, number: int) -> Mapping[str, Any]:
        container, attempt = self._containers[number], self.execution.attempts[number]
        code = container.exit_code
        if code is None:
            return {"properties": {"status": "Running"}}
        attempt.exit_code, attempt.ended = code, container.ended
        attempt.error, attempt.reason = container.error, container.reason
        self.execution.write()
        replica = {"containers": [{"name": "step", "code": code}]}
        status = "Failed" if code else "Succeeded"
        return {"properties": {"status": status, "detailedStatus": {"replicas": [replica]}}}
