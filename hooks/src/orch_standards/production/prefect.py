"""Prefect: flows and tasks, and the deployments in prefect.yaml or in code."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ..engines import Engines
from ..names import UNKNOWN, External, Value, meaning
from ..options import Options, keywords
from ..report import Report
from . import prefect_deployments
from .prefect_calls import DEEPEST, Calls
from .sites import Site, Sites


def check(sites: Sites) -> Iterator[Report]:
    own = sites.of("prefect")
    flows = [site for site in own if site.last == "flow" and site.function]
    tasks = [site for site in own if site.last in ("task", "materialize") and site.function]
    calls = Calls(sites, flows, tasks)
    yield from _of_flows(flows, calls)
    workers_are_bounded = sites.engines.sets("prefect", "max_workers")
    yield from _of_tasks(tasks, calls, _task_defaults(sites.engines), workers_are_bounded)
    yield from prefect_deployments.check(sites, flows, calls)


def _task_defaults(engines: Engines) -> Options:
    """Options that the project's settings give every task."""
    given = engines.sets("prefect", "retries")
    for path in ("prefect.toml", "pyproject.toml"):
        settings = engines.project.toml(path) if path in engines.project.files else {}
        settings = settings.get("tool", {}).get("prefect", {}) if path == "pyproject.toml" else settings
        given = given or bool(settings.get("tasks", {}).get("default_retries"))
    return Options({"retries": UNKNOWN} if given else {})


def _of_flows(flows: list[Site], calls: Calls) -> Iterator[Report]:
    for site in flows:
        name = site.name("name")
        if site.lacks("name"):
            yield site.report("prefect-unnamed-flow", name)
        # A flow whose tasks have time-outs is bounded by them; one that does its work itself is not.
        bounded = calls.given_by_variants(site, "timeout_seconds") or calls.calls_steps(site)
        if site.lacks("timeout_seconds") and not bounded:
            yield site.report("prefect-no-timeout", name)


def _of_tasks(tasks: list[Site], calls: Calls, defaults: Options, workers_are_bounded: bool) -> Iterator[Report]:
    for site in tasks:
        name = site.name("name")
        by_settings = "retries" in defaults.values and "retries" not in site.options.values
        if site.lacks("retries") and not by_settings and not calls.given_by_variants(site, "retries"):
            yield site.report("prefect-no-retries", name)
        bounded = bool(calls.of(site)) and all(calls.ends_in_time(caller) for caller in calls.of(site))
        if site.lacks("timeout_seconds") and not bounded and not calls.given_by_variants(site, "timeout_seconds"):
            yield site.report("prefect-no-timeout", name)
        mapped = site.function.node in calls.mapped and not calls.takes_turns(site)
        if mapped and not workers_are_bounded and not _bounded_above(site, calls, 0):
            yield site.report("prefect-unbounded-concurrency", name)


def _bounded_above(site: Site, calls: Calls, depth: int) -> bool:
    """Whether all flows that a task is mapped in have a task runner of some size, also through tasks between them."""
    callers = calls.of(site)
    if not callers or depth > DEEPEST:
        return False
    flows = calls.flows
    return all(
        _runner_is_bounded(each) or calls.given_by_variants(each, "task_runner")
        if each.function.node in flows
        else _bounded_above(each, calls, depth + 1)
        for each in callers
    )


def _runner_is_bounded(flow: Site) -> bool:
    """Whether the task runner of a flow has a size, for all we know."""
    value = flow.options.values.get("task_runner")
    if not isinstance(value, Value):
        return flow.options.open or value is not None
    found = meaning(value.node, value.scope)
    if isinstance(found, Value) and isinstance(found.node, ast.Call):
        given = keywords(found.node, found.scope)
        return bool(found.node.args) or given.has("max_workers", "cluster_kwargs", "address")
    return not isinstance(found, External)  # a class by itself has no bound
