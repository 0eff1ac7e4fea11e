"""contract-present: every table that a pipeline publishes has a contract in the pipeline's own package.

Published tables are those in a constant ``PUBLISHED_TABLES``, or the ``tables`` of a declaration
``PIPELINE = Pipeline(...)``. A contract of ``daily_routes`` is a class ``DailyRoutes``, a key of a mapping
``CONTRACTS``, or a file ``contracts/daily_routes.yml``.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from .names import FUNCTIONS, Module, Scope, Value
from .options import constant, mapping
from .project import Project
from .report import Report

PUBLISHED, DECLARED, CONTRACTS = "PUBLISHED_TABLES", "PIPELINE", "CONTRACTS"


def check(project: Project) -> Iterator[Report]:
    for constant_name in (PUBLISHED, DECLARED):
        for module in project.python(constant_name):
            for node in module.scope.bound.get(constant_name, []):
                published = _declared(node) if constant_name == DECLARED else node
                if not isinstance(published, ast.expr):
                    continue
                known = _contracts(project, module)
                for name, line in _tables(published, module.scope):
                    if name not in known:
                        yield Report("table-without-contract", module.path, line, name)


def _declared(node: ast.AST) -> ast.expr | None:
    """The tables of a pipeline's declaration."""
    keywords = node.keywords if isinstance(node, ast.Call) else []
    return next((each.value for each in keywords if each.arg == "tables"), None)


def _tables(node: ast.expr, scope: Scope) -> Iterator[tuple[str, int]]:
    parts = node.elts if isinstance(node, ast.Tuple | ast.List | ast.Set) else [node]
    if isinstance(node, ast.Dict):
        parts = [key for key in node.keys if key is not None]
    if isinstance(node, ast.Call) and node.args:  # frozenset((...)) and the like
        yield from _tables(node.args[0], scope)
        return
    for each in parts:
        name = constant(Value(each, scope))
        if isinstance(name, str):
            yield name, each.lineno


def _contracts(project: Project, module: Module) -> set[str]:
    folder = module.path.rpartition("/")[0]
    names: set[str] = set()
    inside = f"{folder}/" if folder else ""
    for path in project.files:
        if path.startswith(inside) and path.endswith(".py"):
            names |= _defined(project.module(path))
        stem, _, suffix = path.rpartition("/")[2].rpartition(".")
        if suffix in ("yml", "yaml", "json") and "contract" in path.rpartition("/")[0]:
            names.add(stem.removesuffix(".odcs").removesuffix(".contract"))
    return names


def _defined(module: Module | None) -> set[str]:
    if module is None:
        return set()
    names = {_snake(each.name) for each in module.definitions if not isinstance(each, FUNCTIONS) and each.bases}
    for node in module.scope.bound.get(CONTRACTS, []):
        if isinstance(node, ast.expr):
            names |= set(mapping(node, module.scope).values)
    return names


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")
