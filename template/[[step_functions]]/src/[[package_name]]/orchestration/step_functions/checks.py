"""Checks of the definitions that linters do not make: ``python -m <package>.orchestration.step_functions.checks``.

Linters pass a state that does not exist in one case, and a misspelt service, error or parameter in all.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from ...platform.errors import ConfigError
from . import ENGINE, definitions

# Integrations with names of their own; all others are calls of the SDK: aws-sdk:<service>:<call>.
OPTIMISED = {
    "states:startExecution": ("", ".sync", ".sync:2", ".waitForTaskToken"),
    "ecs:runTask": ("", ".sync", ".waitForTaskToken"),
    "lambda:invoke": ("", ".waitForTaskToken"),
    "dynamodb:getItem": ("",),
    "dynamodb:putItem": ("",),
    "dynamodb:updateItem": ("",),
    "dynamodb:deleteItem": ("",),
    "sns:publish": ("", ".waitForTaskToken"),
    "sqs:sendMessage": ("", ".waitForTaskToken"),
    "events:putEvents": ("", ".waitForTaskToken"),
    "batch:submitJob": ("", ".sync", ".waitForTaskToken"),
    "glue:startJobRun": ("", ".sync"),
}
STATES_ERRORS = {
    f"States.{name}"
    for name in (
        *("ALL", "Timeout", "TaskFailed", "HeartbeatTimeout", "Permissions", "DataLimitExceeded", "Runtime"),
        *("BranchFailed", "NoChoiceMatched", "ItemReaderFailed", "ResultWriterFailed"),
        *("ExceedToleratedFailureThreshold", "QueryEvaluationError", "Http.Socket"),
    )
}
# What errors of a service begin with, and its name for the SDK; where the two differ in more than case.
SERVICE_OF_ERROR = {
    "StepFunctions": "stepfunctions",
    "Sfn": "stepfunctions",
    "AmazonECS": "ecs",
    "ECS": "ecs",
    "DynamoDB": "dynamodb",
    "DynamoDb": "dynamodb",
    "SNS": "sns",
    "SQS": "sqs",
    "S3": "s3",
    "Lambda": "lambda",
    "Glue": "glue",
}
SDK_NAMES = {"sfn": "stepfunctions", "states": "stepfunctions"}
# Errors that a service's model does not list: those of the integration, of every service, and of throttling.
COMMON_ERRORS = re.compile(r"(Unknown|AmazonECS|\w*Throttl\w*|Server|InternalServerError)(Exception)?")
THROTTLED = "StepFunctions.ThrottlingException"  # of a start, where an account has many at once
OWN_ERRORS = {"ContractError", "InputNotReady", "ConfigError", "TransientError", "PermanentError", "TimeoutError"}
MEMBERS = {
    "Task": {"Resource", "Arguments", "TimeoutSeconds", "HeartbeatSeconds", "Retry", "Catch", "Credentials"},
    "Pass": set(),
    "Choice": {"Choices", "Default"},
    "Wait": {"Seconds", "Timestamp"},
    "Succeed": set(),
    "Fail": {"Error", "Cause"},
    "Parallel": {"Branches", "Arguments", "Retry", "Catch"},
    "Map": {
        *("Items", "ItemSelector", "ItemProcessor", "ItemReader", "ItemBatcher", "ResultWriter", "MaxConcurrency"),
        *("ToleratedFailurePercentage", "ToleratedFailureCount", "Label", "Retry", "Catch"),
    },
}
COMMON = {"Type", "Comment", "Assign", "Output", "QueryLanguage"}
ENDS = {"Succeed", "Fail", "Choice"}
LONGEST_NAME = 80
LARGEST_DEFINITION = 1_048_576
# What a payload may hold of a partition: names and counts. Rows stay in the warehouse.
PAYLOAD_FIELDS = {"pipeline", "partition", "run", "run_id", "step", "policy", "item"}


def main() -> int:
    """Print what is wrong; the return value is the exit code."""
    wrong = problems() + validated(sorted(definitions.folder().rglob("*.asl.json")))
    for each in wrong:
        print(f"error: {each}", file=sys.stderr)
    return 1 if wrong else 0


def problems() -> list[str]:
    """What is wrong with the definitions, a sentence each; also the pipelines that have none."""
    from ...platform import pipelines

    try:
        own = [each for each in pipelines.all() if each.settings.orchestrator == ENGINE.id]
        named = [(definitions.file_of(each), each.steps) for each in own]
        files = [*named, *((definitions.platform_file(name), ()) for name in definitions.PLATFORM)]
        return [problem for file, steps in files for problem in of_file(file, steps)]
    except ConfigError as error:
        return [str(error)]


def validated(files: Sequence[Path]) -> list[str]:
    """What asl-validator says of definitions, such as broken JSONata; nothing where Node.js has no such program."""
    program = shutil.which("asl-validator")
    if not program:
        return []
    wrong = []
    for file in files:
        done = subprocess.run([program, "--json-path", file], capture_output=True, text=True, check=False)
        if done.returncode:
            lines = filter(None, map(str.strip, (done.stdout + done.stderr).splitlines()))
            wrong.append(f"asl-validator: {' '.join(dict.fromkeys(lines))}")
    return wrong


def of_file(file: Path, steps: tuple[str, ...] = ()) -> list[str]:
    """What is wrong with a definition. steps: of the pipeline that it is for; the platform's own have none."""
    name = f"workflows/{file.relative_to(definitions.folder())}"
    parsed = definitions.read(file)
    wrong = [f"{name}: {problem}" for problem in (*of_machine(parsed), *_of_pipeline(parsed, steps))]
    if file.stat().st_size > LARGEST_DEFINITION:
        wrong.append(f"{name}: has more than {LARGEST_DEFINITION:,} bytes, which the service does not take")
    return wrong


