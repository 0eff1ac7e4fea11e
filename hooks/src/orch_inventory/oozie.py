"""Oozie: workflows, coordinators and bundles. Files that declare entities are refused, whatever these hold."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from xml.parsers import expat

from orch_standards.project import Problem, Project, is_test

from . import systems
from .code import Code
from .facts import GUESSED, READ, RESOLVED, Fact, Link, Pipeline, Step
from .shell import commands

ROOTS = ("workflow-app", "coordinator-app", "bundle-app")
NAMES = ("workflow", "coordinator", "bundle")
FUNCTION = re.compile(r"\b([a-zA-Z]+:[a-zA-Z]+)\(")
VARIABLE = re.compile(r"\$\{\s*([\w.]+)\s*\}")
PROPERTY = re.compile(r"^\s*([\w.]+)\s*[=:]\s*(.*?)\s*$", re.MULTILINE)
DEEPEST = 8
NO_ACTIONS = ("ok", "error", "info", "credentials")


class EntitiesError(ValueError):
    """The file declares entities, which may read other files or grow without end."""


def read(code: Code) -> list[Pipeline]:
    """Workflows, coordinators and bundles of all XML files."""
    project, found = code.project, []
    for path in project.with_suffix(".xml"):
        content = project.bytes(path)
        named = path.rpartition("/")[2].startswith(NAMES)
        if is_test(path) or (not named and not any(root.encode() in content for root in ROOTS)):
            continue
        try:
            root = parsed(content)
        except EntitiesError as error:
            project.problems.add(Problem(path, 1, str(error)))
            continue
        except (ET.ParseError, expat.ExpatError, ValueError, LookupError, RecursionError) as error:
            line = getattr(error, "lineno", None) or getattr(error, "position", (1, 0))[0]
            project.problems.add(Problem(path, line, f"it is no XML: {str(error).partition(':')[0]}"))
            continue
        reader = {"workflow-app": _workflow, "coordinator-app": _coordinator, "bundle-app": _bundle}.get(_local(root))
        if reader:
            with code.reading(path):
                found.append(reader(root, path, _properties(project, path)))
    return found


def parsed(content: bytes) -> ET.Element:
    """The root element. Raises EntitiesError before anything that a declaration says is done."""
    guard = expat.ParserCreate()

    def refuse(*_: object) -> None:
        raise EntitiesError("refused: it declares entities; remove the declarations if you trust the file")

    guard.EntityDeclHandler = refuse
    guard.ExternalEntityRefHandler = refuse
    guard.Parse(content, True)
    return ET.fromstring(content)  # noqa: S314  without entities it can only say what stands in it


def _local(node: ET.Element) -> str:
    return str(node.tag).rpartition("}")[2]


def _properties(project: Project, path: str) -> dict[str, str]:
    """Values of the .properties files beside a file, which fill its variables in."""
    folder = path.rpartition("/")[0]
    found: dict[str, str] = {}
    for other in project.with_suffix(".properties"):
        if other.rpartition("/")[0] == folder:
            found |= dict(PROPERTY.findall(project.text(other)))
    return found


def _filled(text: str, properties: dict[str, str]) -> Fact:
    """A text with its variables filled in, a guess where one stays."""
    confidence = READ
    for _ in range(DEEPEST):
        filled = VARIABLE.sub(lambda match: properties.get(match[1], match[0]), text)
        if filled == text:
            break
        text, confidence = filled, RESOLVED
    return Fact(text.strip(), GUESSED if VARIABLE.search(text) else confidence)


def _name(root: ET.Element, path: str, properties: dict[str, str]) -> Fact:
    return _filled(root.get("name") or path, properties)


def _functions(pipeline: Pipeline, root: ET.Element) -> None:
    """Note the functions that Oozie's expressions call; each has to be replaced by hand."""
    texts = [text for node in root.iter() for text in (node.text or "", *node.attrib.values())]
    used = sorted({name for text in texts if "${" in text for name in FUNCTION.findall(text)})
    if used:
        pipeline.feature("expressions", ", ".join(used))
    for text in texts:
        for scheme, system in systems.of_text(text):
            pipeline.add_system(system, f"an address {scheme} ({pipeline.path})", READ)


