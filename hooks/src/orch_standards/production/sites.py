"""Where a project makes something of an engine: decorated functions and calls, with their options."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from ..names import ENGINES, FUNCTIONS, Definition, Module, Scope, meaning
from ..options import Called, Options, decoration, made, result
from ..project import Project


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
        return self.dotted.partition(".")[0]

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

    @cached_property
    def modules(self) -> list[Module]:
        """Modules that name an engine, and those that name a module that does: it may hold their factories."""
        named = list(self.project.python(*ENGINES))
        paths = {module.path for module in named}
        stems = {_stem(module.path) for module in named if _may_hold_factories(module)} - {""}
        if not stems:
            return named
        words = re.compile(
            rb"^\s*(?:from|import)\b[^\n]*\b(?:" + "|".join(map(re.escape, stems)).encode() + rb")\b", re.M
        )
        others = [
            self.project.module(path)
            for path in self.project.with_suffix(".py")
            if path not in paths and words.search(self.project.bytes(path))
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

    def of(self, engine: str) -> list[Site]:
        return self._by_engine.get(engine, [])

    def modules_of(self, engine: str) -> list[Module]:
        """Modules that make something of the engine."""
        return list(dict.fromkeys(site.module for site in self.of(engine)))


def _stem(path: str) -> str:
    parts = path.removesuffix(".py").split("/")
    return parts[-1] if parts[-1] != "__init__" else (parts[-2] if len(parts) > 1 else "")


def _may_hold_factories(module: Module) -> bool:
    return any(not each.decorator_list and not each.name.startswith("test_") for each in module.definitions) or bool(
        module.scope.bound.keys() - {each.name for each in module.definitions}
    )


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
    if not _is_engine(what):
        return
    if what.factory and not _depends_on_callers(what.factory):
        return  # reported where the factory makes it
    yield Site(module, call, what.dotted, what.preset, _handed_in(call, scope), what.factory, what.inside)


def _is_engine(what: Called | None) -> bool:
    return what is not None and what.dotted.partition(".")[0] in ENGINES


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


def polls(function: Definition) -> Iterator[int]:
    """Lines where a function sleeps in a loop: waiting by hand, in a slot of its own."""
    scope = function.module.scopes[function.node]
    for loop in ast.walk(function.node):
        if not isinstance(loop, ast.While):
            continue
        for each in ast.walk(loop):
            if isinstance(each, ast.Call):
                found = meaning(each.func, scope)
                if getattr(found, "dotted", "") in ("time.sleep", "asyncio.sleep"):
                    yield loop.lineno
                    break
