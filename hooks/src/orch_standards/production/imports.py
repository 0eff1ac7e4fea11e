"""Heavy work and I/O at import: what a scheduler pays each time it reads a file of definitions."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib import resources

from ..engines import engines
from ..names import FUNCTIONS, Definition, External, Module, meaning
from ..report import Report
from .sites import Sites, is_guard

DEEPEST = 4  # calls of the project's own functions that are followed
IN_MEMORY = (":memory:", "", "sqlite://", "sqlite:///:memory:", "duckdb:///:memory:")
WITHOUT_ADDRESS = ("duckdb.connect", "ibis.duckdb.connect")  # in memory when they are not told where
HEAVY_IN = ("airflow",)  # reads its files again and again; the others load theirs once


@cache
def _table() -> dict[str, re.Pattern[str] | frozenset[str]]:
    text = resources.files("orch_standards").joinpath("data/io_calls.toml").read_text(encoding="utf-8")
    table = tomllib.loads(text)
    patterns = {
        name: re.compile("|".join(re.escape(each).replace(r"\*", r"[\w().]*") for each in table[name]))
        for name in ("connect", "connect_later", "read", "run", "passive")
    }
    return {**patterns, "heavy": frozenset(table["heavy"])}


def does_io(call: ast.Call, module: Module, kinds: tuple[str, ...]) -> bool:
    """Whether a call reaches outside of the process, by its name. kinds: of data/io_calls.toml."""
    found = meaning(call.func, module.scope_of(call))
    if not isinstance(found, External) or _table()["passive"].fullmatch(found.dotted) or _in_memory(call, found):
        return False
    return any(_table()[kind].fullmatch(found.dotted) for kind in kinds)


def _in_memory(call: ast.Call, found: External) -> bool:
    """Whether a database is made that nobody else sees and nothing is kept in."""
    given = [*call.args, *(each.value for each in call.keywords if each.arg in ("database", "url"))]
    if not given:
        return found.dotted in WITHOUT_ADDRESS
    return isinstance(given[0], ast.Constant) and given[0].value in IN_MEMORY


def check(sites: Sites) -> Iterator[Report]:
    dag_bodies = _dag_bodies(sites)
    for engine in engines():
        if not sites.of(engine):
            continue
        for module in sites.loaded_by(engine):
            run_at_import = dag_bodies.get(module, set())
            for call in _at_import(module.tree, run_at_import):
                if works(call, module):
                    yield Report.at(
                        f"{engines()[engine].get('rules', engine)}-import-work",
                        module.path,
                        call,
                        ast.unparse(call.func),
                    )
            if engine in HEAVY_IN:
                yield from _heavy_imports(module)


def _dag_bodies(sites: Sites) -> dict[Module, set[ast.AST]]:
    """By module, the functions whose body runs while the file is read: those that make a DAG."""
    found: dict[Module, set[ast.AST]] = {}
    for site in sites.of("airflow"):
        if site.function and site.last in ("dag", "task_group"):
            found.setdefault(site.module, set()).add(site.function.node)
    return found


def _at_import(node: ast.AST, entered: set[ast.AST]) -> Iterator[ast.Call]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, FUNCTIONS) and child not in entered:
            for part in (*child.decorator_list, child.args):
                yield from _calls(part)
        elif isinstance(child, ast.Lambda) or is_guard(child):
            yield from ()
        else:
            if isinstance(child, ast.Call):
                yield child
            yield from _at_import(child, entered)


def _calls(node: ast.AST) -> Iterator[ast.Call]:
    if isinstance(node, ast.Call):
        yield node
    yield from _at_import(node, set())


def works(
    call: ast.Call,
    module: Module,
    kinds: tuple[str, ...] = ("connect", "read", "run"),
    depth: int = 0,
    seen: frozenset[ast.AST] = frozenset(),
) -> bool:
    """Whether a call, or a function of the project that it calls, does I/O of these kinds."""
    if does_io(call, module, kinds):
        return True
    found = meaning(call.func, module.scope_of(call))
    if depth >= DEEPEST or not isinstance(found, Definition) or not isinstance(found.node, FUNCTIONS):
        return False
    if found.node in seen or found.node.decorator_list:
        return False
    seen = seen | {found.node}
    body = (part for part in found.node.body if not isinstance(part, (*FUNCTIONS, ast.ClassDef)))
    return any(works(each, found.module, kinds, depth + 1, seen) for part in body for each in _calls(part))


def _heavy_imports(module: Module) -> Iterator[Report]:
    heavy = _table()["heavy"]
    for node in module.imports:
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
        if isinstance(node, ast.ImportFrom) and node.level:
            continue
        found = sorted({name.partition(".")[0] for name in names} & heavy)
        if found and all(not isinstance(each, (*FUNCTIONS, ast.If)) for each in module.around(node)):
            yield Report.at("airflow-heavy-import", module.path, node, found[0])
