"""Mistakes in a definition that neither Workflows' schema nor its emulator notices before a run meets them."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import jsonschema
import yaml
from workflows_emulator.main import WORKFLOW_SCHEMA
from workflows_emulator.utils import load_package_config

from ...platform import config
from ...platform.errors import ConfigError
from ...platform.pipelines import Pipeline
from . import definitions

# Limits of the service: https://cloud.google.com/workflows/quotas
EXPRESSION_CHARACTERS, SOURCE_BYTES, VARIABLE_BYTES = 400, 128 * 1024, 4096
JUMPS = ("end", "break", "continue")
STANDARD = {
    "events.await_callback": ("callback", "timeout"),
    "events.create_callback_endpoint": ("http_callback_method",),
    "sys.log": ("data", "json", "severity", "text", "timeout"),
    "sys.sleep": ("seconds",),
}
# What every connector takes besides the parameters of its method.
OF_CONNECTORS = ("body", "connector_params")
# https://cloud.google.com/workflows/docs/reference/syntax/error-types
TAGS = (
    *("AuthError", "ConnectionError", "ConnectionFailedError", "HttpError", "IndexError", "KeyError", "NotFound"),
    *("OperationError", "ParallelNestingError", "RecursionError", "ResourceLimitError", "ResponseTypeError"),
    *("SystemError", "TimeoutError", "TypeError", "UnhandledBranchError", "ValueError", "ZeroDivisionError"),
)
OWN_TAGS = ("PermanentError", "ContractError", "InputNotReady", "TransientError", "ConfigError", "ProcessDied", "Late")
Steps = Sequence[Mapping[str, Mapping[str, Any]]]


def problems() -> list[str]:
    """What is wrong with the definitions of this project, a sentence each."""
    wrong = {file: list(of_source(source)) for file, source in definitions.sources().items()}
    for pipeline in definitions.with_workflow():
        file = definitions.file_of(pipeline)
        wrong[file] = wrong[file] or list(of_pipeline(pipeline))
    return [f"{file}: {each}" for file, sentences in wrong.items() for each in sentences]


def of_pipeline(pipeline: Pipeline) -> Iterator[str]:
    """Whether the workflow runs the pipeline's steps in their order, and its variables are small enough."""
    main = yaml.safe_load(definitions.source(pipeline))["main"]["steps"]
    calls = [body for step in main for body in step.values() if body.get("call") == "run_step"]
    steps = [body["args"].get("step") for body in calls]
    if steps != list(pipeline.steps):
        yield f"it runs the steps {', '.join(map(str, steps))}; the pipeline has {', '.join(pipeline.steps)}"
    for name, value in definitions.variables(pipeline).items():
        if len(value.encode()) > VARIABLE_BYTES:
            yield f"the variable {name} has {len(value.encode())} bytes; Workflows takes {VARIABLE_BYTES}"


def of_source(source: str) -> Iterator[str]:
    """What is wrong with the text of a definition."""
    try:
        workflows = yaml.safe_load(source)
        jsonschema.validate(workflows, _schema())
    except yaml.YAMLError as error:
        yield f"it is no YAML: {' '.join(str(error).split())}"
        return
    except jsonschema.ValidationError as error:
        at = [str(part) for part in error.absolute_path if not isinstance(part, int)]
        yield f"{'.'.join(at) or 'the definition'} is not as Workflows takes it: {error.message[:200]}"
        return
    if len(source.encode()) > SOURCE_BYTES:
        yield f"it has {len(source.encode())} bytes; Workflows takes {SOURCE_BYTES}"
    for name, workflow in workflows.items():
        yield from _of_steps(workflow["steps"], [], name, workflows)
        yield from _of_scopes(name, workflow)
        for text in _texts(workflow):
            for tag in re.findall(r'"(\w+)" in \w+\.tags', text):
                if tag not in (*TAGS, *OWN_TAGS):
                    yield f"{name}: no error has the tag {tag}{config.meant(tag, (*TAGS, *OWN_TAGS))}"
            for expression in re.findall(r"\$\{(.*)\}", text, re.DOTALL):
                if len(expression) > EXPRESSION_CHARACTERS:
                    yield (
                        f"{name}: the expression {expression[:40]}... has {len(expression)} characters; "
                        f"Workflows takes {EXPRESSION_CHARACTERS}"
                    )


@cache
def _schema() -> Any:
    """The emulator's schema, with expressions for time-outs, as the service takes them."""

    def mend(value: Any) -> Any:
        if isinstance(value, Mapping):
            mended = {key: mend(each) for key, each in value.items()}
            if "timeout" in mended.get("properties", {}):
                mended["properties"]["timeout"] = {"type": ["number", "string"]}
            return mended
        return [mend(each) for each in value] if isinstance(value, list) else value

    return mend(WORKFLOW_SCHEMA)


def _of_steps(steps: Steps, outer: list[str], where: str, workflows: Mapping[str, Any]) -> Iterator[str]:
    """Of a list of steps and of those within; outer: names of the steps that these may jump to as well."""
    reachable = [*outer, *(name for step in steps for name in step)]
    for step in steps:
        for name, body in step.items():
            at = f"{where}.{name}"
            for part in _parts(body):
                target = part.get("next")
                if target is not None and target not in (*reachable, *JUMPS):
                    yield f"{at}: there is no step {target} to go to{config.meant(target, reachable)}"
                if "call" in part:
                    yield from _of_call(part, at, workflows)
            for inner in _lists(body):
                yield from _of_steps(inner, reachable, at, workflows)