def of_machine(machine: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with a definition, whatever it is for."""
    if machine.get("QueryLanguage") != "JSONata":
        yield 'write "QueryLanguage": "JSONata" at the top: the values of the platform are JSONata'
    for text in re.findall(r"\{%\{.{,40}", json.dumps(machine)):
        yield f"write a blank after {{% in {text}: Terraform takes {{%{{ for a directive of its own"
    yield from _of_states(machine)


def machines(machine: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The machine and those within it: branches, and what a map runs for each item."""
    yield machine
    for state in machine.get("States", {}).values():
        for inner in (*state.get("Branches", ()), *filter(None, [state.get("ItemProcessor")])):
            yield from machines(inner)


def tasks(machine: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every Task state by its name, also those within a map."""
    for each in machines(machine):
        yield from ((name, state) for name, state in each["States"].items() if state.get("Type") == "Task")


def _of_states(machine: Mapping[str, Any]) -> Iterator[str]:
    for each in machines(machine):
        states = each.get("States") or {}
        start = each.get("StartAt")
        if start not in states:
            yield f"StartAt names {start!r}, which is no state here"
        reached, targets = {start}, {name: set(_targets(state)) for name, state in states.items()}
        while more := set().union(*(targets[name] for name in reached if name in targets)) - reached:
            reached |= more
        for name in states:
            if name not in reached:
                yield f"no state leads to {name}"
        for name, state in states.items():
            yield from (f"{name}: {problem}" for problem in _of_state(name, state, states))


def _of_state(name: str, state: Mapping[str, Any], states: Mapping[str, Any]) -> Iterator[str]:
    kind = state.get("Type")
    if len(name) > LONGEST_NAME:
        yield f"has a name of more than {LONGEST_NAME} characters"
    if kind not in MEMBERS:
        yield f"Type {kind!r} is none of {', '.join(sorted(MEMBERS))}"
        return
    ends = set() if kind in ENDS else {"Next", "End"}
    for member in state.keys() - MEMBERS[kind] - COMMON - ends:
        yield f"{member} is no member of a {kind} state in JSONata"
    if ends and ("Next" in state) == (state.get("End") is True):
        yield 'needs either "Next" or "End": true'
    for target in _targets(state):
        if target not in states:
            yield f"leads to {target!r}, which is no state here"
    if kind == "Task":
        yield from _of_task(state)
    for rule in (*state.get("Retry", ()), *state.get("Catch", ())):
        for error in rule.get("ErrorEquals", ()):
            if not _is_error(error):
                yield f"{error!r} is no error that can be raised here"
    for rule in state.get("Retry", ()):
        if rule.get("MaxAttempts") != 0 and ("JitterStrategy" not in rule or "MaxDelaySeconds" not in rule):
            yield "a Retry needs JitterStrategy and MaxDelaySeconds: what failed together must not return together"


def _of_task(state: Mapping[str, Any]) -> Iterator[str]:
    resource = str(state.get("Resource", ""))
    if "TimeoutSeconds" not in state:
        yield "a Task needs TimeoutSeconds: without one it waits for a year"
    action, pattern = action_of(resource)
    parameters = _parameters(action)
    if parameters is None or (action in OPTIMISED and pattern not in OPTIMISED[action]):
        yield f"{resource!r} is no integration: write one such as arn:aws:states:::ecs:runTask.sync"
        return
    arguments = state.get("Arguments", {})
    if isinstance(arguments, Mapping):
        for name in arguments.keys() - parameters:
            yield f"{name} is no parameter of {action}"
    if action == "states:startExecution":
        tried = {error for rule in state.get("Retry", ()) for error in rule.get("ErrorEquals", ())}
        if not tried & {THROTTLED, "States.TaskFailed", "States.ALL"}:
            yield f"a start that is throttled fails the run: write a Retry for {THROTTLED}"
    if pattern == ".waitForTaskToken" and "Task.Token" not in json.dumps(arguments):
        yield "hands its token to nobody, so it waits until its time-out: pass $states.context.Task.Token"


def action_of(resource: str) -> tuple[str, str]:
    """Of ``arn:aws:states:::ecs:runTask.sync`` the action ``ecs:runTask`` and the pattern ``.sync``."""
    action = resource.removeprefix("arn:aws:states:::")
    matched = re.fullmatch(r"(.+?)(\.sync(?::2)?|\.waitForTaskToken)?", action)
    return (matched[1], matched[2] or "") if matched else (action, "")


@lru_cache
def _parameters(action: str) -> set[str] | None:
    """Names of the action's parameters as states write them; None when there is no such action."""
    service, _, call = action.removeprefix("aws-sdk:").partition(":")
    if not action.startswith("aws-sdk:") and action not in OPTIMISED:
        return None
    model = _service(SDK_NAMES.get(service, service))
    operation = call[:1].upper() + call[1:]
    if action in ("lambda:invoke",):
        return {"FunctionName", "Payload", "InvocationType", "Qualifier", "ClientContext", "LogType"}
    if model is None or operation not in model.operation_names:
        return None
    shape = model.operation_model(operation).input_shape
    return {name[:1].upper() + name[1:] for name in shape.members} if shape else set()


def _is_error(name: str) -> bool:
    if name.startswith("States."):
        return name in STATES_ERRORS
    service, dot, error = name.partition(".")
    if not dot:
        return name in OWN_ERRORS
    model = _service(SERVICE_OF_ERROR.get(service, ""))
    if model is None:
        return False
    known = {shape.name for shape in model.error_shapes}
    plain = error.removesuffix("Exception")
    return bool(COMMON_ERRORS.fullmatch(error)) or error in known or plain in known


@lru_cache
def _service(name: str) -> Any:
    """The SDK's own description of a service, None when there is none of that name."""
    from botocore.exceptions import UnknownServiceError
    from botocore.session import get_session

    try:
        return get_session().get_service_model(name) if name else None
    except UnknownServiceError:
        return None


def _targets(state: Mapping[str, Any]) -> Iterator[str]:
    for holder in (state, *state.get("Choices", ()), *state.get("Catch", ())):
        if "Next" in holder:
            yield holder["Next"]
    if "Default" in state:
        yield state["Default"]


def _of_pipeline(machine: Mapping[str, Any], steps: tuple[str, ...]) -> Iterator[str]:
    """What only a pipeline's own definition must be like. Nothing for the platform's."""
    if not steps:
        return
    run = [state["Arguments"]["Input"].get("step") for _, state in tasks(machine) if _is_step(state)]
    for missing in [step for step in steps if step not in run]:
        yield f"does not run the step {missing}"
    for unknown in [step for step in run if step not in steps]:
        yield f"runs the step {unknown}, which the pipeline does not have"
    for each in machines(machine):
        for name, state in each["States"].items():
            if "Catch" in state:
                yield f"{name}: a Catch closes the state that failed, so the run cannot be redriven: take it out"
            fields = state.get("Arguments", {}).get("Input", {}) if _is_step(state) else {}
            for field in fields.keys() - PAYLOAD_FIELDS:
                yield f"{name}: hands on {field}; a payload holds names only, and rows stay in the warehouse"


def _is_step(state: Mapping[str, Any]) -> bool:
    arguments = state.get("Arguments")
    return (
        state.get("Type") == "Task"
        and isinstance(arguments, Mapping)
        and arguments.get("StateMachineArn") == "${run_step_arn}"
        and isinstance(arguments.get("Input"), Mapping)
    )


if __name__ == "__main__":
    sys.exit(main())
