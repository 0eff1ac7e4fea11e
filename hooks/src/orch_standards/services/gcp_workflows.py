"""Google Cloud Workflows: definitions in YAML or JSON, and what Terraform makes of them."""

from __future__ import annotations

import re
from collections.abc import Iterator

import yaml

from ..project import Project
from ..report import Report
from .nodes import Block, blocks, definitions, items, line, members, text

# Connectors that wait for what they start, and end after 30 minutes unless they are given a time.
WAITING = re.compile(
    r"googleapis\.(?:run\.v\d\.(?:projects\.locations|namespaces)\.jobs\.run|bigquery\.v2\.jobs\.insert"
    r"|dataproc\.v1\.\w+\..*(?:create|submitAsOperation)|dataflow\.v1b3\..*(?:create|launch)"
    r"|batch\.v1\.projects\.locations\.jobs\.create|cloudbuild\.v1\.projects\.(?:locations\.)?builds\.create)"
)
CALLS = re.compile(r"http\.(?:get|post|put|patch|delete|request)|events\.await_callback")
READERS = re.compile(r"googleapis\.bigquery\.v2\.(?:jobs\.getQueryResults|tabledata\.list)")
TELLS = re.compile(r"sys\.log|http\.(?:post|request)|googleapis\.pubsub\..*publish")
STARTS = re.compile(r"workflowexecutions\.googleapis\.com")
WIDE = re.compile(r'"roles/(?:owner|editor|(?:run|workflows|storage)\.admin|iam\.serviceAccountTokenCreator)"')
ROLES = re.compile(r"google_\w+_iam_(?:member|binding)")
RETRIES = re.compile(r"retry_count\s*=\s*[1-9v]")


def check(project: Project) -> Iterator[Report]:
    for path, definition in definitions(project, b"steps", ".yaml", ".yml", ".json"):
        workflows = members(definition)
        if workflows and all("steps" in members(each) for each in workflows.values()) and _is_definition(workflows):
            for each in workflows.values():
                for name, step in _steps(members(each)["steps"]):
                    yield from _of_step(path, name, members(step))
    resources = list(blocks(project))
    if any(each.type == "google_workflows_workflow" for each in resources):
        for each in resources:
            yield from _of_block(each)


def _is_definition(workflows: dict[str, yaml.Node]) -> bool:
    """Whether the lists of steps are of Workflows: each step is a name with what it does. CI services have such too."""
    steps = [step for each in workflows.values() for step in items(members(each)["steps"])]
    return bool(steps) and all(
        isinstance(step, yaml.MappingNode) and len(step.value) == 1 and members(step.value[0][1]) for step in steps
    )


def _steps(steps: yaml.Node) -> Iterator[tuple[yaml.ScalarNode, yaml.Node]]:
    """Every step by its name, and those within."""
    for step in items(steps):
        if isinstance(step, yaml.MappingNode):
            for name, body in step.value:
                yield name, body
                for inner in _lists(members(body)):
                    yield from _steps(inner)


def _lists(body: dict[str, yaml.Node]) -> Iterator[yaml.Node]:
    parallel = members(body.get("parallel"))
    branches = [inner for each in items(parallel.get("branches")) for inner in members(each).values()]
    for part in (*(body.get(name) for name in ("try", "except", "for")), parallel.get("for"), *branches):
        if "steps" in members(part):
            yield members(part)["steps"]
    if "steps" in body:
        yield body["steps"]
    for each in items(body.get("switch")):
        if "steps" in members(each):
            yield members(each)["steps"]


def _of_step(path: str, name: yaml.ScalarNode, step: dict[str, yaml.Node]) -> Iterator[Report]:
    for part in (step, members(step.get("try"))):
        call, args = text(part.get("call")), members(part.get("args"))
        limits = members(args.get("connector_params")) if call.startswith("googleapis.") else args
        if (WAITING.fullmatch(call) or CALLS.fullmatch(call)) and "timeout" not in limits:
            yield Report("gcp-workflows-no-timeout", path, line(part["call"]), name.value)
        if READERS.fullmatch(call) and "result" in part and "maxResults" not in args:
            yield Report("gcp-workflows-rows-in-payload", path, line(part["call"]), name.value)
    caught = members(step.get("except"))
    if "steps" in caught and _only_tells(caught["steps"]):
        yield Report("gcp-workflows-swallowed-error", path, line(caught["steps"]), name.value)


def _only_tells(steps: yaml.Node) -> bool:
    """Whether an except tells somebody, or does nothing, and lets the execution go on as if nothing had happened."""
    bodies = [members(body) for _, body in _steps(steps)]
    return all(TELLS.fullmatch(text(body.get("call"))) and "next" not in body for body in bodies)


def _of_block(block: Block) -> Iterator[Report]:
    if block.type == "google_workflows_workflow" and "service_account" not in block.text:
        yield block.report("gcp-workflows-wide-identity")
    if ROLES.fullmatch(block.type) and WIDE.search(block.text):
        yield block.report("gcp-workflows-wide-identity")
    if block.type == "google_cloud_scheduler_job" and STARTS.search(block.text) and not RETRIES.search(block.text):
        yield block.report("gcp-workflows-start-not-retried")
