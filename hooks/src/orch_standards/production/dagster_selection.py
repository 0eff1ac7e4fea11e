"""Which assets a job of Dagster selects."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass

from ..names import DEEPEST, FUNCTIONS, Definition, Unknown, Value, meaning
from ..options import constant
from .dagster_assets import Asset, assets_of, names_in
from .sites import Site

TERM = re.compile(r"""^(?P<up>[+*]|\d*\+)?\s*(?:key:|group:)?["']?(?P<name>[\w/-]+)["']?\s*(?P<down>[+*]|\+\d*)?$""")


@dataclass
class Graph:
    """Which asset reads which, by name."""

    upstream: dict[str, set[str]]

    @classmethod
    def of(cls, assets: list[Asset]) -> Graph:
        found: dict[str, set[str]] = {}
        for asset in assets:
            found.setdefault(asset.name, set()).update(asset.upstream)
        return cls(found)

    def reads(self, first: str, second: str) -> bool:
        """Whether one asset reads another, directly or through others."""
        seen, left = set(), [first]
        while left:
            for name in self.upstream.get(left.pop(), set()) - seen:
                seen.add(name)
                left.append(name)
        return second in seen


@dataclass
class Wanted:
    """A site that may be selected, by the names of its assets and their group."""

    site: Site
    graph: Graph

    def __post_init__(self) -> None:
        own = {self.site.name("name"), self.site.function.node.name if self.site.function else ""}
        self.names = (own | {asset.name for asset in assets_of(self.site)}) - {""}
        self.group = self.site.options.given("group_name")

    def in_group(self, name: str) -> bool | None:
        return None if isinstance(self.group, Unknown) else self.group == name


def selects(value: Value, wanted: Wanted, depth: int = 0) -> bool | None:
    """Whether a selection holds a site; None when that cannot be told."""
    if depth > DEEPEST:
        return None
    found = meaning(value.node, value.scope)
    if isinstance(found, Definition):
        return (
            found.node is (wanted.site.function.node if wanted.site.function else None)
            or found.node.name in wanted.names
        )
    node, scope = (found.node, found.scope) if isinstance(found, Value) else (value.node, value.scope)

    def inner(each: ast.expr) -> bool | None:
        return selects(Value(each, scope), wanted, depth + 1)

    if isinstance(node, ast.List | ast.Tuple | ast.Set):
        return _any([inner(each) for each in node.elts])
    if isinstance(node, ast.Constant):
        return _by_text(node.value, wanted) if isinstance(node.value, str) else None
    if isinstance(node, ast.BinOp):
        left, right = inner(node.left), inner(node.right)
        if isinstance(node.op, ast.Sub):
            return _all([left, None if right is None else not right])
        return _any([left, right]) if isinstance(node.op, ast.BitOr) else _all([left, right])
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return _by_call(node, node.func, Value(node, scope), wanted, depth)
    return None


def _by_call(node: ast.Call, function: ast.Attribute, value: Value, wanted: Wanted, depth: int) -> bool | None:
    method, scope = function.attr, value.scope
    if method == "all":
        return True
    if method in ("assets", "keys"):
        return _any([selects(Value(each, scope), wanted, depth + 1) for each in node.args])
    if method == "groups":
        return _any(
            [wanted.in_group(name) if isinstance(name := constant(each, scope), str) else None for each in node.args]
        )
    if method in ("upstream", "downstream", "required_multi_asset_neighbors"):
        base = Value(function.value, scope)
        inner, names = selects(base, wanted, depth + 1), names_in(base)
        if inner or not names or inner is None:
            return inner or None
        pairs = [(own, name) if method == "downstream" else (name, own) for own in wanted.names for name in names]
        return any(wanted.graph.reads(*pair) for pair in pairs)
    return None


def _by_text(text: str, wanted: Wanted) -> bool | None:
    """A selection in words: ``group:sales and not key:orders+``."""
    text = text.strip()
    if text in ("*", ""):
        return True
    for word, combine in ((" or ", _any), (" and ", _all)):
        if word in text and "(" not in text:
            return combine([_by_text(each, wanted) for each in text.split(word)])
    if text.startswith("not "):
        inner = _by_text(text[4:], wanted)
        return None if inner is None else not inner
    term = TERM.match(text)
    if not term:
        return None
    if "group:" in text:
        return wanted.in_group(term["name"])
    name = term["name"].rpartition("/")[2]
    if name in wanted.names:
        return True
    graph = wanted.graph
    down = bool(term["down"]) and any(graph.reads(each, name) for each in wanted.names)
    return down or (bool(term["up"]) and any(graph.reads(name, each) for each in wanted.names))


def _any(parts: list[bool | None]) -> bool | None:
    return True if True in parts else (None if None in parts else False)


def _all(parts: list[bool | None]) -> bool | None:
    return False if False in parts else (None if None in parts else True)


def runs(job: Site, site: Site, graph: Graph) -> bool | None:
    """Whether a job runs a step; None when that cannot be told."""
    if job.last in ("job", "to_job"):
        body = job.function or _graph_of(job)
        return None if body is None else site.function is not None and _calls(body, site.function.node, set())
    selection = job.options.values.get("selection")
    if selection is None:
        return None if job.options.open else True
    return selects(selection, Wanted(site, graph)) if isinstance(selection, Value) else None


def _graph_of(job: Site) -> Definition | None:
    """The graph that `.to_job` is a method of."""
    function = job.node.func if isinstance(job.node, ast.Call) else None
    found = meaning(function.value, job.scope) if isinstance(function, ast.Attribute) else None
    return found if isinstance(found, Definition) and isinstance(found.node, FUNCTIONS) else None


def _calls(function: Definition, wanted: ast.AST, seen: set[ast.AST]) -> bool:
    """Whether a graph has a step in it, or in a graph inside of it."""
    seen.add(function.node)
    for each in ast.walk(function.node):
        if isinstance(each, ast.Name | ast.Attribute):
            found = meaning(each, function.module.scopes[function.node])
            inside = isinstance(found, Definition) and isinstance(found.node, FUNCTIONS) and found.node not in seen
            if inside and (found.node is wanted or _calls(found, wanted, seen)):
                return True
    return False
