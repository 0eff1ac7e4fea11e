"""dag-factory: DAGs that stand in YAML, each under its id, with a block of defaults."""

from __future__ import annotations

import re
from typing import Any

from orch_standards.project import Problem, Project, is_test

from . import systems
from .code import Code
from .facts import GUESSED, READ, RESOLVED, Fact, Link, Pipeline, Step
from .shell import commands

LOOKS_LIKE = re.compile(rb"\b(?:operator|decorator)[\"']?\s*:")


def read(code: Code) -> list[Pipeline]:
    """The DAGs of all YAML files of dag-factory's form."""
    project, found = code.project, []
    for path in project.with_suffix(".yml", ".yaml"):
        content = project.bytes(path)
        if is_test(path) or b"tasks" not in content or not LOOKS_LIKE.search(content):
            continue
        document = project.yaml(path)
        known = any(problem.path == path for problem in project.problems)
        if document is None and not known:
            project.problems.add(Problem(path, 1, "it is no YAML as it stands: a template, or broken"))
        elif isinstance(document, dict):
            with code.reading(path):
                found += _of_file(document, path, project)
    return found


def _of_file(document: dict[str, Any], path: str, project: Project) -> list[Pipeline]:
    defaults = document.get("default") if isinstance(document.get("default"), dict) else {}
    found = []
    for name, given in document.items():
        if name == "default" or not isinstance(given, dict) or "tasks" not in given:
            continue
        tasks = _tasks(given["tasks"])
        if not any("operator" in task or "decorator" in task for _, task in tasks):
            continue
        line = next((n for n, text in enumerate(project.text(path).splitlines(), 1) if text.startswith(f"{name}:")), 1)
        pipeline = Pipeline(Fact(str(name)), "airflow", "DAG of dag-factory", path, line)
        _options(pipeline, defaults, given)
        for task_name, task in tasks:
            pipeline.steps.append(_step(pipeline, task_name, task, path))
        found.append(pipeline)
    return found


def _tasks(given: Any) -> list[tuple[str, dict[str, Any]]]:
    """Tasks by name: dag-factory takes a mapping, and since 1.0 also a list."""
    if isinstance(given, dict):
        return [(str(name), task) for name, task in given.items() if isinstance(task, dict)]
    tasks = [task for task in given if isinstance(task, dict)] if isinstance(given, list) else []
    return [(str(task.get("task_id") or "?"), task) for task in tasks]


def _options(pipeline: Pipeline, defaults: dict[str, Any], given: dict[str, Any]) -> None:
    for key in ("schedule", "schedule_interval"):
        for options, confidence in ((given, READ), (defaults, RESOLVED)):
            if pipeline.schedule is None and key in options:
                value = options[key]
                assets = _assets(value)
                text = ("assets: " + ", ".join(assets)) if assets else "none" if value is None else str(value)
                pipeline.schedule = Fact(text, confidence)
                pipeline.links += [Link("reads", Fact(each), pipeline.path, pipeline.line) for each in assets]
    zone = given.get("timezone") or defaults.get("timezone")
    pipeline.zone = Fact(str(zone)) if zone else None
    if (given.get("catchup", defaults.get("catchup"))) is True:
        pipeline.feature("partitioned_backfills", "catchup: true")


def _assets(value: Any) -> list[str]:
    """Addresses of the assets in a schedule or in outlets, however they are nested."""
    if isinstance(value, dict):
        named = [str(value[key]) for key in ("uri",) if key in value]
        return named or [each for inner in value.values() for each in _assets(inner)]
    if isinstance(value, list):
        return [each for inner in value for each in _assets(inner)]
    return [value] if isinstance(value, str) and "://" in value else []


def _step(pipeline: Pipeline, name: str, task: dict[str, Any], path: str) -> Step:
    dotted = str(task.get("operator") or "")
    operator = dotted.rpartition(".")[2] or "@" + str(task.get("decorator") or "?").rpartition(".decorators.")[2]
    step = Step(Fact(name), operator, path, pipeline.line, definition=(path, pipeline.name.value, name))
    parts = dotted.split(".")
    provider = parts[2] if parts[:2] == ["airflow", "providers"] and len(parts) > 2 else "core"
    step.package = "core" if provider == "standard" else provider
    if parts[0] != "airflow" and dotted:
        step.package = parts[0]
    if operator.endswith(("Sensor", "SensorAsync")) or operator == "@task.sensor":
        step.kind = "sensor"
        pipeline.feature("sensors", f"{operator} ({path}:{pipeline.line})")
    elif re.search(r"(Empty|Dummy)Operator$", operator):
        step.kind = "structure"
    if "expand" in task:
        step.count, step.loop = None, "expand"
        pipeline.feature("dynamic_fan_out", f"expand of {name} ({path})")
    if "trigger_dag_id" in task:
        step.kind = "trigger"
        pipeline.links.append(Link("starts", Fact(str(task["trigger_dag_id"])), path, pipeline.line))
    if "external_dag_id" in task:
        pipeline.links.append(Link("waits for", Fact(str(task["external_dag_id"])), path, pipeline.line))
    for each in _assets(task.get("outlets")):
        pipeline.links.append(Link("writes", Fact(each), path, pipeline.line))
    for system in {*systems.of_class(operator), systems.of_import(dotted)} - {None}:
        pipeline.add_system(system, f"{operator} ({path})", READ)
    for key, value in task.items():
        if str(key).endswith("conn_id") and isinstance(value, str):
            pipeline.use("connection", Fact(value))
            hint = systems.of_connection(value)
            if hint:
                pipeline.add_system(hint, f"a connection named {value}", GUESSED)
        if key == "bash_command" and isinstance(value, str):
            for words in commands(value):
                system = systems.of_command(words)
                if system:
                    pipeline.add_system(system, f"runs {words[0]} ({path})", READ)
        for scheme, system in systems.of_text(value) if isinstance(value, str) else ():
            pipeline.add_system(system, f"an address {scheme} ({path})", READ)
    return step
