"""Dagster: jobs with their ops or assets, the graph of the assets that no job runs, schedules and sensors."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from orch_standards.names import FUNCTIONS, Definition, Value, meaning
from orch_standards.options import decoration
from orch_standards.production.dagster import ASSETS, jobs_of
from orch_standards.production.dagster_assets import Asset, assets_of
from orch_standards.production.dagster_selection import Graph, runs
from orch_standards.production.sites import Site

from . import systems
from .code import Code
from .facts import READ, RESOLVED, Fact, Link, Pipeline, Step

SCHEDULES = ("ScheduleDefinition", "schedule", "build_schedule_from_partitioned_job")
SENSORS = (
    "sensor",
    "asset_sensor",
    "multi_asset_sensor",
    "run_status_sensor",
    "SensorDefinition",
    "freshness_policy_sensor",
    "run_failure_sensor",
    "AutomationConditionSensorDefinition",
)
CHECKS = ("asset_check", "multi_asset_check")


def read(code: Code) -> list[Pipeline]:
    """One pipeline for each job, and one for each folder with assets that no job runs."""
    own = code.sites.of("dagster")
    makers = [site for site in own if site.last in ASSETS and (site.function or site.through)]
    makers += _of_integrations(code)
    made = {id(site): assets_of(site) for site in makers}
    every = [asset for site in makers for asset in made[id(site)]]
    graph = Graph.of(every)
    ops = {site.function.node: site for site in own if site.last in ("op", "graph") and site.function}
    jobs = [(job, _of_job(job, makers, made, graph, ops, code)) for job in jobs_of(code.sites)]
    taken = {id(step.definition) for _, pipeline in jobs for step in pipeline.steps}
    left = [site for site in makers if id(_written(site)) not in taken]
    found = [pipeline for _, pipeline in jobs]
    folders: dict[str, Pipeline] = {}
    for site in left:
        folder = site.path.rpartition("/")[0]
        if folder not in folders:
            folders[folder] = Pipeline(Fact(folder or ".", RESOLVED), "dagster", "asset graph", site.path, site.line)
        for asset in made[id(site)]:
            _add_asset(folders[folder], asset, code)
    found += folders.values()
    for site in own:
        if site.last in CHECKS and site.function:
            home = next((each for each in found if each.path.rpartition("/")[0] == site.path.rpartition("/")[0]), None)
            if home:
                step = Step(Fact(site.function.node.name), "@asset_check", site.path, site.line, package="dagster")
                step.definition = site.function.node
                home.steps.append(step)
                home.feature("quality_checks", f"{step.name.value} ({site.path}:{site.line})")
    _schedules(own, jobs, code)
    found += list(_sensors(own, jobs, found, code))
    return found


def _of_integrations(code: Code) -> Iterator[Site]:
    """What the decorators of Dagster's integrations make: dbt_assets, sling_assets and the like."""
    for module in code.sites.modules:
        for node in module.definitions:
            for each in node.decorator_list if isinstance(node, FUNCTIONS) else ():
                what = decoration(each, module.scope_of(node))
                if what and re.match(r"dagster_\w+\.(?:.*\.)?\w+_assets$", what.dotted):
                    yield Site(module, each, what.dotted, what.preset, Definition(module, node))


def _written(site: Site) -> ast.AST:
    return site.function.node if site.function else site.node


def _of_job(
    job: Site,
    makers: list[Site],
    made: dict[int, list[Asset]],
    graph: Graph,
    ops: dict[ast.AST, Site],
    code: Code,
) -> Pipeline:
    given = job.options.values.get("name")
    first = job.node.args[0] if isinstance(job.node, ast.Call) and job.node.args and not job.function else None
    if given is None and isinstance(first, ast.Constant):
        given = Value(first, job.scope)
    name = code.text(given) if isinstance(given, Value) else Fact(job.name("name"), READ if job.function else RESOLVED)
    pipeline = Pipeline(name, "dagster", "job", job.path, job.line)
    body = job.function
    if body is None and isinstance(job.node, ast.Call) and isinstance(job.node.func, ast.Attribute):
        found = meaning(job.node.func.value, job.scope)  # graph.to_job()
        body = found if isinstance(found, Definition) else None
    if body is not None:
        _ops(pipeline, body, ops, code)
    elif job.last == "define_asset_job":
        for site in makers:
            if runs(job, site, graph):
                for asset in made[id(site)]:
                    _add_asset(pipeline, asset, code)
        if not pipeline.steps and "selection" in job.options.values:
            pipeline.repeated = f"its selection is {code.text(job.options.values['selection']).value}"
    if "partitions_def" in job.options.values:
        pipeline.feature("partitioned_backfills", f"a partitioned job ({job.path}:{job.line})")
    return pipeline


