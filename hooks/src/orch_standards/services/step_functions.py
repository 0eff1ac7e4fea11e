"""AWS Step Functions: state machines in JSON or YAML, and what Terraform makes of them."""

from __future__ import annotations

import re
from collections.abc import Iterator

import yaml

from ..project import Project
from ..report import Report
from .nodes import Block, blocks, definitions, grants_everything, items, keys, line, members, plain, text

SUFFIXES = (".json", ".yaml", ".yml")
STARTS = re.compile(r"aws_sfn_|:states:|stateMachine|state_machine|sfn", re.IGNORECASE)
TRIGGERS = ("aws_scheduler_schedule", "aws_cloudwatch_event_target")
POLICIES = ("aws_iam_role_policy", "aws_iam_policy", "aws_iam_policy_document")
ADMINISTRATORS = re.compile(r"AdministratorAccess|AWSStepFunctionsFullAccess|PowerUserAccess|Amazon\w+FullAccess")
# Calls whose answer is rows, or the content of an object.
READERS = re.compile(
    r"aws-sdk:s3:getObject$|athena:getQueryResults$|aws-sdk:athena:getQueryResults$|aws-sdk:dynamodb:(?:scan|query)$"
    r"|aws-sdk:redshiftdata:getStatementResult$|aws-sdk:rdsdata:executeStatement$"
)
# Where a state says what it keeps of an answer.
KEPT = ("Output", "ResultSelector", "OutputPath", "Assign")
PAYLOADS = ("Arguments", "Parameters", "Output", "ResultSelector", "ItemSelector", "Assign")
ROWS = re.compile(r"(?:rows|records|dataframe|row_data|recordset)(?:\.\$)?", re.IGNORECASE)
BROAD = ("States.ALL", "States.TaskFailed")
LIMITS = {"TimeoutSeconds", "TimeoutSecondsPath"}
LINEAR = ("Task", "Pass", "Wait")


def check(project: Project) -> Iterator[Report]:
    for path, machine in definitions(project, b"StartAt", *SUFFIXES):
        known = members(machine)
        if isinstance(known.get("States"), yaml.MappingNode) and "StartAt" in known:
            yield from _of_machine(path, machine)
    resources = list(blocks(project))
    if any(each.type.startswith("aws_sfn_") for each in resources):
        for each in resources:
            yield from _of_block(each)


def _of_machine(path: str, machine: yaml.Node, ends: bool = False) -> Iterator[Report]:
    """ends: whether something around the machine ends it in time."""
    known = members(machine)
    ends = ends or "TimeoutSeconds" in known
    states = members(known.get("States"))
    for key in (key for key, _ in known["States"].value if isinstance(key, yaml.ScalarNode)):
        state = members(states[key.value])
        if text(state.get("Type")) == "Task" and not ends and not state.keys() & LIMITS:
            yield Report("step-functions-no-timeout", path, line(key), key.value)
        for catch in items(state.get("Catch")):
            if _closes(members(catch), states):
                yield Report("step-functions-catch-defeats-redrive", path, line(catch), key.value)
        yield from _of_payload(path, key, state)
        inner = [*items(state.get("Branches")), state.get("ItemProcessor"), state.get("Iterator")]
        for each in inner:
            if isinstance(members(each).get("States"), yaml.MappingNode):
                yield from _of_machine(path, each, ends)


def _closes(catch: dict[str, yaml.Node], states: dict[str, yaml.Node]) -> bool:
    """Whether a Catch takes every error, does no more than tell somebody, and ends in a Fail."""
    if not set(BROAD) & set(plain(catch.get("ErrorEquals")) or ()):
        return False
    seen, name = set(), text(catch.get("Next"))
    while name in states and name not in seen:
        seen.add(name)
        state = members(states[name])
        kind = text(state.get("Type"))
        if kind not in LINEAR:
            return kind == "Fail"
        name = text(state.get("Next"))
    return False


def _of_payload(path: str, key: yaml.ScalarNode, state: dict[str, yaml.Node]) -> Iterator[Report]:
    discards = "ResultPath" in state and plain(state["ResultPath"]) is None
    resource = text(state.get("Resource"))
    if READERS.search(resource) and not discards and not any(each in state for each in KEPT):
        yield Report("step-functions-rows-in-payload", path, line(state["Resource"]), key.value)
    for name in PAYLOADS:
        for each in keys(state.get(name)):
            if ROWS.fullmatch(each.value):
                yield Report("step-functions-rows-in-payload", path, line(each), key.value)


def _of_block(block: Block) -> Iterator[Report]:
    if block.type in TRIGGERS and STARTS.search(block.text) and "dead_letter_config" not in block.text:
        yield block.report("step-functions-no-dead-letter")
    if block.type in POLICIES:
        for number in grants_everything(block):
            yield Report("step-functions-wide-identity", block.path, number, block.address)
    if block.type == "aws_iam_role_policy_attachment" and ADMINISTRATORS.search(block.text):
        yield block.report("step-functions-wide-identity")