def _of_scopes(name: str, workflow: Mapping[str, Any]) -> Iterator[str]:
    """Variables that are created in an except block or a loop, and so are not there for the steps after it."""
    known = {each if isinstance(each, str) else next(iter(each)) for each in workflow.get("params", [])}
    for step, kind, inner, before in _scopes(workflow["steps"], known):
        outside = [text for text in _texts(workflow, without=inner) if text.startswith("${")]
        for variable in sorted(set(_assigned(inner)) - before):
            if any(re.search(rf"(?<![\w.\"]){variable}\b", text) for text in outside):
                yield f"{name}.{step}: {variable} is created in its {kind}, and gone after it: assign it before"


def _scopes(steps: Steps, known: set[str]) -> Iterator[tuple[str, str, Any, frozenset[str]]]:
    """Each except block and loop with its step, and the variables that exist before it; adds to known on the way."""
    for step in steps:
        for name, body in step.items():
            before = frozenset(known)
            known.update(_assigned(body))
            for kind in ("except", "for"):
                if kind in body:
                    yield name, kind, body[kind], before
            for inner in _lists(body):
                yield from _scopes(inner, set(before))


def _assigned(value: Any) -> Iterator[str]:
    """The variables that a part of a definition assigns."""
    if isinstance(value, Mapping):
        for each in value.get("assign", ()) if isinstance(value.get("assign"), list) else ():
            yield from (re.split(r"[.\[]", key)[0] for key in each)
        if isinstance(value.get("result"), str):
            yield value["result"]
    for each in value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ():
        yield from _assigned(each)


def _of_call(part: Mapping[str, Any], at: str, workflows: Mapping[str, Any]) -> Iterator[str]:
    name, given = part["call"], part.get("args", {})
    if name in workflows:
        params = workflows[name].get("params", [])
        names = [each if isinstance(each, str) else next(iter(each)) for each in params]
        for missing in [each for each in params if isinstance(each, str) and each not in given]:
            yield f"{at}: {name} needs {missing}"
        yield from _unknown(given, names, f"{at}: {name}")
    elif name.startswith("googleapis."):
        method, schemas, shared = connector(name)
        if method is None:
            yield f"{at}: there is no connector {name}"
            return
        yield from _unknown(given, [*method.get("parameters", {}), *shared, *OF_CONNECTORS], f"{at}: {name}")
        for missing in [each for each, about in method.get("parameters", {}).items() if about.get("required")]:
            if missing not in given:
                yield f"{at}: {name} needs {missing}"
        if given.get("uploadType") != "media":  # else the body is the object's content
            yield from _of_body(given.get("body"), method.get("request", {}).get("$ref"), schemas, f"{at}: body")
    elif name in STANDARD:
        yield from _unknown(given, STANDARD[name], f"{at}: {name}")
    else:
        yield f"{at}: there is no subworkflow or function {name}{config.meant(name, [*workflows, *STANDARD])}"


def _of_body(given: Any, schema: str | None, schemas: Mapping[str, Any], at: str) -> Iterator[str]:
    """Whether each key of what is sent is one of the message that the API takes."""
    properties = schemas.get(schema or "", {}).get("properties")
    if not isinstance(given, Mapping) or not properties:
        return
    yield from _unknown(given, list(properties), at)
    for key, value in given.items():
        about = properties.get(key, {})
        for each in value if isinstance(value, list) else [value]:
            inner = about.get("$ref") or about.get("items", {}).get("$ref")
            yield from _of_body(each, inner, schemas, f"{at}.{key}")


@cache
def connector(name: str) -> tuple[Mapping[str, Any] | None, Mapping[str, Any], Mapping[str, Any]]:
    """The API's method that a connector calls, None when there is none; the API's messages, and common parameters."""
    _, *parts = name.split(".")
    try:
        service, version, *resources, method = parts
        api = load_package_config(f"discovery_documents/{service}_{version}.json")
        resource = api
        for each in resources:
            resource = resource["resources"][each]
        return resource["methods"][method], api["schemas"], {**api["parameters"], "uploadType": {}}
    except (KeyError, ValueError, FileNotFoundError):
        return None, {}, {}


def _parts(body: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """A step, and what it does conditionally or tries without a name of its own."""
    yield body
    yield from body.get("switch", ())
    if isinstance(body.get("try"), Mapping):
        yield body["try"]


def _lists(body: Mapping[str, Any]) -> Iterator[Steps]:
    """The lists of steps within a step."""
    for part in (*_parts(body), body.get("except", {}), body.get("for", {})):
        if "steps" in part:
            yield part["steps"]
    for branch in body.get("parallel", {}).get("branches", ()):
        for inner in branch.values():
            yield inner["steps"]


def _texts(value: Any, without: Any = None) -> Iterator[str]:
    """Every text in a definition, or a part of it; without: a part that is left out."""
    if value is without:
        return
    if isinstance(value, str):
        yield value
    for each in value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ():
        yield from _texts(each, without)


def _unknown(given: Mapping[str, Any], known: Sequence[str], at: str) -> Iterator[str]:
    for name in given:
        if name not in known:
            yield f"{at} does not take {name}{config.meant(name, known)}"


def main() -> None:
    """Exit with an error when a definition has a problem: a part of ``make lint``."""
    from . import permissions

    try:
        wrong = problems() + permissions.problems()
    except ConfigError as error:
        wrong = [str(error)]
    for each in wrong:
        print(f"error: {each}", file=sys.stderr)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
