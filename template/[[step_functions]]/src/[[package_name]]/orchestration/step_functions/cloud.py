"""What the commands ask AWS: the state of runs, and backfills, in an environment whose configuration names a region."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from ...platform import config
from ...platform.errors import ConfigError, SourceUnavailable
from ..engine import RunState
from . import ENGINE, definitions

if TYPE_CHECKING:
    from ...platform.decisions import Request
    from ...platform.partitions import Partition
    from ...platform.pipelines import Pipeline

POLL_SECONDS = 10
ASK_SECONDS = 60  # for a run that has looked for a decision and does not wait again yet
LONGEST_INPUT = 262_144  # bytes of an execution's input
STATES = {"RUNNING": "running", "PENDING_REDRIVE": "queued", "SUCCEEDED": "success"}


class Place(config.Section):
    """``[orchestrators.step_functions]``. region: where the machines are; empty for the emulator of this machine."""

    region: str = ""


def settings() -> Place:
    """The settings of this environment. Raises ConfigError, naming the key, when they cannot be used."""
    return config.orchestrator(ENGINE.id, Place)


def is_named() -> bool:
    """Whether this environment is in AWS."""
    return bool(settings().region)


def runs(pipeline: Pipeline, limit: int) -> list[RunState]:
    """The newest executions of a pipeline. Raises ConfigError where AWS refuses, SourceUnavailable where it is away."""
    with _answering():
        client, arn = _client(), _machine(pipeline.name)
        listed = client.list_executions(stateMachineArn=arn, maxResults=min(limit, 1000))["executions"][:limit]
        return [_state(pipeline, client.describe_execution(executionArn=each["executionArn"])) for each in listed]


def backfill(pipeline: Pipeline, partitions: Sequence[Partition]) -> Iterator[RunState]:
    """Start the machine for backfills and yield each run as it ends. Interrupted, the runs go on."""
    again = f"-{datetime.now(UTC):%Y%m%dT%H%M%S}"
    at_once = definitions.at_once(pipeline, len(partitions))
    keys = [each.key for each in partitions]
    given = json.dumps({"pipeline": pipeline.name, "partitions": keys, "again": again, "at_once": at_once})
    if len(given) > LONGEST_INPUT:
        raise ConfigError(f"{len(keys):,} partitions are more than one backfill takes: run it in parts, such as a year")
    with _answering():
        client = _client()
        whole = client.start_execution(stateMachineArn=_machine("platform-backfill"), input=given)["executionArn"]
        prefix = _machine(pipeline.name).replace(":stateMachine:", ":execution:")
        left = {f"{prefix}:{definitions.execution_name(pipeline, key, again)}": key for key in keys}
        while left:
            ended = client.describe_execution(executionArn=whole)["status"] != "RUNNING"
            for arn, key in list(left.items()):
                known = _known(client, arn)
                if known is None and ended:
                    del left[arn]
                    yield RunState(arn, pipeline.name, key, "failed", reason="the backfill has ended without it")
                elif known is not None and known["status"] not in ("RUNNING", "PENDING_REDRIVE"):
                    del left[arn]
                    yield _state(pipeline, known)
            if left:
                time.sleep(POLL_SECONDS)


def decided(request: Request) -> None:
    """Wake the run that waits for this decision. Does nothing when it has ended.

    Raises ConfigError when it does not wait, or AWS refuses: it then looks by itself within the hour.
    """
    import boto3

    with _answering():
        machines, dynamodb = _client(), boto3.client("dynamodb", region_name=settings().region)
        arn = f"{_machine(request.pipeline)}:{request.run}".replace(":stateMachine:", ":execution:")
        for _ in range(ASK_SECONDS):
            known = _known(machines, arn)
            if known is None or known["status"] != "RUNNING":
                return
            if wake(dynamodb, machines, request.pipeline, request.partition):
                return
            time.sleep(1)
    raise ConfigError(f"the run of {request.id} does not wait yet")


def wake(dynamodb: Any, machines: Any, pipeline: str, partition: str) -> bool:
    """Wake the state that waits for a decision about a partition; false when none does. Its container looks again."""
    key = {"id": {"S": f"decision#{pipeline}#{partition}"}}
    item = dynamodb.get_item(TableName=definitions.table_name(), Key=key, ConsistentRead=True).get("Item")
    if item is None:
        return False
    gone = machines.exceptions
    try:
        machines.send_task_success(taskToken=item["token"]["S"], output="{}")
    except (gone.TaskTimedOut, gone.TaskDoesNotExist, gone.InvalidToken):
        return False
    return True


def describe(arn: str) -> dict[str, Any]:
    """An execution, as `describe_execution` gives it."""
    with _answering():
        known = _client().describe_execution(executionArn=arn)
    return {name: known.get(name, "") for name in ("executionArn", "name", "status", "input", "error", "cause")}


def _known(client: Any, arn: str) -> dict[str, Any] | None:
    try:
        return client.describe_execution(executionArn=arn)
    except client.exceptions.ExecutionDoesNotExist:
        return None


def _state(pipeline: Pipeline, known: dict[str, Any]) -> RunState:
    from . import alerts

    state, reason = STATES.get(known["status"], "failed"), ""
    if state == "failed":
        made = alerts.incident(known)
        reason = f"{made.step}: {made.reason}" if made.step else made.reason
    return RunState(
        known["name"],
        pipeline.name,
        json.loads(known.get("input") or "{}").get("partition", ""),
        state,
        known["startDate"].astimezone(UTC),
        known["stopDate"].astimezone(UTC) if known.get("stopDate") else None,
        reason,
        alerts.console_url(known["executionArn"]),
    )


def _client() -> Any:
    import boto3

    return boto3.client("stepfunctions", region_name=settings().region)


def _machine(name: str) -> str:
    region = settings().region
    return f"arn:aws:states:{region}:{_account(region)}:stateMachine:{definitions.prefix()}{name}"


@cache
def _account(region: str) -> str:
    import boto3

    return boto3.client("sts", region_name=region).get_caller_identity()["Account"]


@contextmanager
def _answering() -> Iterator[None]:
    """Raises errors of the platform's own where AWS refuses or does not answer."""
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

    try:
        yield
    except NoCredentialsError:
        raise ConfigError("there are no credentials for AWS: log in, such as with aws sso login") from None
    except ClientError as error:
        raise ConfigError(f"AWS refuses: {error.response['Error']['Message']}") from None
    except BotoCoreError as error:
        raise SourceUnavailable(f"AWS does not answer: {error}") from None
