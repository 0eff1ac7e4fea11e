"""Runs of the definitions as they are deployed, in moto's emulator within this process, with the steps in containers'
place.

The launcher starts the execution of a partition as it does in the cloud, and the real command is each step. What moto
lacks is in `moto_patches`, and done here: it tells the launcher of files that land, and reports a run that failed, as
the rules of EventBridge do in the cloud. What ran is written to var/<env>/executions/.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from ...platform import config, decisions
from ...platform.errors import ConfigError, PermanentError
from .. import executions
from ..containers import Container
from . import ENGINE, alerts, cloud, definitions

if TYPE_CHECKING:
    from ...platform.partitions import Partition
    from ...platform.pipelines import Pipeline
    from ..engine import InProcess, RunState

REGION = "eu-central-1"
POLL_SECONDS = 0.1
WRITE_SECONDS = 1
REPORTS = f"{__package__}.alerts"  # the module of the command that asks the cloud about a run
CREDENTIALS = {"aws_access_key_id": "emulator", "aws_secret_access_key": "emulator", "region_name": REGION}
# Whether an address in AWS_ENDPOINT_URL is passed over: it is for the steps, which are not emulated, and not for moto.
PASSED_OVER = "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"
STATES = {"RUNNING": "running", "SUCCEEDED": "success"}


@contextmanager
def running() -> Iterator[InProcess]:
    """What runs partitions in this process."""
    with started() as emulator:
        yield emulator.run


def backfill(pipeline: Pipeline, wanted: Sequence[Partition]) -> Iterator[RunState]:
    """Run partitions by the machine for backfills; each is yielded as it ends.

    Raises PermanentError when it is interrupted, which ends the runs: they are in this process.
    """
    with started() as emulator, executions.ended_by_interrupt(pipeline, wanted):
        yield from emulator.backfill(pipeline, wanted)


@contextmanager
def started(*, people: bool = False) -> Iterator[Emulator]:
    """The emulator with all machines of the project. Containers that still run at the end are ended.

    people: whether runs wait for their decisions; those of a command end when they have asked, as they would end with
    it, and the command that decides promotes.
    """
    import boto3
    from moto import mock_aws

    from . import moto_patches

    moto_log = logging.getLogger("moto")  # has a line for each error that a state catches; the executions have them too
    moto_log.addHandler(logging.NullHandler())
    moto_log.propagate = False
    before = os.environ.get(PASSED_OVER)
    with executions.open_log(ENGINE.id) as log:
        emulator = Emulator(log, {PASSED_OVER: before or "false"}, people=people)
        os.environ[PASSED_OVER] = "true"
        moto_patches.apply(emulator.container)
        # The credentials of this machine stay as they are: what steps read and write is real.
        own = {"core": {"mock_credentials": False}, "stepfunctions": {"execute_state_machine": True}}
        mocked = mock_aws(config=own)
        mocked.start()
        try:
            emulator.deploy(boto3.Session(**CREDENTIALS))
            yield emulator
        finally:
            emulator.stop()
            mocked.stop()
            os.environ.pop(PASSED_OVER) if before is None else os.environ.update({PASSED_OVER: before})


class Emulator:
    """The emulator's side of the cloud. log: where containers write. variables: those of containers.

    people: see `started`.
    """

    def __init__(self, log: Any, variables: dict[str, str], *, people: bool) -> None:
        self._log, self._variables, self._people = log, variables, people
        self._containers: list[tuple[list[str], Container]] = []
        self._known: dict[str, executions.Execution] = {}
        self._written, self._looked, self._prefix = 0.0, 0.0, ""

    def deploy(self, session: Any) -> None:
        """Make what Terraform makes: the table, the cluster with the task, and the machines, from the same values."""
        from moto.core import DEFAULT_ACCOUNT_ID
        from moto.ec2 import ec2_backends

        ecs, self._dynamodb, self._machines = map(session.client, ("ecs", "dynamodb", "stepfunctions"))
        network = ec2_backends[DEFAULT_ACCOUNT_ID][REGION]  # a client for it takes seconds to load
        self._dynamodb.create_table(
            TableName=definitions.table_name(),
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        cluster = ecs.create_cluster(clusterName=definitions.project())["cluster"]["clusterArn"]
        task = ecs.register_task_definition(
            family=definitions.project(),
            networkMode="awsvpc",
            requiresCompatibilities=["FARGATE"],
            cpu="256",
            memory="512",
            containerDefinitions=[{"name": "step", "image": "project", "cpu": 256, "memory": 512}],
        )["taskDefinition"]["taskDefinitionArn"]
        prefix = f"arn:aws:states:{REGION}:{DEFAULT_ACCOUNT_ID}:stateMachine:{definitions.prefix()}"
        values = definitions.platform_values(
            table=definitions.table_name(),
            cluster=cluster,
            task_definition=task,
            subnets=[each.id for each in network.describe_subnets()],
            security_group=network.describe_security_groups()[0].id,
            machine_prefix=prefix,
        )
        for name in definitions.PLATFORM:
            self._create(f"platform-{name}", definitions.platform_file(name), values)
        for pipeline in definitions.defined():
            own = definitions.step_values(f"{prefix}platform-run_step", pipeline, people=self._people)
            self._create(pipeline.name, definitions.file_of(pipeline), own)
        self._prefix = prefix

    def run(self, pipeline: Pipeline, partition: Partition, again: str | None = None) -> bool:
        """Launch the execution of a partition and wait for its end; true when it succeeded.

        again: as `definitions.execution_name`; by default this moment, since each command is a wanted repetition.
        """
        definitions.file_of(pipeline)
        again = _moment() if again is None else again
        given = {"pipeline": pipeline.name, "partition": partition.key, "again": again}
        self.launch(given)
        return self.wait(pipeline, partition, again).state == "success"

    def launch(self, given: dict[str, Any]) -> dict[str, Any]:
        """Run the launcher with this input, as a schedule and a rule do. Returns its execution once it has ended."""
        return self._until_ended(self._start("platform-launch", given))

    def backfill(self, pipeline: Pipeline, wanted: Sequence[Partition]) -> Iterator[RunState]:
        again, left = _moment(), {each.key: each for each in wanted}
        definitions.file_of(pipeline)
        at_once = definitions.at_once(pipeline, len(wanted))
        given = {"pipeline": pipeline.name, "partitions": list(left), "again": again, "at_once": at_once}
        whole = self._start("platform-backfill", given)
        while left:
            is_over = self._describe(whole)["status"] != "RUNNING"
            for key in list(left):
                execution = self._look(pipeline, left[key], again)
                if execution is not None and execution.state != "running":
                    del left[key]
                    yield execution.run_state()
            if is_over and left and not any(self._look(pipeline, each, again) for each in left.values()):
                reason = self._describe(whole).get("cause", "") or "the backfill has ended without it"
                raise PermanentError(f"{pipeline.name} {', '.join(left)}: {reason}")
            time.sleep(POLL_SECONDS)

    def wait(self, pipeline: Pipeline, partition: Partition, again: str = "") -> executions.Execution:
        """Wait for the end of the execution of a partition, and return what is known of it."""
        while True:
            execution = self._look(pipeline, partition, again)
            if execution is None:
                raise PermanentError(f"the launcher has not started {pipeline.name} {partition}")
            if execution.state != "running":
                return execution
            time.sleep(POLL_SECONDS)

    def container(self, command: list[str], variables: dict[str, str]) -> Container:
        """Start what ECS would start."""
        if command[1:3] == ["-m", REPORTS]:  # a process of its own cannot ask this emulator
            command = [*command, json.dumps(self._facts(command[-1]))]
        made = Container(command, {**self._variables, **variables}, self._log)
        self._containers.append((command, made))
        return made

    def stop(self) -> None:
        """End what still runs, and note it."""
        if not self._prefix:
            return  # a definition was refused
        for name in definitions.PLATFORM:
            listed = self._machines.list_executions(stateMachineArn=f"{self._prefix}platform-{name}")["executions"]
            for each in listed:
                if each["status"] == "RUNNING":
                    self._machines.stop_execution(executionArn=each["executionArn"])
        for _, container in self._containers:
            if container.exit_code is None:
                container.stop()
        for execution in self._known.values():
            if execution.state == "running":
                execution.state, execution.ended = "failed", executions.now()
                execution.reason = "the command was interrupted, and the emulator's runs end with it"
                execution.write()

    def _create(self, name: str, file: Path, values: dict[str, Any]) -> None:
        role = "arn:aws:iam::123456789012:role/emulator"
        options = {"name": f"{definitions.prefix()}{name}", "definition": definitions.fill(file, values)}
        try:
            self._machines.create_state_machine(roleArn=role, **options)
        except self._machines.exceptions.ClientError as error:
            shown = file.relative_to(config.load().root)
            raise ConfigError(f"{shown}: the emulator refuses it: {error.response['Error']['Message']}") from None

    def _start(self, machine: str, given: dict[str, Any]) -> str:
        arn = f"{self._prefix}{machine}"
        started = self._machines.start_execution(stateMachineArn=arn, name=uuid4().hex, input=json.dumps(given))
        return started["executionArn"]

    def _until_ended(self, arn: str) -> dict[str, Any]:
        while (described := self._describe(arn))["status"] == "RUNNING":
            time.sleep(POLL_SECONDS)
        return described

    def _describe(self, arn: str) -> dict[str, Any]:
        return self._machines.describe_execution(executionArn=arn)

    def _arn(self, pipeline: Pipeline, name: str) -> str:
        return f"{self._prefix}{pipeline.name}:{name}".replace(":stateMachine:", ":execution:")

    def _look(self, pipeline: Pipeline, partition: Partition, again: str) -> executions.Execution | None:
        """What is known of the execution of a partition, None before it has started. Does what EventBridge would."""
        name = definitions.execution_name(pipeline, partition.key, again)
        arn = self._arn(pipeline, name)
        try:
            described = self._describe(arn)
        except self._machines.exceptions.ExecutionDoesNotExist:
            return None
        execution = self._known.get(arn)
        if execution is None:
            started = _iso(described["startDate"])
            execution = executions.Execution(ENGINE.id, name, pipeline.name, partition.key, started)
            self._known[arn] = execution
        if execution.state != "running":
            return execution
        self._tell_of_arrival(pipeline, partition)
        self._tell_of_decision(pipeline, partition)
        status = described["status"]
        if status == "RUNNING" and time.monotonic() < self._written + WRITE_SECONDS:
            return execution
        self._written = time.monotonic()
        execution.states = _states(self._history(arn))
        execution.attempts = [_attempt(command, each) for command, each in self._of_run(name)]
        if status != "RUNNING":
            execution.ended, execution.state = _iso(described["stopDate"]), STATES.get(status, "failed")
        if execution.state == "failed":
            incident = alerts.incident(self._facts(arn), *self._last_error(name))
            execution.reason = f"{incident.step}: {incident.reason}" if incident.step else incident.reason
        execution.write()
        if execution.state == "failed":
            self._report(arn, status)
        return execution

    def _report(self, arn: str, status: str) -> None:
        """Do what the rule does. Waits for the first attempt only, as a receiver that is away is tried for minutes."""
        before = self._reports()
        started = self._start("platform-report", {"detail": {"executionArn": arn, "status": status}})
        while self._describe(started)["status"] == "RUNNING":
            if any(each.exit_code is not None for each in self._reports()[len(before) :]):
                return
            time.sleep(POLL_SECONDS)

    def _reports(self) -> list[Container]:
        return [each for command, each in self._containers if command[1:3] == ["-m", REPORTS]]

    def _last_error(self, name: str) -> tuple[str, str]:
        *_, (_, last) = [("", None), *self._of_run(name)]
        return (last.error, last.reason) if last else ("", "")

    def _of_run(self, name: str) -> list[tuple[list[str], Container]]:
        return [(command, each) for command, each in self._containers if _option(command, "--run-id") == name]

    def _tell_of_arrival(self, pipeline: Pipeline, partition: Partition) -> None:
        """Tell the launcher of a file that has landed while an execution waits for it."""
        key = {"id": {"S": f"input#{pipeline.name}#{partition}"}}
        if "Item" not in self._dynamodb.get_item(TableName=definitions.table_name(), Key=key, ConsistentRead=True):
            return
        if pipeline.code.input_ready(partition):
            [row] = [each for each in definitions.table() if each["name"] == pipeline.name]
            folder = "" if partition.start is None else f"{partition}/"
            file = {"bucket": {"name": row["bucket"]}, "object": {"key": f"{row['prefix']}{folder}{row['marker']}"}}
            self.launch({"detail": file})
            self._dynamodb.delete_item(TableName=definitions.table_name(), Key=key)

    def _tell_of_decision(self, pipeline: Pipeline, partition: Partition) -> None:
        """Do what `make approvals`, a process of its own, cannot do here: wake a run whose request is decided."""
        if not pipeline.held_step or time.monotonic() < self._looked + WRITE_SECONDS:
            return
        self._looked = time.monotonic()
        asked = [each for each in decisions.of_pipeline(pipeline) if each.partition == partition.key]
        if asked and not asked[-1].is_pending:
            cloud.wake(self._dynamodb, self._machines, pipeline.name, partition.key)

    def _history(self, arn: str) -> list[dict[str, Any]]:
        events, token = [], {}
        while True:
            page = self._machines.get_execution_history(executionArn=arn, maxResults=1000, **token)
            events += page["events"]
            if "nextToken" not in page:
                return events
            token = {"nextToken": page["nextToken"]}

    def _facts(self, arn: str) -> dict[str, Any]:
        described = self._describe(arn)
        return {name: described.get(name, "") for name in ("executionArn", "name", "status", "input", "error", "cause")}


def _states(events: Sequence[dict[str, Any]]) -> list[executions.State]:
    entered: list[executions.State] = []
    for event in events:
        at, kind = _iso(event["timestamp"]), event["type"]
        if kind.endswith("StateEntered"):
            entered.append(executions.State(event["stateEnteredEventDetails"]["name"], at))
        elif kind.endswith("StateExited"):
            name = event["stateExitedEventDetails"]["name"]
            for state in entered:
                if state.name == name and not state.ended:
                    state.ended, state.outcome = at, "succeeded"
        elif kind in ("ExecutionFailed", "ExecutionTimedOut", "ExecutionAborted"):
            for state in entered:
                if not state.ended:
                    state.ended, state.outcome = at, "failed"
    return entered


def _attempt(command: Sequence[str], container: Container) -> executions.Attempt:
    code = container.exit_code
    return executions.Attempt(
        command[command.index("step") + 2],
        int(_option(command, "--attempt")),
        container.started,
        container.ended,
        code,
        container.error,
        container.reason,
    )


def _option(command: Sequence[str], name: str) -> str:
    return command[command.index(name) + 1] if name in command else ""


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")


def _moment() -> str:
    return f"-{datetime.now(UTC):%Y%m%dT%H%M%S%f}"[:-3]
