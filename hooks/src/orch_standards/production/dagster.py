"""Dagster: assets, checks, jobs, and what an instance's dagster.yaml adds to them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ..names import Definition, External, Unknown, Value, meaning
from ..options import Options, called, constant, keywords
from ..project import Project
from ..report import Report
from .imports import works
from .sites import Site, Sites, polls

ASSETS = ("asset", "multi_asset", "graph_asset", "graph_multi_asset")
STEPS = ("asset", "multi_asset", "op", "asset_check", "multi_asset_check")
JOBS = ("define_asset_job", "job", "to_job")
CHECKS = ("asset_check", "multi_asset_check", "AssetCheckSpec")
MAX_RUNTIME = ("dagster/max_runtime", "MAX_RUNTIME_SECONDS_TAG")
ONE_AT_A_TIME = ("in_process_executor",)


@dataclass(eq=False)
class Asset:
    """One table or the like that code makes; several may be made by one site."""

    site: Site
    name: str
    options: Options
    upstream: set[str] = field(default_factory=set)


def check(sites: Sites) -> Iterator[Report]:
    own = sites.of("dagster")
    if not own:
        return
    instance = _instance(sites.project)
    definers = [site for site in own if site.last in ASSETS and (site.function or site.through)]
    jobs = [site for site in own if (site.last in JOBS and "()" not in site.dotted) or _is_to_job(site)]
    assets = [asset for site in definers for asset in _assets(site)]
    yield from _of_steps(own, jobs, instance)
    yield from _of_jobs(jobs, instance)
    for site in definers:
        if site.lacks("partitions_def") and not _partitioned_by_specs(site):
            yield Report("dagster-no-partitions", site.path, site.line, site.name("name"))
        yield from _io(site, sites)
    yield from _of_leaves(assets, own)


def _instance(project: Project) -> dict[str, Any]:
    """Settings of the instance, of all dagster.yaml files together."""
    found: dict[str, Any] = {}
    for path in project.matching("dagster.yaml", "*/dagster.yaml", "*dagster*/dagster.yml"):
        text = project.yaml(path)
        found |= text if isinstance(text, dict) else {}
    return found


def _is_to_job(site: Site) -> bool:
    return site.dotted.endswith(".to_job")


# Steps: retries, limits, waiting


def _of_steps(own: list[Site], jobs: list[Site], instance: dict[str, Any]) -> Iterator[Report]:
    retried_by_jobs = [
        job for job in jobs if not job.options.lacks("op_retry_policy") or _tag(job, ("dagster/max_retries",))
    ]
    runs_are_retried = bool((instance.get("run_retries") or {}).get("enabled"))
    limited_jobs = bool(jobs) and all(_is_limited(job) for job in jobs)
    limited = bool(instance.get("concurrency") or instance.get("run_coordinator"))
    for site in own:
        if site.last not in STEPS or not (site.function or site.through):
            continue
        name = site.name("name")
        unretried = site.lacks("retry_policy") or _never_retries(site)
        if unretried and not runs_are_retried and not _any_covers(retried_by_jobs, site):
            yield Report("dagster-no-retries", site.path, site.line, name)
        is_check = "check" in site.last
        if site.lacks("pool") and not is_check and not limited and not limited_jobs and not _keyed(site):
            yield Report("dagster-unbounded-concurrency", site.path, site.line, name)
        if site.function:
            for line in polls(site.function):
                yield Report("dagster-asset-waits", site.function.module.path, line, name)


def _never_retries(site: Site) -> bool:
    value = site.options.values.get("retry_policy")
    found = meaning(value.node, value.scope) if isinstance(value, Value) else None
    if not (isinstance(found, Value) and isinstance(found.node, ast.Call)):
        return False
    return keywords(found.node, found.scope).given("max_retries") == 0


def _keyed(site: Site) -> bool:
    return any(
        any("concurrency" in key for key in site.options.sub(tags).values) or site.options.sub(tags).open
        for tags in ("op_tags", "tags")
        if tags in site.options.values
    )


def _is_limited(job: Site) -> bool:
    executor = job.options.values.get("executor_def")
    if executor is None:
        return "config" in job.options.values  # where an executor's max_concurrent is set
    if isinstance(executor, Unknown):
        return True
    found = meaning(executor.node, executor.scope)
    if isinstance(found, External):
        return found.last in ONE_AT_A_TIME
    return True  # a configured one


def _any_covers(jobs: list[Site], site: Site) -> bool:
    return any(_covers(job, site) for job in jobs)


def _covers(job: Site, site: Site) -> bool:
    """Whether a job runs a step, for all we know."""
    if job.last == "job" and job.function:
        return any(
            isinstance(each, ast.Name) and each.id == _function_name(site) for each in ast.walk(job.function.node)
        )
    selection = job.options.values.get("selection")
    if selection is None or isinstance(selection, Unknown):
        return True
    names = _selected(selection)
    if names is None:
        return True
    made = {site.name("name", "group_name"), _function_name(site)} | {asset.name for asset in _assets(site)}
    group = site.options.given("group_name")
    return bool(names & made) or (isinstance(group, str) and f"group:{group}" in names) or isinstance(group, Unknown)


def _function_name(site: Site) -> str:
    return site.function.node.name if site.function else ""


def _selected(value: Value) -> set[str] | None:
    """Names of assets that a selection names, ``group:x`` for groups; None when it is not a plain list of them."""
    found = meaning(value.node, value.scope)
    node, scope = (found.node, found.scope) if isinstance(found, Value) else (value.node, value.scope)
    if isinstance(found, Definition):
        return {found.node.name}
    if isinstance(node, ast.List | ast.Tuple):
        parts = [_selected(Value(each, scope)) for each in node.elts]
        return None if any(part is None for part in parts) else set().union(*parts)
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.replace("_", "").isalnum():
        return {node.value}
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("assets", "groups"):
        prefix = "group:" if node.func.attr == "groups" else ""
        names = [constant(each, scope) for each in node.args]
        if prefix or all(isinstance(name, str) for name in names):
            return {f"{prefix}{name}" for name in names} if all(isinstance(name, str) for name in names) else None
        parts = [_selected(Value(each, scope)) for each in node.args]
        return None if any(part is None for part in parts) else set().union(*parts)
    return None


# Jobs: how long a run may take


def _of_jobs(jobs: list[Site], instance: dict[str, Any]) -> Iterator[Report]:
    if (instance.get("run_monitoring") or {}).get("max_runtime_seconds"):
        return
    for job in jobs:
        if not (job.function or isinstance(job.node, ast.Call)) or (job.last == "job" and not job.function):
            continue
        if not _tag(job, MAX_RUNTIME) and not (job.inside and _lacks_tags(job.inside)):
            yield Report("dagster-no-timeout", job.path, job.line, job.name("name"))


def _lacks_tags(options: Options) -> bool:
    return options.lacks("tags") and options.lacks("run_tags")


def _tag(site: Site, names: tuple[str, ...]) -> bool:
    """Whether a job carries one of these tags, for all we know."""
    for key in ("tags", "run_tags"):
        tags = site.options.sub(key)
        if tags.open and not site.options.lacks(key):
            return True
        if any(name in tags.values for name in names):
            return True
    return False


# Assets: partitions, IO, and the leaves' checks and freshness


def _assets(site: Site) -> list[Asset]:
    """What a site makes. One without a name when it cannot be told."""
    upstream = _names_in(site.options.values.get("deps")) | _names_in(site.options.values.get("ins"))
    if site.function:
        signature = site.function.node.args
        upstream |= {each.arg for each in (*signature.args, *signature.kwonlyargs)}
    specs = site.options.values.get("specs", site.options.values.get("outs"))
    if site.last in ("asset", "graph_asset") or specs is None:
        return [Asset(site, site.name("name"), site.options, upstream)]
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


def _spec(site: Site, node: ast.expr, around: Value, upstream: set[str], key: str = "") -> Asset:
    found = meaning(node, around.scope)
    if isinstance(found, Value) and isinstance(found.node, ast.Call):
        call = found.node
        options = keywords(call, found.scope)
        name = constant(call.args[0], found.scope) if call.args else options.given("key") or key
        deps = _names_in(options.values.get("deps"))
        what = called(call.func, found.scope)
        unknown = what is None or what.dotted.rpartition(".")[2] not in ("AssetSpec", "AssetOut")
        options = options.merged(what.preset if what else Options()).merged(Options(unknown=unknown))
        return Asset(site, name if isinstance(name, str) else "", options, upstream | deps)
    return Asset(site, "", Options(unknown=True), upstream)


def _names_in(value: Value | Unknown | None) -> set[str]:
    """Names of assets in a list of keys, functions or AssetDep, AssetIn and the like."""
    if not isinstance(value, Value):
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
                names |= _names_in(target)
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


def _partitioned_by_specs(site: Site) -> bool:
    specs = [asset for asset in _assets(site) if asset.options is not site.options]
    return bool(specs) and all(asset.options.has("partitions_def") for asset in specs)


def _io(site: Site, sites: Sites) -> Iterator[Report]:
    """IO that an asset wires for itself: an IO manager of its own, or a connection opened in its body."""
    for key in ("io_manager_def", "resource_defs"):
        if not site.options.lacks(key) and key in site.options.values:
            yield Report("dagster-io-per-asset", site.path, site.line, site.name("name"))
            return
    if site.function:
        module = site.function.module
        for call in ast.walk(site.function.node):
            if isinstance(call, ast.Call) and works(call, module, ("connect", "connect_later")):
                yield Report("dagster-io-per-asset", module.path, call.lineno, site.name("name"))


def _of_leaves(assets: list[Asset], own: list[Site]) -> Iterator[Report]:
    used = set().union(*(asset.upstream for asset in assets)) if assets else set()
    checked, any_check_unknown = _checked(own)
    watched, any_watch_unknown = _watched(own)
    told: set[tuple[str, Site]] = set()
    for asset in assets:
        site = asset.site
        if asset.name in used or not asset.name:
            continue
        has_check = asset.name in checked or any_check_unknown or not site.options.lacks("check_specs")
        if not has_check and not (site.inside and site.inside.lacks("check_specs")):
            if ("check", site) not in told:
                yield Report("dagster-no-check", site.path, site.line, asset.name)
            told.add(("check", site))
        has_freshness = (
            any(not each.lacks("freshness_policy") for each in (asset.options, site.options))
            or asset.name in watched
            or any_watch_unknown
        )
        if not has_freshness and not (site.inside and site.inside.lacks("freshness_policy")):
            if ("freshness", site) not in told:
                yield Report("dagster-no-freshness", site.path, site.line, asset.name)
            told.add(("freshness", site))


def _checked(own: list[Site]) -> tuple[set[str], bool]:
    """Names of assets that a check is for, and whether some check may be for any."""
    names: set[str] = set()
    unknown = False
    for site in own:
        if (site.last not in CHECKS and not site.last.startswith("build_")) or "freshness" in site.last:
            continue
        if site.last.startswith("build_") and "check" not in site.last:
            continue
        for key in ("asset", "assets"):
            if key in site.options.values:
                found = _names_in(site.options.values[key])
                names |= found
                unknown = unknown or (not found and not _inside_check_specs(site))
        if site.last == "AssetCheckSpec" and isinstance(site.node, ast.Call) and len(site.node.args) > 1:
            names |= _names_in(Value(site.node.args[1], site.scope))
        if site.last == "asset_check" and isinstance(site.node, ast.Call) and site.node.args:
            names |= _names_in(Value(site.node.args[0], site.scope))
    return names, unknown


def _inside_check_specs(site: Site) -> bool:
    """Whether it stands in ``check_specs=`` of an asset, which is then the one that has the check."""
    return any(isinstance(each, ast.keyword) and each.arg == "check_specs" for each in site.module.around(site.node))


def _watched(own: list[Site]) -> tuple[set[str], bool]:
    """Names of assets whose freshness is checked from outside, and whether that may be any."""
    names: set[str] = set()
    unknown = False
    for site in own:
        if "freshness" not in site.last.lower() or site.last == "FreshnessPolicy" or "FreshnessPolicy" in site.dotted:
            unknown = unknown or site.last in ("apply_freshness_policy", "map_asset_specs", "map_resolved_asset_specs")
            continue
        found = _names_in(site.options.values.get("assets"))
        names |= found
        unknown = unknown or not found
    return names, unknown