def _ops(pipeline: Pipeline, body: Definition, ops: dict[ast.AST, Site], code: Code, depth: int = 0) -> None:
    for call in (each for each in ast.walk(body.node) if isinstance(each, ast.Call)):
        target = call.func
        while isinstance(target, ast.Call | ast.Attribute):  # op.alias("x")(...), values.map(op)
            target = target.func if isinstance(target, ast.Call) else target.value
        handed = [each for each in call.args if isinstance(each, ast.Name)]
        for node in (target, *handed):
            found = meaning(node, body.module.scope_of(call))
            site = ops.get(found.node) if isinstance(found, Definition) else None
            if site is None or any(step.definition is found.node for step in pipeline.steps):
                continue
            if site.last == "graph" and depth < 4:
                _ops(pipeline, site.function, ops, code, depth + 1)
                continue
            step = Step(Fact(site.name("name")), "@op", site.path, site.line, package="dagster", definition=found.node)
            pipeline.steps.append(step)
            if "DynamicOut" in ast.unparse(site.node):
                pipeline.feature("dynamic_fan_out", f"DynamicOut ({site.path}:{site.line})")
            code.follow(pipeline, site.function)


def _add_asset(pipeline: Pipeline, asset: Asset, code: Code) -> None:
    site = asset.site
    name = Fact(asset.name, READ) if asset.name else code.text(None)
    operator = f"@{site.last}" if site.function else site.last
    step = Step(name, operator, site.path, site.line, package="dagster", definition=_written(site))
    pipeline.steps.append(step)
    pipeline.links.append(Link("writes", name, site.path, site.line))
    pipeline.links += [
        Link("reads", Fact(each, RESOLVED), site.path, site.line)
        for each in sorted(asset.upstream)
        if each not in ("context", "config", "self")
    ]
    if "partitions_def" in asset.options.values:
        pipeline.feature("partitioned_backfills", f"partitions_def ({site.path}:{site.line})")
    if "freshness_policy" in asset.options.values:
        pipeline.feature("freshness", f"freshness_policy ({site.path}:{site.line})")
    if "check_specs" in asset.options.values:
        pipeline.feature("quality_checks", f"check_specs ({site.path}:{site.line})")
    condition = asset.options.values.get("automation_condition")
    if isinstance(condition, Value) and pipeline.schedule is None:
        pipeline.schedule = Fact(" ".join(ast.unparse(condition.node).split())[:80], RESOLVED)
    for system in {*systems.of_class(site.last), systems.of_import(site.dotted)} - {None}:
        pipeline.add_system(system, f"{operator} ({site.path}:{site.line})", READ)
    if site.function:
        code.touch_imports(pipeline, site.module, READ)
        code.follow(pipeline, site.function)


def _schedules(own: list[Site], jobs: list[tuple[Site, Pipeline]], code: Code) -> None:
    for site in own:
        if site.last not in SCHEDULES:
            continue
        pipeline = _job_of(site, jobs)
        if pipeline is None:
            continue
        given = site.options.values.get("cron_schedule")
        if isinstance(given, Value):
            pipeline.schedule = code.text(given)
        elif site.last == "build_schedule_from_partitioned_job":
            pipeline.schedule = Fact("each partition as it ends", RESOLVED)
        zone = site.options.values.get("execution_timezone")
        pipeline.zone = code.text(zone) if isinstance(zone, Value) else pipeline.zone


def _job_of(site: Site, jobs: list[tuple[Site, Pipeline]]) -> Pipeline | None:
    """The job that a schedule or sensor is for."""
    given = next((site.options.values[key] for key in ("job", "target") if key in site.options.values), None)
    if given is None and isinstance(site.node, ast.Call) and site.node.args and not site.function:
        given = Value(site.node.args[0], site.scope)
    if isinstance(given, Value):
        found = meaning(given.node, given.scope)
        for job, pipeline in jobs:
            if isinstance(found, Value) and found.node is job.node:
                return pipeline
            if isinstance(found, Definition) and job.function and found.node is job.function.node:
                return pipeline
    name = site.options.given("job_name")
    return next((pipeline for _, pipeline in jobs if isinstance(name, str) and pipeline.name.value == name), None)


def _sensors(
    own: list[Site], jobs: list[tuple[Site, Pipeline]], found: list[Pipeline], code: Code
) -> Iterator[Pipeline]:
    """Sensors become steps of what they start; one that starts nothing known is a pipeline of its own."""
    for site in own:
        if site.last not in SENSORS or not (site.function or isinstance(site.node, ast.Call)):
            continue
        name = Fact(site.name("name"), READ if site.function else RESOLVED)
        operator = f"@{site.last}" if site.function else site.last
        step = Step(name, operator, site.path, site.line, "sensor", package="dagster", definition=_written(site))
        pipeline = _job_of(site, jobs)
        if pipeline is None:
            pipeline = Pipeline(name, "dagster", "sensor", site.path, site.line)
            yield pipeline
        pipeline.steps.append(step)
        pipeline.feature("sensors", f"{name.value} ({site.path}:{site.line})")
        if site.function:
            code.follow(pipeline, site.function)
