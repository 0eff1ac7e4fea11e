"""Which assets something else is about: checks, freshness, and attributes that are bound after the asset was defined.

What cannot be told counts for the assets of the same code location, and for no others.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

from ..names import FUNCTIONS, Definition, Module, Scope, Unknown, Value, meaning
from .dagster_assets import names_in
from .dagster_locations import Locations
from .sites import Site, Sites

CHECKS = ("asset_check", "multi_asset_check", "AssetCheckSpec")
BINDERS = (
    "map_asset_specs",
    "map_resolved_asset_specs",
    "apply_freshness_policy",
    "with_attributes",
    "replace_attributes",
)
DEEPEST = 4  # functions that hand on a name


@dataclass
class Targets:
    """What something is for: files that name each asset. anywhere: files of things whose target cannot be told."""

    locations: Locations
    names: dict[str, list[str]] = field(default_factory=dict)
    anywhere: list[str] = field(default_factory=list)

    def add(self, names: set[str] | None, path: str) -> None:
        for name in names or ():
            self.names.setdefault(name, []).append(path)
        if not names:
            self.anywhere.append(path)

    def may_hold(self, name: str, site: Site) -> bool:
        return any(self.locations.together(path, site) for path in (*self.names.get(name, ()), *self.anywhere))


def checked_in(sites: Sites, locations: Locations) -> Targets:
    """The assets that a check is for: an `@asset_check`, a specification, or one that a `build_..._checks` makes."""
    targets = Targets(locations)
    for site in sites.of("dagster"):
        built = site.last.startswith("build_") and "check" in site.last and "freshness" not in site.last
        if site.last not in CHECKS and not built:
            continue
        for key in ("asset", "assets"):
            # In `check_specs=` of an asset it is that one which has the check.
            if key in site.options.values and not _inside_check_specs(site):
                targets.add(_names(site.options.values[key], site, sites), site.path)
        arguments = site.node.args if isinstance(site.node, ast.Call) else []
        position = 1 if site.last == "AssetCheckSpec" else 0
        if site.last in CHECKS and len(arguments) > position:
            names = names_in(Value(arguments[position], site.scope))
            if names:
                targets.add(names, site.path)
    return targets


def _inside_check_specs(site: Site) -> bool:
    return any(isinstance(each, ast.keyword) and each.arg == "check_specs" for each in site.module.around(site.node))


def watched_in(sites: Sites, locations: Locations) -> Targets:
    """The assets whose freshness is checked from outside, or given a policy afterwards."""
    targets = bound_in("freshness_policy", sites, locations)
    for site in sites.of("dagster"):
        # A sensor for freshness checks only runs them: what they are for is said where they are built.
        runs_only = "sensor" in site.last or "FreshnessPolicy" in site.dotted or site.last == "apply_freshness_policy"
        if "freshness" in site.last and not runs_only:
            targets.add(_names(site.options.values.get("assets"), site, sites), site.path)
    return targets


def bound_in(attribute: str, sites: Sites, locations: Locations) -> Targets:
    """The assets that are given an attribute after they were defined, as `map_asset_specs` does."""
    targets = Targets(locations)
    binders = [
        (call, name, module)
        for module in sites.modules_of("dagster")
        for call in module.calls
        if (name := call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")) in BINDERS
    ]
    # What is done in a function that is mapped over assets is said where it is mapped.
    mapped = {_body(_mapped(call), module.scope_of(call)) for call, name, module in binders if name.startswith("map")}
    for call, name, module in binders:
        if mapped.isdisjoint(module.around(call)) and _may_set(call, name, attribute, module):
            targets.add(_bound_by(call, module, sites), module.path)
    return targets


def _mapped(call: ast.Call) -> ast.expr | None:
    return next((each.value for each in call.keywords if each.arg == "func"), call.args[0] if call.args else None)


def _may_set(call: ast.Call, name: str, attribute: str, module: Module) -> bool:
    """Whether a call may set an attribute: all of them, where the function that does it cannot be read."""
    if name == "apply_freshness_policy":
        return attribute == "freshness_policy"
    if name in ("with_attributes", "replace_attributes"):
        return any(each.arg in (attribute, None) for each in call.keywords)
    body = _body(_mapped(call), module.scope_of(call))
    if body is None:
        return True
    words = {each.arg for each in ast.walk(body) if isinstance(each, ast.keyword)}
    called = {each.attr if isinstance(each, ast.Attribute) else getattr(each, "id", "") for each in ast.walk(body)}
    return (
        attribute in words or None in words or (attribute == "freshness_policy" and "apply_freshness_policy" in called)
    )


def _body(node: ast.expr | None, scope: Scope) -> ast.AST | None:
    """The function that is handed in: by name, as a lambda, or as a partial of one."""
    if isinstance(node, ast.Lambda):
        return node
    if isinstance(node, ast.Call) and node.args:  # partial(function, ...)
        return _body(node.args[0], scope)
    found = meaning(node, scope) if node is not None else None
    return found.node if isinstance(found, Definition) and isinstance(found.node, FUNCTIONS) else None


def _bound_by(call: ast.Call, module: Module, sites: Sites) -> set[str] | None:
    """The assets that a call changes: those it is a method of, and those it is handed."""
    values = [*call.args[1:], *(each.value for each in call.keywords if each.arg in ("iterable", "assets"))]
    if isinstance(call.func, ast.Attribute):
        values.append(call.func.value)
    found: set[str] = set()
    for node in values:
        found |= _through_callers(Value(node, module.scope_of(call)), call, module, sites, 0) or set()
    return found or None


def _names(value: Value | Unknown | None, site: Site, sites: Sites) -> set[str] | None:
    """Names of assets that an option holds; None when that cannot be told."""
    if not isinstance(value, Value):
        return None
    return _through_callers(value, site.node, site.module, sites, 0)


def _through_callers(value: Value, at: ast.AST, module: Module, sites: Sites, depth: int) -> set[str] | None:
    """Names in an expression, or in what the function around it is called with."""
    if any(isinstance(each, ast.JoinedStr | ast.BinOp) for each in ast.walk(value.node)):
        return None  # a name that is put together
    found = names_in(value) or _gone_through(value.node, at, module)
    if found or depth > DEEPEST:
        return found or None
    for function in (each for each in module.around(at) if isinstance(each, FUNCTIONS)):
        for call, where in sites.callers.get(function, []):
            for node in _given(call):
                found |= _through_callers(Value(node, where.scope_of(call)), call, where, sites, depth + 1) or set()
        if found:
            break
    return found or None


def _gone_through(node: ast.expr, at: ast.AST, module: Module) -> set[str]:
    """Names in what a loop goes through, for the name that stands for each of them."""
    if not isinstance(node, ast.Name):
        return set()
    for around in module.around(at):
        loops = [around] if isinstance(around, ast.For | ast.AsyncFor) else getattr(around, "generators", [])
        for loop in loops:
            if any(isinstance(each, ast.Name) and each.id == node.id for each in ast.walk(loop.target)):
                return names_in(Value(loop.iter, module.scope_of(at)))
    return set()


def _given(call: ast.Call) -> Iterator[ast.expr]:
    yield from call.args
    yield from (each.value for each in call.keywords)
