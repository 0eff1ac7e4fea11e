"""Dagster's assets: what a decorator makes, by which names, and what it reads."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field

from ..names import DEEPEST, Definition, Unknown, Value, meaning
from ..options import Options, called, constant, keywords
from .sites import Site


@dataclass(eq=False)
class Asset:
    """One table or the like that code makes; several may be made by one site."""

    site: Site
    name: str
    options: Options
    upstream: set[str] = field(default_factory=set)


def assets_of(site: Site) -> list[Asset]:
    """What a site makes. One without a name when it cannot be told."""
    upstream = names_in(site.options.values.get("deps")) | names_in(site.options.values.get("ins"))
    if site.function:
        signature = site.function.node.args
        upstream |= {each.arg for each in (*signature.args, *signature.kwonlyargs)}
    specs = site.options.values.get("specs", site.options.values.get("outs"))
    if site.last in ("asset", "graph_asset") or specs is None:
        return [Asset(site, _key(site) or site.name("name"), site.options, upstream)]
    found = meaning(specs.node, specs.scope) if isinstance(specs, Value) else None
    if isinstance(found, Value) and isinstance(found.node, ast.List | ast.Tuple):
        made = [_spec(site, each, found, upstream) for each in found.node.elts]
    elif isinstance(found, Value) and isinstance(found.node, ast.Dict):
        made = [
            _spec(site, each, found, upstream, constant(key, found.scope) if key else "")
            for key, each in zip(found.node.keys, found.node.values, strict=True)
        ]
    else:
        made = [Asset(site, "", Options(unknown=True), upstream | _read_in(specs))]
    return made


def _read_in(specs: Value | Unknown) -> set[str]:
    """What the specs in an expression read, such as those of a comprehension, of which nobody can tell the names."""
    if not isinstance(specs, Value):
        return set()
    calls = (each for each in ast.walk(specs.node) if isinstance(each, ast.Call))
    return {name for call in calls for name in names_in(keywords(call, specs.scope).values.get("deps"))}


def is_stand_in(site: Site) -> bool:
    """Whether a function does nothing: it only says that a table is there, which something else writes."""
    return site.function is not None and all(map(_is_nothing, site.function.node.body))


def _is_nothing(statement: ast.stmt) -> bool:
    """A docstring, `...`, `pass` or `return None`."""
    value = getattr(statement, "value", None)
    if isinstance(statement, ast.Return):
        return value is None or (isinstance(value, ast.Constant) and value.value is None)
    return isinstance(statement, ast.Pass) or (isinstance(statement, ast.Expr) and isinstance(value, ast.Constant))


def _key(site: Site) -> str:
    """The last part of the key that an asset is given, empty when there is none."""
    value = site.options.values.get("key")
    if not isinstance(value, Value):
        return ""
    node = value.node.args[0] if isinstance(value.node, ast.Call) and value.node.args else value.node
    key = constant(node, value.scope)
    last = key[-1] if isinstance(key, tuple) and key else key
    return last.rpartition("/")[2] if isinstance(last, str) else ""


def _spec(site: Site, node: ast.expr, around: Value, upstream: set[str], key: str = "") -> Asset:
    found = meaning(node, around.scope)
    if isinstance(found, Value) and isinstance(found.node, ast.Call):
        call = found.node
        options = keywords(call, found.scope)
        name = constant(call.args[0], found.scope) if call.args else options.given("key") or key
        deps = names_in(options.values.get("deps"))
        what = called(call.func, found.scope)
        unknown = what is None or what.dotted.rpartition(".")[2] not in ("AssetSpec", "AssetOut")
        options = options.merged(what.preset if what else Options()).merged(Options(unknown=unknown))
        return Asset(site, name if isinstance(name, str) else "", options, upstream | deps)
    return Asset(site, "", Options(unknown=True), upstream)


def names_in(value: Value | Unknown | None, depth: int = 0) -> set[str]:
    """Names of assets in a list of keys, functions or AssetDep, AssetIn and the like."""
    if not isinstance(value, Value) or depth > DEEPEST:
        return set()
    found = meaning(value.node, value.scope)
    if isinstance(found, Definition):
        return {found.node.name}
    node, scope = (found.node, found.scope) if isinstance(found, Value) else (value.node, value.scope)
    names: set[str] = set()
    for each in ast.walk(node):
        if isinstance(each, ast.Constant) and isinstance(each.value, str):
            names.add(each.value.rpartition("/")[2])
        elif isinstance(each, ast.Name):
            target = meaning(each, scope)
            if isinstance(target, Definition):
                names.add(_named_asset(target))
            elif (
                isinstance(target, Value)
                and target.node is not each
                and isinstance(target.node, ast.Constant | ast.List | ast.Tuple)
            ):
                names |= names_in(target, depth + 1)
        elif isinstance(each, ast.Attribute):
            target = meaning(each, scope)
            if isinstance(target, Definition):
                names.add(_named_asset(target))
    return names


def _named_asset(found: Definition) -> str:
    """The name of the asset that a decorated function makes."""
    scope = found.module.scope_of(found.node)
    for each in found.node.decorator_list:
        if isinstance(each, ast.Call):
            name = keywords(each, scope).given("name")
            if isinstance(name, str):
                return name
    return found.node.name
