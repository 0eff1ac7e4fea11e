"""Azure Data Factory: pipelines in the JSON of its Git layout, and what Terraform makes of them."""

from __future__ import annotations

import re
from collections.abc import Iterator

import yaml

from ..project import Project
from ..report import Report
from .nodes import Block, blocks, definitions, items, line, members, plain, text

# These end with what they hold or start, or at once; all others have a policy with a time-out.
WITHOUT_POLICY = {
    "AppendVariable", "ExecutePipeline", "Fail", "Filter", "ForEach", "IfCondition", "SetVariable", "Switch", "Wait",
}  # fmt: skip
# These have their time-out among their own properties.
OWN_TIMEOUT = {"Until", "Validation", "WebHook"}
VAULT = re.compile(r"\.vault\.azure\.(?:net|cn|us)\b")
WIDE = re.compile(r'role_definition_name\s*=\s*"(?:Owner|Contributor|User Access Administrator)"')
FACTORY = re.compile(r"azurerm_data_factory\.\w+")
EVERY_ACTION = re.compile(r'\bactions\s*=\s*\[[^\]]*"\*"')
FAILED_RUNS = re.compile(r'"PipelineFailedRuns"')


def check(project: Project) -> Iterator[Report]:
    for path, definition in definitions(project, b'"activities"', ".json"):
        activities = items(members(members(definition).get("properties")).get("activities"))
        if activities and all({"name", "type"} <= members(each).keys() for each in activities):
            yield from _of_activities(path, activities)
    resources = list(blocks(project))
    factories = [each for each in resources if each.kind == "resource" and each.type == "azurerm_data_factory"]
    if factories:
        for each in resources:
            yield from _of_block(each)
        # An alert may take the name of its metric from a local value.
        is_named = any(FAILED_RUNS.search(project.text(path)) for path in project.with_suffix(".tf"))
        if not is_named or all(each.type != "azurerm_monitor_metric_alert" for each in resources):
            yield from (each.report("data-factory-no-alert") for each in factories)


def _of_activities(path: str, activities: list[yaml.Node]) -> Iterator[Report]:
    """Of a list of activities, and of those within."""
    for node in activities:
        each = members(node)
        name, kind, given = each["name"], text(each["type"]), members(each.get("typeProperties"))
        policy = members(each.get("policy"))
        if text(each.get("state")) == "Inactive":
            continue
        holder = given if kind in OWN_TIMEOUT else policy
        if kind not in WITHOUT_POLICY and "timeout" not in holder:
            yield Report("data-factory-no-timeout", path, line(name), text(name))
        if _reads_a_vault(kind, given) and plain(policy.get("secureOutput")) is not True:
            yield Report("data-factory-secret-shown", path, line(name), text(name))
        for inner in _lists(given):
            yield from _of_activities(path, inner)
    yield from _swallowed(path, activities)


def _reads_a_vault(kind: str, given: dict[str, yaml.Node]) -> bool:
    url = plain(given.get("url"))
    return kind == "WebActivity" and bool(VAULT.search(str(url.get("value") if isinstance(url, dict) else url)))


def _lists(given: dict[str, yaml.Node]) -> Iterator[list[yaml.Node]]:
    """Lists of activities that an activity holds."""
    for holder in (given, *(members(case) for case in items(given.get("cases")))):
        for name in ("activities", "ifTrueActivities", "ifFalseActivities", "defaultActivities"):
            if inner := items(holder.get(name)):
                yield inner


def _swallowed(path: str, activities: list[yaml.Node]) -> Iterator[Report]:
    """Activities that run after a failure alone and let the run count as a success.

    A run succeeds when its last activities do. So a failure is lost when nothing else follows the activity that has
    failed: with a successor for success beside it, that one is skipped, and the run fails.
    """
    followers: dict[str, list[tuple[yaml.Node, list[str]]]] = {}
    for node in activities:
        for on in items(members(node).get("dependsOn")):
            known = members(on)
            conditions = plain(known.get("dependencyConditions")) or []
            followers.setdefault(text(known.get("activity")), []).append((node, conditions))
    for after in followers.values():
        if all(conditions == ["Failed"] for _, conditions in after):
            for node, _ in after:
                if not _fails(node, followers):
                    name = members(node)["name"]
                    yield Report("data-factory-swallowed-error", path, line(name), text(name))


def _fails(node: yaml.Node, followers: dict[str, list[tuple[yaml.Node, list[str]]]]) -> bool:
    """Whether an activity, one within it, or one after it, fails the run or judges what has happened."""
    reached, left = [], [node]
    while left:
        reached.append(left.pop())
        left += [each for each, _ in followers.get(text(members(reached[-1])["name"]), ()) if each not in reached]
    kinds = {text(members(each)["type"]) for each in reached}
    return bool(kinds & {"Fail", "IfCondition", "Switch", "Until", "ExecutePipeline"})


def _of_block(block: Block) -> Iterator[Report]:
    is_given = block.type == "azurerm_role_assignment" and FACTORY.search(block.text)
    if is_given and WIDE.search(block.text):
        yield block.report("data-factory-wide-identity")
    if block.type == "azurerm_role_definition" and EVERY_ACTION.search(block.text):
        yield block.report("data-factory-wide-identity")
