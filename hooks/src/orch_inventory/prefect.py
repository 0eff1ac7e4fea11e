"""Prefect: flows with the tasks that they call, and their deployments in files and in code."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

from orch_standards.names import Definition, External, Value, meaning
from orch_standards.options import keywords
from orch_standards.production import prefect_deployments
from orch_standards.production.prefect_calls import Calls, calls_in
from orch_standards.production.sites import Site

from . import systems
from .code import Code
from .facts import GUESSED, READ, RESOLVED, Fact, Link, Pipeline, Step, weakest
from .values import repeated

TIMED = ("cron", "interval", "rrule", "schedule")


def read(code: Code) -> list[Pipeline]:
    """One pipeline for each flow."""
    own = code.sites.of("prefect")
    flows = [site for site in own if site.last == "flow" and site.function]
    tasks = [site for site in own if site.last in ("task", "materialize") and site.function]
    calls = Calls(code.sites, flows, tasks)
    schedules = _schedules(code, flows, calls)
    in_file = [site.path for site in flows]
    found = []
    for site in flows:
        with code.reading(site.path, site.line):
            given = schedules.get(site.function.node, [])
            found.append(_of_flow(site, calls, code, given, in_file.count(site.path) == 1))
    for site in own:
        if site.last == "Flow" and not site.through:
            with code.reading(site.path, site.line):
                found.append(_of_first(site, tasks, code))
    return found


def _of_flow(site: Site, calls: Calls, code: Code, schedules: list[tuple[Fact, Fact | None]], alone: bool) -> Pipeline:
    function = site.function
    pipeline = Pipeline(_name(site, code), "prefect", "flow", site.path, function.node.lineno)
    if schedules:
        pipeline.schedule = Fact(
            ", ".join(dict.fromkeys(fact.value for fact, _ in schedules)),
            weakest(*(fact.confidence for fact, _ in schedules)),
        )
        pipeline.zone = next((zone for _, zone in schedules if zone), None)
    for task in calls.tasks.values():
        if site in calls.of(task):
            pipeline.steps.append(_step(pipeline, task, calls, site, code))
    for flow in calls.flows.values():
        if site in calls.of(flow) and flow is not site:
            name = _name(flow, code)
            pipeline.links.append(Link("starts", name, site.path, function.node.lineno))
            step = Step(name, "@flow", flow.path, flow.line, "subpipeline", package="prefect")
            step.definition = ("call", flow.node)
            pipeline.steps.append(step)
            pipeline.feature("sub_flows", f"calls {name.value} ({site.path}:{function.node.lineno})")
    for call in calls_in(function):
        made = meaning(call.func, function.module.scope_of(call))
        if isinstance(made, External) and made.last == "run_deployment":
            given = call.args[0] if call.args else next((k.value for k in call.keywords if k.arg == "name"), None)
            target = code.text(Value(given, function.module.scope_of(call)) if given else None)
            pipeline.links.append(Link("starts", target, site.path, call.lineno))
            pipeline.feature("sub_flows", f"run_deployment ({site.path}:{call.lineno})")
        if isinstance(made, External) and made.last in ("pause_flow_run", "suspend_flow_run"):
            pipeline.feature("human_approval", f"{made.last} ({site.path}:{call.lineno})", RESOLVED)
    code.follow(pipeline, function)
    code.touch_file(pipeline, site.module, alone)
    return pipeline


def _name(site: Site, code: Code) -> Fact:
    given = site.options.values.get("name")
    if isinstance(given, Value):
        return code.text(given)
    return Fact(site.function.node.name.replace("_", "-"), READ)


def _step(pipeline: Pipeline, task: Site, calls: Calls, flow: Site, code: Code) -> Step:
    name = _name(task, code)
    step = Step(name, "@task", task.path, task.function.node.lineno, package="prefect", definition=task.function.node)
    if task.function.node in calls.mapped:
        step.count, step.loop = None, "map()"
        pipeline.feature("dynamic_fan_out", f"map() of {name.value} ({task.path}:{step.line})")
    else:
        for call in calls_in(flow.function):
            target = call.func.value if isinstance(call.func, ast.Attribute) else call.func
            found = meaning(target, flow.function.module.scope_of(call))
            if isinstance(found, Definition) and found.node is task.function.node:
                step.count, step.loop = repeated(call, flow.function.module, code.callers)
                if step.count is None:
                    pipeline.feature("dynamic_fan_out", f"a loop over {step.loop} ({flow.path}:{call.lineno})")
                break
    if task.path != flow.path:
        code.touch_imports(pipeline, task.module, RESOLVED)
    code.follow(pipeline, task.function)
    for key in ("retries", "timeout_seconds", "tags", "cache_policy"):
        if isinstance(task.options.values.get(key), Value):
            step.settings[key] = code.text(task.options.values[key])
    return step


def _of_first(site: Site, tasks: list[Site], code: Code) -> Pipeline:
    """A flow of Prefect 1: a context in which tasks are called."""
    first = site.node.args[0] if isinstance(site.node, ast.Call) and site.node.args else None
    given = Value(first, site.scope) if first is not None else site.options.values.get("name")
    pipeline = Pipeline(code.text(given), "prefect", "flow of Prefect 1", site.path, site.line)
    schedule = site.options.values.get("schedule")
    pipeline.schedule = code.text(schedule) if isinstance(schedule, Value) else None
    pipeline.feature("prefect_1", "written for Prefect 1, which no longer is maintained")
    by_node = {task.function.node: task for task in tasks}
    parent = site.module.parents.get(site.node)
    body = site.module.parents[parent].body if isinstance(parent, ast.withitem) else []
    for call in (each for node in body for each in ast.walk(node) if isinstance(each, ast.Call)):
        target = call.func.value if isinstance(call.func, ast.Attribute) else call.func
        found = meaning(target, site.module.scope_of(call))
        if isinstance(found, Definition) and found.node in by_node:
            name = found.node.name
            step = Step(Fact(name), "@task", found.module.path, found.node.lineno, package="prefect")
            step.definition = found.node
            pipeline.steps.append(step)
            code.follow(pipeline, found)
        elif isinstance(found, Value) and isinstance(found.node, ast.Call):
            made = meaning(found.node.func, found.scope)
            if isinstance(made, External) and made.dotted.startswith("prefect.tasks."):
                step = Step(Fact(ast.unparse(target)), made.last, site.path, call.lineno, package="prefect")
                step.definition = found.node
                pipeline.steps.append(step)
                for system in systems.of_class(made.last):
                    pipeline.add_system(system, f"{made.last} ({site.path}:{call.lineno})", READ)
    return pipeline


# When they run


def _schedules(code: Code, flows: list[Site], calls: Calls) -> dict[ast.AST, list[tuple[Fact, Fact | None]]]:
    """When each flow runs, with the zone, by the function of the flow."""
    found: dict[ast.AST, list[tuple[Fact, Fact | None]]] = {}
    for _, _, each in prefect_deployments.in_files(code.project):
        place = prefect_deployments.parted(str(each.get("entrypoint") or ""))
        flow = next((site for site in flows if prefect_deployments.stands_for(site, *place)), None)
        if flow:
            found.setdefault(flow.function.node, []).extend(_written(each))
    for module in code.sites.modules:
        for call in module.calls:
            method, flow = prefect_deployments.deploys(call, module, calls)
            if method and flow:
                options = keywords(call, module.scope_of(call))
                for key in TIMED:
                    value = options.values.get(key)
                    if isinstance(value, Value):
                        fact = code.text(value)
                        plain = Fact(fact.value.strip("{}"), fact.confidence)
                        found.setdefault(flow.function.node, []).append((plain, None))
    return found


def _written(deployment: dict[str, Any]) -> Iterator[tuple[Fact, Fact | None]]:
    given = deployment.get("schedules") or deployment.get("schedule")
    for each in given if isinstance(given, list) else [given]:
        if isinstance(each, dict):
            for key in TIMED:
                if each.get(key):
                    zone = each.get("timezone")
                    text = f"every {each[key]} seconds" if key == "interval" else str(each[key])
                    templated = GUESSED if "{{" in text else READ
                    yield Fact(text, templated), Fact(str(zone)) if zone else None