def _workflow(root: ET.Element, path: str, properties: dict[str, str]) -> Pipeline:
    pipeline = Pipeline(_name(root, path, properties), "oozie", "workflow", path, 1)
    for node in root:
        kind, name = _local(node), node.get("name") or "?"
        if kind == "action":
            action = next((child for child in node if _local(child) not in NO_ACTIONS), None)
            if action is not None:
                pipeline.steps.append(_action(pipeline, action, node, path, properties))
        elif kind == "decision":
            step = Step(Fact(name), "oozie decision", path, 1, "branch", package="oozie", definition=(path, name))
            pipeline.steps.append(step)
        elif kind == "fork":
            pipeline.feature("fork", f"fork {name}")
    _functions(pipeline, root)
    return pipeline


def _action(pipeline: Pipeline, action: ET.Element, node: ET.Element, path: str, properties: dict[str, str]) -> Step:
    name, kind = node.get("name") or "?", _local(action)
    step = Step(Fact(name), f"oozie {kind}", path, 1, package="oozie", definition=(path, name))
    if node.get("retry-max"):
        step.settings["retries"] = _filled(node.get("retry-max") or "", properties)
    for system in systems.of_class(step.operator):
        pipeline.add_system(system, f"{step.operator} ({path})", READ)
    if kind == "sub-workflow":
        step.kind = "subpipeline"
        target = next((child.text or "" for child in action if _local(child) == "app-path"), "")
        pipeline.links.append(Link("starts file", _filled(target, properties), path, 1))
        pipeline.feature("sub_flows", f"sub-workflow {name} ({path})")
    if kind in ("shell", "ssh"):
        words = [
            _filled(child.text or "", properties).value
            for child in action
            if _local(child) in ("exec", "command", "argument", "args")
        ]
        for each in commands(" ".join(filter(None, words))):
            system = systems.of_command(each)
            if system:
                pipeline.add_system(system, f"runs {each[0]} ({path})", READ)
    return step


def _controls(root: ET.Element) -> Iterator[ET.Element]:
    return (each for node in root if _local(node) == "controls" for each in node)


def _coordinator(root: ET.Element, path: str, properties: dict[str, str]) -> Pipeline:
    pipeline = Pipeline(_name(root, path, properties), "oozie", "coordinator", path, 1)
    pipeline.schedule = _filled(root.get("frequency") or "?", properties)
    if "coord:" in pipeline.schedule.value:
        pipeline.schedule = Fact(pipeline.schedule.value, READ)
    elif pipeline.schedule.value.isdigit():
        pipeline.schedule = Fact(f"every {pipeline.schedule.value} minutes", pipeline.schedule.confidence)
    pipeline.zone = _filled(root.get("timezone") or "UTC", properties)
    pipeline.feature("partitioned_backfills", "a coordinator runs every interval since its start")
    for node in root.iter():
        if _local(node) == "app-path" and node.text:
            pipeline.links.append(Link("starts file", _filled(node.text, properties), path, 1))
        elif _local(node) in ("data-in", "data-out"):
            what = "reads" if _local(node) == "data-in" else "writes"
            dataset = next(
                (each for each in root.iter() if _local(each) == "dataset" and each.get("name") == node.get("dataset")),
                None,
            )
            uri = next((each.text for each in dataset or () if _local(each) == "uri-template"), None)
            target = _filled(uri, properties) if uri else Fact(node.get("dataset") or "?", GUESSED)
            # ${YEAR} and the like name the instance, they are no variables.
            plain = re.sub(r"[/_.=-]?(?:\w+=)?\$\{(?:YEAR|MONTH|DAY|HOUR|MINUTE)\}", "", target.value)
            sure = GUESSED if VARIABLE.search(plain) else RESOLVED
            pipeline.links.append(Link(what, Fact(plain, sure), path, 1))
            if what == "reads":
                step = Step(
                    Fact(f"wait for {node.get('dataset')}"), "oozie data-in", path, 1, "sensor", package="oozie"
                )
                step.definition = (path, node.get("name"))
                pipeline.steps.append(step)
                pipeline.feature("sensors", f"data-in {node.get('dataset')} ({path})")
    _functions(pipeline, root)
    return pipeline


def _bundle(root: ET.Element, path: str, properties: dict[str, str]) -> Pipeline:
    pipeline = Pipeline(_name(root, path, properties), "oozie", "bundle", path, 1)
    for node in root.iter():
        if _local(node) == "app-path" and node.text:
            pipeline.links.append(Link("starts file", _filled(node.text, properties), path, 1))
    return pipeline
