"""Where a project makes something of an engine: decorated functions and calls, with their options."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from ..engines import Engines, engines
from ..names import ENGINES, FUNCTIONS, Definition, External, Function, Module, Scope, meaning
from ..options import Called, Options, decoration, keywords, made, result
from ..project import Project, is_test
from ..report import Report

# Operators, sensors and task groups of packages that add to Airflow: known by their names, and by what they are given.
FOREIGN = re.compile(r"(?:Operator|Sensor|SensorAsync|TaskGroup|Dag|DAG)$")
FOREIGN_IDS = ("task_id", "group_id", "dag_id")
LOGGERS = ("debug", "info", "warning", "error", "exception", "log", "print", "sleep")
MISSING = re.compile(r"NotFound|DoesNotExist|NoSuch|Missing|NotReady|KeyError")
DEEPEST = 2  # functions that call each other
SHORTEST_WAIT = 1.0  # seconds; who sleeps less keeps to the pace of a service rather than waiting for something


@dataclass(eq=False)
class Site:
    """One thing made of an engine.

    node: the decorator or call that makes it. function: what is decorated, or handed in. dotted: ``airflow.sdk.dag``.
    through: the function of the project that makes it, for calls of a factory; inside: the options it writes itself.
    """

    module: Module
    node: ast.expr
    dotted: str
    options: Options
    function: Definition | None = None
    through: Definition | None = None
    inside: Options | None = None

    def lacks(self, *names: str) -> bool:
        """Whether it has none of these options for sure. What a factory lacks by itself is said there, not here."""
        if self.inside and all(self.inside.lacks(name) for name in names):
            return False
        return all(self.options.lacks(name) for name in names)

    @property
    def path(self) -> str:
        return self.module.path

    @property
    def line(self) -> int:
        return self.node.lineno

    @property
    def engine(self) -> str:
        package = self.dotted.partition(".")[0]
        return package if package in ENGINES else "airflow"

    @property
    def foreign(self) -> bool:
        """Whether it is of a package that adds to an engine."""
        return self.dotted.partition(".")[0] not in ENGINES

    def report(self, rule: str, what: str) -> Report:
        return Report.at(rule, self.path, self.node, what)

    @property
    def last(self) -> str:
        return self.dotted.rpartition(".")[2]

    @property
    def scope(self) -> Scope:
        return self.module.scope_of(self.node)

    def name(self, *keys: str) -> str:
        """Its name for people: given under one of these keys, else the function's, else the variable's."""
        for key in keys:
            value = self.options.given(key)
            if isinstance(value, str) and value:
                return value
        if self.function:
            return self.function.node.name
        first = self.node.args[0] if isinstance(self.node, ast.Call) and self.node.args else None
        if isinstance(first, ast.Constant) and isinstance(first.value, str):
            return first.value
        parent = self.module.parents.get(self.node)
        if isinstance(parent, ast.Assign) and isinstance(parent.targets[0], ast.Name):
            return parent.targets[0].id
        return self.last


class Sites:
    """All of a project, in the order of files and lines."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.engines = Engines(project)

    @cached_property
    def modules(self) -> list[Module]:
        """Modules that name an engine, and those that name a module that does: it may hold their factories."""
        named = [module for module in self.project.python(*ENGINES) if not is_test(module.path)]
        paths = {module.path for module in named}
        stems = {_stem(module.path) for module in named} - {""}
        if not stems:
            return named
        words = re.compile(
            rb"^\s*(?:from|import)\b[^\n]*\b(?:" + "|".join(map(re.escape, stems)).encode() + rb")\b", re.M
        )
        others = [
            self.project.module(path)
            for path in self.project.with_suffix(".py")
            if path not in paths and not is_test(path) and words.search(self.project.bytes(path))
        ]
        return [*named, *filter(None, others)]

    @cached_property
    def all(self) -> list[Site]:
        found = [site for module in self.modules for site in _sites(module)]
        return sorted(found, key=lambda site: (site.path, site.line))

    @cached_property
    def _by_engine(self) -> dict[str, list[Site]]:
        found: dict[str, list[Site]] = {}
        for site in self.all:
            found.setdefault(site.engine, []).append(site)
        return found

    @cached_property
    def callers(self) -> dict[ast.AST, list[tuple[ast.Call, Module]]]:
        """The calls of each function of the project."""
        found: dict[ast.AST, list[tuple[ast.Call, Module]]] = {}
        for module in self.modules:
            for call in module.calls:
                called = meaning(call.func, module.scope_of(call))
                if isinstance(called, Definition):
                    found.setdefault(called.node, []).append((call, module))
        return found

    def of(self, engine: str) -> list[Site]:
        return self._by_engine.get(engine, [])

    def modules_of(self, engine: str) -> list[Module]:
        """Modules that make something of the engine."""
        return list(dict.fromkeys(site.module for site in self.of(engine)))

    def _naming(self, engine: str) -> list[Module]:
        return [module for module in self.modules if engine.encode() in self.project.bytes(module.path)]

    def loaded_by(self, engine: str) -> list[Module]:
        """Modules that are read when the engine looks for definitions: those that hold some, and what they import then.

        A script that only talks to the engine is none of them.
        """
        defining = engines()[engine]["definitions"]
        left = list(dict.fromkeys(s.module for s in self.of(engine) if s.foreign or s.last in defining or s.through))
        folders = set(engines()[engine]["folders"])
        left += [each for each in self._naming(engine) if folders & set(each.path.split("/")[:-1]) and each not in left]
        found = dict.fromkeys(left)
        while left:
            for path in imported_by(left.pop()):
                module = None if is_test(path) else self.project.module(path)
                if module and module not in found:
                    found[module] = None
                    left.append(module)
        return list(found)


