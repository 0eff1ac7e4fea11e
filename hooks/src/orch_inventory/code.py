"""What readers of Python files share: systems and settings that code touches, by imports, addresses and commands."""

from __future__ import annotations

import ast
import contextlib
import re
from collections.abc import Iterable, Iterator
from functools import cached_property

from orch_standards.names import FUNCTIONS, Definition, External, Module, Value, meaning
from orch_standards.production.sites import Sites
from orch_standards.project import Problem, Project

from . import systems
from .facts import GUESSED, READ, RESOLVED, Fact, Pipeline, strings
from .shell import commands
from .values import texts

TEMPLATED = re.compile(r"\{\{[^}]*?\b(?P<what>var|conn)\.(?:value\.|json\.)?(?P<name>\w+)")
# Methods that ask an orchestrator for something by name, with what it is that they ask for.
ASKS = {
    "Variable.get": "variable",
    "Connection.get": "connection",
    "get_connection": "connection",
    "get_conn": "connection",
    "Secret.load": "secret block",
    "EnvVar": "environment variable",
}
DEEPEST = 2  # functions of the project that are followed


class Code:
    """A project's Python, and what its parts touch."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.sites = Sites(project)

    @contextlib.contextmanager
    def reading(self, path: str, line: int = 1) -> Iterator[None]:
        """Makes a line of the report of whatever goes wrong with one file or pipeline, so that the others are read."""
        try:
            yield
        except Exception as error:  # noqa: BLE001  files of other people have every form there is
            self.project.problems.add(Problem(path, line, f"it has a form that is not known here: {_said(error)}"))

    @cached_property
    def _calls_by_function(self) -> dict[ast.AST, list[tuple[ast.Call, Module]]]:
        return self.sites.callers

    def callers(self, function: ast.AST) -> list[tuple[ast.Call, Module]]:
        """The calls of a function of the project."""
        return self._calls_by_function.get(function, [])

    def texts(self, value: object) -> list[Fact]:
        return texts(value, self.callers)  # type: ignore[arg-type]

    def text(self, value: object) -> Fact:
        """One text for a value: alternatives joined."""
        facts = self.texts(value)
        return facts[0] if len(facts) == 1 else Fact(", ".join(each.value for each in facts), RESOLVED)

    def touch_imports(self, pipeline: Pipeline, module: Module, confidence: str) -> None:
        """Systems whose clients a file imports."""
        for dotted in imported_names(module):
            system = systems.of_import(dotted)
            if system:
                pipeline.add_system(system, f"imports {dotted} ({module.path})", confidence)
            elif ".hooks." in dotted or ".operators." in dotted:
                for each in systems.of_class(dotted.rpartition(".")[2]):
                    pipeline.add_system(each, f"imports {dotted} ({module.path})", confidence)

    def touch_texts(self, pipeline: Pipeline, nodes: Iterable[ast.AST], path: str, confidence: str) -> None:
        """Systems whose addresses stand in the code, and variables and connections that templates name."""
        for text in strings(nodes):
            for scheme, system in systems.of_text(text):
                pipeline.add_system(system, f"an address {scheme} ({path})", confidence)
            for match in TEMPLATED.finditer(text):
                pipeline.use("variable" if match["what"] == "var" else "connection", Fact(match["name"], READ))

    def touch_command(self, pipeline: Pipeline, text: str, where: str, confidence: str) -> None:
        """Systems whose programs a shell command runs."""
        for words in commands(text):
            system = systems.of_command(words)
            if system:
                pipeline.add_system(system, f"runs {words[0].rpartition('/')[2]} ({where})", confidence)

    def touch_calls(self, pipeline: Pipeline, nodes: Iterable[ast.AST], module: Module) -> None:
        """Variables and connections that code asks for, and hooks that it makes."""
        for call in (each for node in nodes for each in ast.walk(node) if isinstance(each, ast.Call)):
            found = meaning(call.func, module.scope_of(call))
            if not isinstance(found, External):
                continue
            what = next((kind for name, kind in ASKS.items() if found.dotted.endswith(name)), None)
            if what and call.args:
                pipeline.use(what, self.text(Value(call.args[0], module.scope_of(call))))
            if found.last.endswith("Hook"):
                for system in systems.of_class(found.last):
                    pipeline.add_system(system, f"makes a {found.last} ({module.path})", READ)

    def follow(self, pipeline: Pipeline, function: Definition, confidence: str = READ, depth: int = 0) -> None:
        """What a function touches, and the functions of the project that it calls."""
        node, module = function.node, function.module
        self.touch_texts(pipeline, [node], module.path, confidence)
        self.touch_calls(pipeline, [node], module)
        if depth:
            self.touch_imports(pipeline, module, RESOLVED)
        inner = [each for each in ast.walk(node) if isinstance(each, ast.Import | ast.ImportFrom)]
        for dotted in (name for each in inner for name in _names(each, module)):
            system = systems.of_import(dotted)
            if system:
                pipeline.add_system(system, f"imports {dotted} ({module.path})", confidence)
        for call in (each for each in ast.walk(node) if isinstance(each, ast.Call)) if depth < DEEPEST else ():
            called = meaning(call.func, module.scope_of(call))
            own = isinstance(called, Definition) and called.node is not node
            if own and isinstance(called.node, FUNCTIONS) and called.module is not module:
                self.follow(pipeline, called, RESOLVED, depth + 1)

    def touch_file(self, pipeline: Pipeline, module: Module, alone: bool) -> None:
        """What the file of a pipeline touches. alone: whether it is the file's only one, so that all of it is its."""
        self.touch_imports(pipeline, module, READ if alone else GUESSED)
        self.touch_texts(pipeline, [module.tree], module.path, READ if alone else GUESSED)
        if alone:
            self.touch_calls(pipeline, [module.tree], module)


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:80]}"


def imported_names(module: Module) -> Iterator[str]:
    for node in module.imports:
        yield from _names(node, module)


def _names(node: ast.Import | ast.ImportFrom, module: Module) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif not node.level:
        yield from (f"{node.module}.{alias.name}" for alias in node.names)
