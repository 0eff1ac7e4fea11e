"""Mistakes in the definitions that Azure would refuse when they are published, or that a run would meet.

``python -m <package>.orchestration.data_factory.checks`` exits with an error when there is one, as ``make lint`` does.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from ...platform import config
from ...platform.errors import ConfigError
from ...platform.pipelines import Pipeline
from . import ENGINE, definitions, expressions
from .expressions import ExpressionError
from .runner import RETURN_VALUE

CONTAINERS = {"Until": ("activities",), "IfCondition": ("ifTrueActivities", "ifFalseActivities")}
# What a run hands to a step: names alone. Rows stay in the warehouse.
PAYLOAD = ("pipeline", "step", "partition", "run_id", "at_once")
RUN_STEP = ("platform_run_step", "platform_run_held_step")
ROOTS = ("pipeline", "variables", "activity")
OF_RUN = ("parameters", "globalParameters", "RunId", "Pipeline")
Activities = Sequence[Mapping[str, Any]]


def problems() -> list[str]:
    """What is wrong with the definitions of this project, a sentence each."""
    try:
        factory = {file: definitions.read(file) for file in definitions.files()}
        wrong = {file: list(of_file(file, factory)) for file in factory}
        for pipeline in definitions.defined():
            file = definitions.file_of(pipeline)
            if not wrong[file] and not wrong.get(definitions.trigger_file_of(pipeline)):
                wrong[file] = list(of_pipeline(pipeline, factory))
    except ConfigError as error:
        return [str(error)]
    return [f"{file}: {each}" for file, sentences in wrong.items() for each in sentences]


def of_pipeline(pipeline: Pipeline, factory: Mapping[Path, Any]) -> Iterator[str]:
    """Whether a definition runs the pipeline's steps in their order, and its trigger fits its schedule.

    For a definition and a trigger with which nothing else is wrong.
    """
    activities = factory[definitions.file_of(pipeline)]["properties"]["activities"]
    called = [(_called(each), each["typeProperties"].get("parameters", {})) for each in activities if _called(each)]
    steps = [given.get("step") for name, given in called if name in RUN_STEP]
    if steps != list(pipeline.steps):
        yield f"it runs the steps {', '.join(map(str, steps))}; the pipeline has {', '.join(pipeline.steps)}"
    others = [given["pipeline"] for _, given in called if given.get("pipeline", pipeline.name) != pipeline.name]
    if others:
        yield f"it runs steps of {others[0]}, and is the definition of {pipeline.name}"
    trigger = factory.get(definitions.trigger_file_of(pipeline))
    if trigger is None:
        if pipeline.settings.schedule.cron and pipeline.settings.orchestrator == ENGINE.id:
            yield f"nothing starts it: write {definitions.trigger_file_of(pipeline)}, or take away its schedule.cron"
        return
    given = trigger["properties"]["typeProperties"]
    frequency, interval = definitions.interval(pipeline)
    if (given["frequency"], given["interval"]) != (frequency, interval):
        yield (
            f"its trigger has windows of {given['interval']} {given['frequency']}; partitions of a {pipeline.grain} "
            f'need "frequency": "{frequency}", "interval": {interval}'
        )
    definitions.first_window(pipeline)


def of_file(file: Path, factory: Mapping[Path, Any]) -> Iterator[str]:
    """What is wrong with a file. factory: all files of the factory, parsed."""
    kind, whole = file.parent.name, factory[file]
    if kind not in definitions.KINDS:
        yield f"{kind}/ is no folder that is published: write into {', '.join(definitions.KINDS)}"
        return
    if whole.get("name") != file.stem:
        yield f"its name is {whole.get('name')!r}, and must be that of the file"
    for unknown in whole.keys() - {"name", "properties"}:
        yield f"{unknown} is none of name and properties"
    refused = list(_validator(kind).iter_errors(whole["properties"]))
    for error in refused:
        yield _sentence(error)
    if refused:
        return
    properties = whole["properties"]
    for reference in _references(properties):
        yield from _of_reference(reference, factory)
    if kind == "pipeline":
        yield from _of_activities(properties["activities"], properties, "", set())
    if kind == "trigger":
        yield from _of_parameters(properties["pipeline"], properties["pipeline"]["pipelineReference"], factory)


def _of_activities(activities: Activities, pipeline: Mapping[str, Any], inside: str, outer: set[str]) -> Iterator[str]:
    """Of a list of activities and of those within. inside: the activity they are in. outer: activities before that."""
    names = [each["name"] for each in activities]
    for name in {each for each in names if names.count(each) > 1}:
        yield f"{name}: there are {names.count(name)} activities of this name"
    before = {name: _before(name, activities) for name in names}
    for each in activities:
        name, kind = each["name"], each["type"]
        for on in each.get("dependsOn", ()):
            if on["activity"] not in names:
                yield f"{name}: there is no activity {on['activity']} to wait for{config.meant(on['activity'], names)}"
        if name in before[name]:
            yield f"{name}: it waits for itself"
        if inside and kind in (*CONTAINERS, "Validation", "WebHook"):
            yield f"{name}: {kind} may not stand within {inside}: call another pipeline"
        lists = CONTAINERS.get(kind, ())
        own = {key: value for key, value in each["typeProperties"].items() if key not in lists}
        within = {one["name"] for key in lists for one in each["typeProperties"].get(key, ())}
        seen = outer | before[name] | (within if kind == "Until" else set())
        yield from (f"{name}: {problem}" for problem in _of_expressions(own, pipeline, seen))
        if kind == "SetVariable":
            yield from (f"{name}: {problem}" for problem in _of_variable(own, pipeline))
        if _called(each) in RUN_STEP:
            for field in own.get("parameters", {}).keys() - set(PAYLOAD):
                yield f"{name}: it hands on {field}; a step gets names alone, and rows stay in the warehouse"
        for key in lists:
            yield from _of_activities(each["typeProperties"].get(key, ()), pipeline, kind, outer | before[name])


def _of_variable(given: Mapping[str, Any], pipeline: Mapping[str, Any]) -> Iterator[str]:
    name, known = given["variableName"], pipeline.get("variables", {})
    if name == RETURN_VALUE and given.get("setSystemVariable"):
        return
    if name not in known:
        yield f"there is no variable {name}{config.meant(name, known)}"
    for node in expressions.nodes(given["value"]):
        if node.kind == "call" and node.value == "variables" and node.parts[0].value == name:
            yield f"{name} may not be set from itself: set another variable first"


def _of_expressions(value: Any, pipeline: Mapping[str, Any], seen: set[str]) -> Iterator[str]:
    """seen: activities whose results may be read here."""
    try:
        nodes = list(expressions.nodes(value))
    except ExpressionError as error:
        yield str(error)
        return
    functions, variables = (*expressions.FUNCTIONS, *ROOTS), pipeline.get("variables", {})
    for node in nodes:
        name = node.parts[0].value if node.kind == "call" and node.parts else None
        if node.kind == "call" and node.value not in functions:
            yield f"there is no function {node.value}{config.meant(node.value, functions)}"
        elif node.kind == "call" and node.value == "variables" and name not in variables:
            yield f"there is no variable {name}{config.meant(str(name), variables)}"
        elif node.kind == "call" and node.value == "activity" and name not in seen:
            yield f"the result of {name} is not there yet: wait for it in dependsOn{config.meant(str(name), seen)}"
        if node.kind == "member":
            yield from _of_member(node, pipeline)


def _of_member(node: expressions.Node, pipeline: Mapping[str, Any]) -> Iterator[str]:
    """Whether what is read of the run exists: pipeline().parameters.<name> and the like."""
    owner, key = node.parts
    if owner.kind == "call" and owner.value == "pipeline" and key.value not in OF_RUN:
        yield f"pipeline() has no {key.value}{config.meant(str(key.value), OF_RUN)}"
    if owner.kind != "member" or owner.parts[0].kind != "call" or owner.parts[0].value != "pipeline":
        return
    known = {"parameters": pipeline.get("parameters", {}), "globalParameters": definitions.GLOBAL_PARAMETERS}
    of = str(owner.parts[1].value)
    if of in known and key.kind == "value" and key.value not in known[of]:
        what = "parameter" if of == "parameters" else "global parameter"
        yield f"there is no {what} {key.value}{config.meant(str(key.value), known[of])}"


def _of_reference(holder: Mapping[str, Any], factory: Mapping[Path, Any]) -> Iterator[str]:
    """Whether what is referred to exists, and takes these parameters."""
    for reference in [each for each in holder.values() if _is_reference(each)]:
        file = _file_of(reference)
        names = [each.stem for each in factory if each.parent == file.parent]
        if file not in factory:
            yield f"there is no {file.parent.name} {file.stem}{config.meant(file.stem, names)}"
        else:
            yield from _of_parameters(holder if "parameters" in holder else reference, reference, factory)


def _of_parameters(
    holder: Mapping[str, Any], reference: Mapping[str, Any], factory: Mapping[Path, Any]
) -> Iterator[str]:
    target = factory.get(_file_of(reference))
    if target is None or reference["type"] == "LinkedServiceReference":
        return
    known, given = target["properties"].get("parameters", {}), holder.get("parameters", {})
    for name in given.keys() - known.keys():
        yield f"{reference['referenceName']} has no parameter {name}{config.meant(name, known)}"
    for name in [each for each, about in known.items() if "defaultValue" not in about and each not in given]:
        yield f"{reference['referenceName']} needs the parameter {name}"


def _references(value: Any) -> Iterator[Mapping[str, Any]]:
    """Everything that holds a reference."""
    if isinstance(value, Mapping):
        if any(_is_reference(each) for each in value.values()):
            yield value
        for each in value.values():
            yield from _references(each)
    elif isinstance(value, list):
        for each in value:
            yield from _references(each)


def _is_reference(value: Any) -> bool:
    return isinstance(value, Mapping) and "referenceName" in value


def _file_of(reference: Mapping[str, Any]) -> Path:
    kind = {"PipelineReference": "pipeline", "DatasetReference": "dataset"}.get(reference["type"], "linkedService")
    return definitions.FOLDER / kind / f"{reference['referenceName']}.json"


def _before(name: str, activities: Activities) -> set[str]:
    """The activities that have ended when this one begins."""
    waits = {each["name"]: {on["activity"] for on in each.get("dependsOn", ())} for each in activities}
    reached, more = set(), waits.get(name, set())
    while more - reached:
        reached |= more
        more = set().union(*(waits.get(each, set()) for each in reached))
    return reached


def _called(activity: Mapping[str, Any]) -> str:
    """The pipeline that an activity starts, empty for another activity."""
    given = activity["typeProperties"]
    return given["pipeline"]["referenceName"] if activity["type"] == "ExecutePipeline" else ""


def _sentence(error: jsonschema.ValidationError) -> str:
    at = [str(part) for part in error.absolute_path if part not in ("typeProperties",)]
    return f"{'.'.join(at) or 'the definition'} is not as Data Factory takes it here: {error.message[:200]}"


@cache
def _validator(kind: str) -> jsonschema.Draft7Validator:
    known = yaml.safe_load(Path(__file__).with_name("schemas.yml").read_text(encoding="utf-8"))
    return jsonschema.Draft7Validator({"$ref": f"#/definitions/{kind}", **known})


def main() -> None:
    """Print what is wrong, and exit with an error when there is something."""
    from . import permissions

    wrong = problems() + permissions.problems()
    for each in wrong:
        print(f"error: {each}", file=sys.stderr)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