def imported_by(module: Module, late: bool = False) -> Iterator[str]:
    """Files of the project that are imported with a module. late: also those that its functions import."""
    for node in module.imports:
        if not late and any(isinstance(each, FUNCTIONS) or is_guard(each) for each in module.around(node)):
            continue
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            base = module.absolute(node)
            names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        for name in dict.fromkeys(part for each in names for part in _with_packages(each)):
            path = module.modules.module_path(name, module.path)
            if path and path != module.path:
                yield path


def _with_packages(dotted: str) -> Iterator[str]:
    """A module and the packages around it, which are imported before."""
    parts = dotted.split(".")
    yield from (".".join(parts[:end]) for end in range(len(parts), 0, -1))


def is_guard(node: ast.AST) -> bool:
    """``if __name__ == "__main__"`` and ``if TYPE_CHECKING``: not run when the file is imported."""
    if not isinstance(node, ast.If):
        return False
    names = {each.id for each in ast.walk(node.test) if isinstance(each, ast.Name)}
    names |= {each.attr for each in ast.walk(node.test) if isinstance(each, ast.Attribute)}
    return bool(names & {"__name__", "TYPE_CHECKING"})


def _stem(path: str) -> str:
    """The last part of the name that a file is imported by."""
    parts = path.removesuffix(".py").split("/")
    return parts[-1] if parts[-1] != "__init__" else (parts[-2] if len(parts) > 1 else "")


def _sites(module: Module) -> Iterator[Site]:
    decorators = set()
    for each in module.definitions:
        if not isinstance(each, FUNCTIONS):
            continue
        for node in each.decorator_list:
            decorators.add(node)
            what = decoration(node, module.scope_of(node))
            if _is_engine(what):
                yield Site(module, node, what.dotted, what.preset, Definition(module, each), what.factory)
    for call in module.calls:
        if call not in decorators:
            yield from _called(module, call)


def _called(module: Module, call: ast.Call) -> Iterator[Site]:
    scope = module.scope_of(call)
    if isinstance(call.func, ast.Call):
        what, function = result(call.func, scope), _handed_in(call, scope)
        if _is_engine(what) and function:
            yield Site(module, call, what.dotted, what.preset, function, what.factory)
        return
    what = made(call, scope)
    if not _is_engine(what) and not _is_foreign(what, call, scope):
        return
    if what.factory and not _depends_on_callers(what.factory):
        return  # reported where the factory makes it
    yield Site(module, call, what.dotted, what.preset, _handed_in(call, scope), what.factory, what.inside)


def _is_engine(what: Called | None) -> bool:
    return what is not None and what.dotted.partition(".")[0] in ENGINES


def _is_foreign(what: Called | None, call: ast.Call, scope: Scope) -> bool:
    """Whether a call makes a task, a group of tasks or a DAG of a package that adds to Airflow."""
    if what is None or "()" in what.dotted or not FOREIGN.search(what.dotted):
        return False
    given = keywords(call, scope)
    return any(name in given.values for name in FOREIGN_IDS)


def _depends_on_callers(factory: Definition) -> bool:
    """Whether a factory gives on what its callers pass, so that each call makes something else."""
    given = factory.node.args
    return bool(given.kwarg or given.args or given.kwonlyargs or given.posonlyargs)


def _handed_in(call: ast.Call, scope: Scope) -> Definition | None:
    """The function that a decorator is applied to by a call: ``flow(name="x")(function)``, ``task(function)``."""
    if not call.args:
        return None
    found = meaning(call.args[0], scope)
    return found if isinstance(found, Definition) and isinstance(found.node, FUNCTIONS) else None


