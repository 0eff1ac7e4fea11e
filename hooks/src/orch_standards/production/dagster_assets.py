"""Dagster's assets: what a decorator makes, by which names, and what is checked and watched of it."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field

from ..names import DEEPEST, Definition, Unknown, Value, meaning
from ..options import Options, called, constant, keywords
from .sites import Site

CHECKS = ("asset_check", "multi_asset_check", "AssetCheckSpec")


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
        made = [Asset(site, "", Options(unknown=True), upstream)]
    return made


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


def names_selected(value: Value, depth: int = 0) -> set[str] | None:
    """Names of assets that a selection names, ``group:x`` for groups; None when it is not a plain list of them."""
    if depth > DEEPEST:
        return None
    found = meaning(value.node, value.scope)
    node, scope = (found.node, found.scope) if isinstance(found, Value) else (value.node, value.scope)
    if isinstance(found, Definition):
        return {found.node.name}
    if isinstance(node, ast.List | ast.Tuple):
        parts = [names_selected(Value(each, scope), depth + 1) for each in node.elts]
        return None if any(part is None for part in parts) else set().union(*parts)
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.replace("_", "").isalnum():
        return {node.value}
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("assets", "groups"):
        prefix = "group:" if node.func.attr == "groups" else ""
        names = [constant(each, scope) for each in node.args]
        if prefix or all(isinstance(name, str) for name in names):
            return {f"{prefix}{name}" for name in names} if all(isinstance(name, str) for name in names) else None
        parts = [names_selected(Value(each, scope), depth + 1) for each in node.args]
        return None if any(part is None for part in parts) else set().union(*parts)
    return None


@dataclass
class Targets:
    """Names of assets that something is for. any: it may be for any asset, as its target cannot be told."""

    names: set[str] = field(default_factory=set)
    any: bool = False

    def add(self, value: Value | Unknown | None) -> None:
        found = names_in(value)
        self.names |= found
        self.any = self.any or not found

    def may_hold(self, name: str) -> bool:
        return self.any or name in self.names


def checked_in(own: list[Site]) -> Targets:
    """The assets that a check is for: an `@asset_check`, a specification, or one that a `build_..._checks` makes."""
    targets = Targets()
    for site in own:
        built = site.last.startswith("build_") and "check" in site.last and "freshness" not in site.last
        if site.last not in CHECKS and not built:
            continue
        for key in ("asset", "assets"):
            # In `check_specs=` of an asset it is that one which has the check.
            if key in site.options.values and not _inside_check_specs(site):
                targets.add(site.options.values[key])
        arguments = site.node.args if isinstance(site.node, ast.Call) else []
        position = 1 if site.last == "AssetCheckSpec" else 0
        if site.last in CHECKS and len(arguments) > position:
            targets.names |= names_in(Value(arguments[position], site.scope))
    return targets


def _inside_check_specs(site: Site) -> bool:
    return any(isinstance(each, ast.keyword) and each.arg == "check_specs" for each in site.module.around(site.node))


def watched_in(own: list[Site]) -> Targets:
    """The assets whose freshness is checked from outside, or whose specifications are changed afterwards."""
    targets = Targets()
    for site in own:
        if site.last in ("apply_freshness_policy", "map_asset_specs", "map_resolved_asset_specs"):
            targets.any = True
        elif "freshness" in site.last and "FreshnessPolicy" not in site.dotted:
            targets.add(site.options.values.get("assets"))
    return targets
