"""Luigi: trees of tasks. A task that no other one requires is the root of a pipeline."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from orch_standards.names import FUNCTIONS, Definition, External, Value, meaning
from orch_standards.project import is_test

from . import systems
from .code import Code
from .facts import READ, RESOLVED, Fact, Pipeline, Step, weakest
from .values import repeated

NO_TASK = re.compile(r"(Target|Parameter|Config|Format|Client|FileSystem|Error|Exception|Event|Failed|config)$")
SETTINGS = ("retry_count", "worker_timeout", "resources", "priority", "disabled")
DEEPEST = 12


def read(code: Code) -> list[Pipeline]:
    """One pipeline for each task at the top of a tree, with all that it requires."""
    tasks = _tasks(code)
    below = {node: list(_requires(task, tasks)) for node, task in tasks.items()}
    required = {each for found in below.values() for each, _ in found}
    bases = {each.node for task in tasks.values() for each in _own_bases(task)}
    roots = [task for node, task in tasks.items() if node not in required and node not in bases]
    alone = [task.module for task in roots]
    found = []
    for root in roots:
        with code.reading(root.module.path, root.node.lineno):
            found.append(_pipeline(root, tasks, below, code, alone.count(root.module) == 1))
    return found


def _tasks(code: Code) -> dict[ast.AST, Definition]:
    """The project's classes that are tasks, in order."""
    named = [module for module in code.project.python("luigi") if not is_test(module.path)]
    stems = {module.path.removesuffix(".py").removesuffix("/__init__").rpartition("/")[2] for module in named}
    modules = named + [each for each in code.project.python(*stems) if each not in named] if stems else []
    found = {}
    for module in modules:
        for node in module.definitions if not is_test(module.path) else ():
            if isinstance(node, ast.ClassDef):
                task = Definition(module, node)
                if _base(task):
                    found[node] = task
    return found


def _own_bases(task: Definition) -> Iterator[Definition]:
    """Classes of the project that a task is derived from."""
    scope = task.module.scopes[task.node].outer or task.module.scope
    for base in task.node.bases:
        found = meaning(base, scope)
        if isinstance(found, Definition) and isinstance(found.node, ast.ClassDef) and found.node is not task.node:
            yield found


def _base(task: Definition, depth: int = 0) -> str:
    """The class of Luigi that a class is derived from, empty when it is no task."""
    scope = task.module.scopes[task.node].outer or task.module.scope
    for base in task.node.bases:
        found = meaning(base, scope)
        if isinstance(found, External) and found.package == "luigi" and not NO_TASK.search(found.last):
            return found.dotted
    if depth < DEEPEST:
        return next(filter(None, (_base(each, depth + 1) for each in _own_bases(task))), "")
    return ""


def _method(task: Definition, name: str, depth: int = 0) -> tuple[Definition, ast.AST] | None:
    """A method, of the class or of one of the project's that it is derived from."""
    for each in task.node.body:
        if isinstance(each, FUNCTIONS) and each.name == name:
            return task, each
    if depth < DEEPEST:
        return next(filter(None, (_method(base, name, depth + 1) for base in _own_bases(task))), None)
    return None


def _settings(task: Definition, depth: int = 0) -> dict[str, Value]:
    """What a class sets, or inherits from classes of the project, by name; the first base wins, as in Python."""
    settings: dict[str, Value] = {}
    if depth < DEEPEST:
        for base in reversed(list(_own_bases(task))):
            settings |= _settings(base, depth + 1)
    for node in task.node.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        for target in targets:
            if isinstance(target, ast.Name) and target.id in SETTINGS and getattr(node, "value", None):
                settings[target.id] = Value(node.value, task.module.scopes[task.node])
    return settings