def polls(function: Definition, depth: int = 0) -> Iterator[tuple[str, ast.stmt]]:
    """Loops in which a function, or one that it calls, sleeps until something has happened; each with its file.

    Waiting by hand, in a slot of its own.
    """
    for each in ast.walk(function.node):
        if isinstance(each, ast.While | ast.For | ast.AsyncFor):
            if _sleeps(each, function) and _waits(each, function.node):
                yield function.module.path, each
        elif isinstance(each, ast.Call) and depth < DEEPEST:
            called = meaning(each.func, function.module.scope_of(each))
            plain = (
                isinstance(called, Definition) and isinstance(called.node, FUNCTIONS) and not called.node.decorator_list
            )
            if plain and called.node is not function.node:
                yield from polls(called, depth + 1)


def _is_retry(node: ast.AST) -> bool:
    """Whether it handles a failure, to try again; that something is not there yet is none."""
    if not isinstance(node, ast.ExceptHandler):
        return False
    return not (node.type and MISSING.search(ast.unparse(node.type)))


def _sleeps(loop: ast.While | ast.For | ast.AsyncFor, function: Definition) -> bool:
    """Whether a loop sleeps itself, not in a loop inside of it."""
    left: list[ast.AST] = list(loop.body)
    while left:
        node = left.pop()
        if isinstance(node, ast.Call):
            found = meaning(node.func, function.module.scope_of(node))
            if isinstance(found, External) and found.dotted in ("time.sleep", "asyncio.sleep"):
                seconds = node.args[0].value if node.args and isinstance(node.args[0], ast.Constant) else None
                return not isinstance(seconds, int | float) or seconds >= SHORTEST_WAIT
        inner = isinstance(node, ast.While | ast.For | ast.AsyncFor | ast.Lambda | ast.FunctionDef)
        if not inner and not _is_retry(node):
            left += ast.iter_child_nodes(node)
    return False


def _waits(loop: ast.While | ast.For | ast.AsyncFor, function: Function) -> bool:
    """Whether the turns of a loop only look, all at the same thing. Going on from page to page is work."""
    around = [loop.test] if isinstance(loop, ast.While) else []
    inside = [node for part in (*around, *loop.body) for node in ast.walk(part)]
    if isinstance(loop, ast.For | ast.AsyncFor):
        # so many attempts, ended early; not one turn for each of some things
        counted = isinstance(loop.iter, ast.Call) and _last(loop.iter.func) in ("range", "count", "repeat")
        ends = any(isinstance(each, ast.Break | ast.Return) for each in inside)
        return counted and ends and not _feeds({n.id for n in ast.walk(loop.target) if isinstance(n, ast.Name)}, inside)
    if any(isinstance(each, ast.Yield | ast.YieldFrom) for each in inside):
        return False
    collects = any(_collects(each) for each in inside)
    given = {each.arg for each in ast.walk(function.args) if isinstance(each, ast.arg)}
    before = given | {
        name for statement in ast.walk(function) if statement not in inside for name in _assigned(statement)
    }
    counters = {
        each.target.id for each in inside if isinstance(each, ast.AugAssign) and isinstance(each.target, ast.Name)
    }
    chained = {name for each in inside if isinstance(each, ast.Assign) for name in _assigned(each)} & before
    return not collects and not _feeds(counters | chained, inside)


def _assigned(node: ast.AST) -> set[str]:
    targets = node.targets if isinstance(node, ast.Assign) else []
    return {each.id for target in targets for each in ast.walk(target) if isinstance(each, ast.Name)}


def _collects(node: ast.AST) -> bool:
    """Whether something is gathered: rows += ..., rows.append(...), queue.pop()."""
    if isinstance(node, ast.AugAssign):
        return not isinstance(node.value, ast.Constant | ast.Name | ast.BinOp | ast.Attribute)
    return isinstance(node, ast.Call) and _last(node.func) in (
        "append",
        "extend",
        "write",
        "writerow",
        "pop",
        "popleft",
        "put",
    )


def _feeds(names: set[str], inside: list[ast.AST]) -> bool:
    """Whether one of these names is given to a call that does something, so that each turn is about another thing."""
    for call in inside:
        if isinstance(call, ast.Call) and _last(call.func) not in LOGGERS:
            given = [
                each for argument in (*call.args, *(k.value for k in call.keywords)) for each in ast.walk(argument)
            ]
            if any(isinstance(each, ast.Name) and each.id in names for each in given):
                return True
    return False


def _last(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
