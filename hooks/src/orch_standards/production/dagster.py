"""Dagster: assets, checks, jobs, and what an instance's dagster.yaml adds to them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

from ..names import External, Unknown, Value, meaning
from ..options import Options, keywords
from ..project import Project
from ..report import Report
from .dagster_assets import Asset, assets_of, checked_in, names_selected, watched_in
from .imports import works
from .sites import Site, Sites, polls

ASSETS = ("asset", "multi_asset", "graph_asset", "graph_multi_asset")
STEPS = ("asset", "multi_asset", "op", "asset_check", "multi_asset_check")
JOBS = ("define_asset_job", "job", "to_job")
MAX_RUNTIME = ("dagster/max_runtime", "MAX_RUNTIME_SECONDS_TAG")
ONE_AT_A_TIME = ("in_process_executor",)


def check(sites: Sites) -> Iterator[Report]:
    own = sites.of("dagster")
    if not own:
        return
    instance = _instance(sites.project)
    definers = [site for site in own if site.last in ASSETS and (site.function or site.through)]
    jobs = [site for site in own if (site.last in JOBS and "()" not in site.dotted) or _is_to_job(site)]
    assets = [asset for site in definers for asset in assets_of(site)]
    yield from _of_steps(own, jobs, instance)
    yield from _of_jobs(jobs, instance)
    for site in definers:
        if site.lacks("partitions_def") and not _partitioned_by_specs(site):
            yield Report("dagster-no-partitions", site.path, site.line, site.name("name"))
        yield from _io(site)
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
    retries = instance.get("run_retries") or {}
    # Switched off for failed steps, it only repeats runs whose process died.
    runs_are_retried = bool(retries.get("enabled")) and retries.get("retry_on_asset_or_op_failure", True)
    limited_jobs = bool(jobs) and all(_is_limited(job) for job in jobs)
    limited = any(_limits_runs(instance.get(key)) for key in ("concurrency", "run_queue", "run_coordinator"))
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


def _limits_runs(settings: object) -> bool:
    """Whether settings of the instance hold a limit, such as concurrency.pools.default_limit."""
    if not isinstance(settings, dict):
        return False
    return any("limit" in key or key == "max_concurrent_runs" or _limits_runs(each) for key, each in settings.items())


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
    names = names_selected(selection)
    if names is None:
        return True
    made = {site.name("name", "group_name"), _function_name(site)} | {asset.name for asset in assets_of(site)}
    group = site.options.given("group_name")
    return bool(names & made) or (isinstance(group, str) and f"group:{group}" in names) or isinstance(group, Unknown)


def _function_name(site: Site) -> str:
    return site.function.node.name if site.function else ""


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
    """Whether a job carries one of these tags, for all we know: a configuration by partition has tags too."""
    config = site.options.values.get("config")
    if isinstance(config, Value):
        found = meaning(config.node, config.scope)
        if not (isinstance(found, Value) and isinstance(found.node, ast.Dict)):
            return True
    for key in ("tags", "run_tags"):
        tags = site.options.sub(key)
        if tags.open and not site.options.lacks(key):
            return True
        if any(name in tags.values for name in names):
            return True
    return False


# Assets: partitions, IO, and the leaves' checks and freshness


def _partitioned_by_specs(site: Site) -> bool:
    specs = [asset for asset in assets_of(site) if asset.options is not site.options]
    return bool(specs) and all(asset.options.has("partitions_def") for asset in specs)


def _io(site: Site) -> Iterator[Report]:
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
    """What others read must be checked and watched; a site that makes several such assets is told once."""
    read_here = {name for asset in assets for name in asset.upstream}
    leaves = [asset for asset in assets if asset.name and asset.name not in read_here]
    checked, watched = checked_in(own), watched_in(own)
    for rule, option, elsewhere in (
        ("dagster-no-check", "check_specs", checked),
        ("dagster-no-freshness", "freshness_policy", watched),
    ):
        told: set[Site] = set()
        for asset in leaves:
            site = asset.site
            has = not asset.options.lacks(option) or not site.lacks(option) or elsewhere.may_hold(asset.name)
            if not has and site not in told:
                told.add(site)
                yield Report(rule, site.path, site.line, asset.name)