def _requires(task: Definition, tasks: dict[ast.AST, Definition]) -> Iterator[tuple[ast.AST, ast.AST | None]]:
    """Tasks that a task needs, each with where it is named: in requires(), yielded by run(), or in a decorator."""
    places: list[tuple[Definition, ast.AST]] = []
    method = _method(task, "requires")
    if method:
        places.append(method)
    run = _method(task, "run")
    if run:
        places += [(run[0], each) for each in ast.walk(run[1]) if isinstance(each, ast.Yield | ast.YieldFrom)]
    for node in task.node.decorator_list:
        if isinstance(node, ast.Call):
            made = meaning(node.func, task.module.scope_of(task.node))
            if isinstance(made, External) and made.last == "requires":
                places += [(task, each) for each in node.args]
    seen = set()
    for owner, place in places:
        for node in ast.walk(place):
            if isinstance(node, ast.Name | ast.Attribute):
                found = meaning(node, owner.module.scope_of(node))
                if isinstance(found, Definition) and found.node in tasks and found.node not in seen:
                    seen.add(found.node)
                    if found.node is not task.node:
                        yield found.node, node


def _pipeline(
    root: Definition,
    tasks: dict[ast.AST, Definition],
    below: dict[ast.AST, list[tuple[ast.AST, ast.AST | None]]],
    code: Code,
    alone: bool,
) -> Pipeline:
    pipeline = Pipeline(Fact(root.node.name), "luigi", "task tree", root.module.path, root.node.lineno)
    left: list[tuple[ast.AST, int | None, str]] = [(root.node, 1, "")]
    seen = {root.node}
    while left:
        node, count, loop = left.pop(0)
        task = tasks[node]
        pipeline.steps.append(_step(pipeline, task, count, loop, code))
        for each, where in below[node]:
            if each not in seen:
                seen.add(each)
                module = next((m for m in (task.module,) if where in m.parents), None)
                number, over = repeated(where, module, code.callers) if module and where else (1, "")
                left.append((each, number, over))
    code.touch_file(pipeline, root.module, alone)
    return pipeline


def _step(pipeline: Pipeline, task: Definition, count: int | None, loop: str, code: Code) -> Step:
    dotted = _base(task)
    own = next((each for each in _own_bases(task) if _base(each)), None)
    last = dotted.rpartition(".")[2]
    step = Step(Fact(task.node.name), own.node.name if own else last, task.module.path, task.node.lineno)
    step.base, step.package = (last, "own") if own else ("", "luigi")
    step.count, step.loop, step.definition = count, loop, task.node
    step.confidence = RESOLVED if own else READ
    if last == "ExternalTask":
        step.kind = "sensor"
        pipeline.feature("sensors", f"{task.node.name} ({task.module.path}:{task.node.lineno})")
    elif last == "WrapperTask":
        step.kind = "structure"
    for name, value in _settings(task).items():
        fact = code.text(value)
        inherited = value.scope is not task.module.scopes[task.node]
        step.settings[name] = Fact(fact.value, weakest(fact.confidence, RESOLVED)) if inherited else fact
    run = next((each for each in task.node.body if isinstance(each, FUNCTIONS) and each.name == "run"), None)
    if run and any(isinstance(each, ast.Yield | ast.YieldFrom) for each in ast.walk(run)):
        pipeline.feature("dynamic_fan_out", f"run() of {task.node.name} yields tasks ({task.module.path})", RESOLVED)
    for system in {*systems.of_class(last), systems.of_import(dotted)} - {None}:
        pipeline.add_system(system, f"{task.node.name}, a {last} ({task.module.path})", RESOLVED if own else READ)
    module = task.module
    code.touch_texts(pipeline, [task.node], module.path, READ)
    for each in ast.walk(task.node):
        if isinstance(each, ast.Call):
            found = meaning(each.func, module.scope_of(each))
            _touched(pipeline, found, module.path, each.lineno, READ)
            if isinstance(found, Definition) and isinstance(found.node, ast.ClassDef) and not _base(found):
                # A target of their own, and the like.
                for inner in (node for node in ast.walk(found.node) if isinstance(node, ast.Call)):
                    target = meaning(inner.func, found.module.scope_of(inner))
                    _touched(pipeline, target, found.module.path, inner.lineno, RESOLVED)
    return step


def _touched(pipeline: Pipeline, found: object, path: str, line: int, confidence: str) -> None:
    system = systems.of_import(found.dotted) if isinstance(found, External) else None
    if system:
        pipeline.add_system(system, f"{found.dotted} ({path}:{line})", confidence)
