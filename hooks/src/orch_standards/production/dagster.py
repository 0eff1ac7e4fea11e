"""Dagster: assets, checks, jobs, and what the settings of an instance add to them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

from ..names import Definition, External, Unknown, Value, meaning
from ..options import Options, keywords
from ..report import Report
from .dagster_assets import Asset, assets_of, is_stand_in
from .dagster_instance import ends_runs, limits_runs, retries_runs, settings_of
from .dagster_locations import Locations
from .dagster_selection import Graph, runs
from .dagster_targets import Targets, bound_in, checked_in, watched_in
from .imports import works
from .sites import Site, Sites, polls
from .words import is_upkeep, only_takes_away

ASSETS = ("asset", "multi_asset", "graph_asset", "graph_multi_asset")
STEPS = ("asset", "multi_asset", "op", "asset_check", "multi_asset_check")
JOBS = ("define_asset_job", "job", "to_job")
MAX_RUNTIME = ("dagster/max_runtime", "MAX_RUNTIME_SECONDS_TAG")
ONE_AT_A_TIME = ("in_process_executor",)


def check(sites: Sites) -> Iterator[Report]:
    own = [site for site in sites.of("dagster") if not (site.last in STEPS and is_stand_in(site))]
    if not own:
        return
    instance, locations = settings_of(sites.engines), Locations(sites)
    every = [site for site in sites.of("dagster") if site.last in ASSETS and (site.function or site.through)]
    definers = [site for site in every if not is_stand_in(site)]
    jobs = jobs_of(sites)
    assets = [asset for site in every for asset in assets_of(site)]
    definitions = [site for site in own if site.last == "Definitions"]
    covers = _Covers(jobs, definitions, Graph.of(assets), locations)
    yield from _of_steps(own, instance, covers)
    yield from _of_jobs(jobs, instance)
    partitioned = bound_in("partitions_def", sites, locations)
    for site in definers:
        by_specs = _partitioned_by_specs(site) or _reads_partition(site)
        if site.lacks("partitions_def") and not by_specs and not partitioned.may_hold(site.name("name"), site):
            yield site.report("dagster-no-partitions", site.name("name"))
        yield from _io(site)
    yield from _of_leaves(assets, checked_in(sites, locations), watched_in(sites, locations))


def jobs_of(sites: Sites) -> list[Site]:
    """All jobs: decorated, defined over assets, and made of a graph."""
    jobs = [site for site in sites.of("dagster") if (site.last in JOBS and "()" not in site.dotted) or _is_to_job(site)]
    return jobs + _jobs_of_graphs(sites)


def _is_to_job(site: Site) -> bool:
    return site.dotted.endswith(".to_job")


def _jobs_of_graphs(sites: Sites) -> list[Site]:
    """What `.to_job` of a decorated graph makes."""
    graphs = {site.function.node for site in sites.of("dagster") if site.last == "graph" and site.function}
    found = []
    for module in sites.modules_of("dagster"):
        for call in module.calls:
            if isinstance(call.func, ast.Attribute) and call.func.attr == "to_job":
                scope = module.scope_of(call)
                graph = meaning(call.func.value, scope)
                if isinstance(graph, Definition) and graph.node in graphs:
                    found.append(Site(module, call, "dagster.graph.to_job", keywords(call, scope)))
    return found


# Steps: retries, limits, waiting


class _Covers:
    """What jobs add to the steps that they run."""

    def __init__(self, jobs: list[Site], definers: list[Site], graph: Graph, locations: Locations) -> None:
        self.jobs, self.graph, self.locations = jobs, graph, locations
        self.retried = [
            job for job in jobs if not job.options.lacks("op_retry_policy") or _tag(job, ("dagster/max_retries",))
        ]

        self.executors = [
            each
            for each in definers
            if "executor" in each.options.values and _is_bounded(each.options.values["executor"])
        ]

    def limits(self, site: Site) -> bool:
        """Whether the executor of the code location, or of all jobs that run a step, bounds how many run at once."""
        if any(self.locations.together(each.path, site) for each in self.executors):
            return True
        running = [job for job in self.jobs if self._may_run(job, site)]
        return bool(running) and all(_is_limited(job) for job in running)

    def _may_run(self, job: Site, site: Site) -> bool:
        return runs(job, site, self.graph) is not False and self.locations.together(job.path, site)

    def retries(self, site: Site) -> bool:
        """Whether a job that retries runs a step, or may do so for all we know of its code location."""
        return any(self._may_run(job, site) for job in self.retried)


def _of_steps(own: list[Site], instance: dict[str, Any], covers: _Covers) -> Iterator[Report]:
    runs_are_retried = retries_runs(instance)
    limited = limits_runs(instance)
    for site in own:
        if site.last not in STEPS or not (site.function or site.through):
            continue
        name = site.name("name")
        unretried = site.lacks("retry_policy") or _never_retries(site)
        if unretried and not runs_are_retried and not covers.retries(site):
            yield site.report("dagster-no-retries", name)
        is_check = "check" in site.last
        bounded = limited or _keyed(site) or covers.limits(site)
        if site.lacks("pool") and not is_check and not bounded:
            yield site.report("dagster-unbounded-concurrency", name)
        if site.function:
            for path, loop in polls(site.function):
                yield Report.at("dagster-asset-waits", path, loop, name)


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
    return _is_bounded(executor)


def _is_bounded(executor: Value | Unknown) -> bool:
    """Whether an executor runs one step after the other, or so many at once."""
    if isinstance(executor, Unknown):
        return True
    found = meaning(executor.node, executor.scope)
    if isinstance(found, External):
        return found.last in ONE_AT_A_TIME
    return True  # a configured one


# Jobs: how long a run may take


def _of_jobs(jobs: list[Site], instance: dict[str, Any]) -> Iterator[Report]:
    if ends_runs(instance):
        return
    for job in jobs:
        if not (job.function or isinstance(job.node, ast.Call)) or (job.last == "job" and not job.function):
            continue
        if not _tag(job, MAX_RUNTIME) and not (job.inside and _lacks_tags(job.inside)):
            yield job.report("dagster-no-timeout", job.name("name"))


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
            yield site.report("dagster-io-per-asset", site.name("name"))
            return
    if site.function:
        module = site.function.module
        for call in ast.walk(site.function.node):
            if isinstance(call, ast.Call) and works(call, module, ("connect", "connect_later")):
                yield Report.at("dagster-io-per-asset", module.path, call, site.name("name"))


def _reads_partition(site: Site) -> bool:
    """Whether the body asks for its partition: then it has one, bound where the asset is used."""
    body = site.function.node if site.function else None
    return body is not None and any(
        isinstance(each, ast.Attribute) and each.attr.startswith("partition_") for each in ast.walk(body)
    )


def _of_leaves(assets: list[Asset], checked: Targets, watched: Targets) -> Iterator[Report]:
    """What others read must be checked and watched; a site that makes several such assets is told once."""
    read_here = {name for asset in assets for name in asset.upstream}
    leaves = [asset for asset in assets if asset.name and asset.name not in read_here and not is_stand_in(asset.site)]
    for rule, option, elsewhere in (
        ("dagster-no-check", "check_specs", checked),
        ("dagster-no-freshness", "freshness_policy", watched),
    ):
        told: set[Site] = set()
        for asset in leaves:
            site = asset.site
            has = not asset.options.lacks(option) or not site.lacks(option) or elsewhere.may_hold(asset.name, site)
            if not has and site not in told and not _is_upkeep(site):
                told.add(site)
                yield site.report(rule, asset.name)


def _is_upkeep(site: Site) -> bool:
    """Whether an asset only takes something away, so that nobody reads it."""
    description = site.options.given("description")
    first = description.partition(".")[0] if isinstance(description, str) else ""
    if is_upkeep(site.name("name")) or is_upkeep(first):
        return True
    body = site.function.node if site.function else None
    texts = (each.value for each in ast.walk(body) if isinstance(each, ast.Constant)) if body else ()
    return only_takes_away(text for text in texts if isinstance(text, str))
