"""Prefect: flows and tasks, and the deployments in prefect.yaml or in code."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import yaml

from ..names import FUNCTIONS, UNKNOWN, Definition, External, Module, meaning
from ..options import Options, keywords
from ..project import Project
from ..report import Report
from .sites import Site, Sites

CONCURRENCY = ("concurrency", "rate_limit", "slot")
DEEPEST = 5  # flows within flows


def check(sites: Sites) -> Iterator[Report]:
    own = sites.of("prefect")
    flows = [site for site in own if site.last == "flow" and site.function]
    tasks = [site for site in own if site.last in ("task", "materialize") and site.function]
    graph = _Graph(sites, flows, tasks)
    yield from _of_flows(flows, graph)
    yield from _of_tasks(tasks, graph, _task_defaults(sites.project))
    yield from _of_deployments(sites, flows, graph)


class _Graph:
    """Who calls whom: functions by the flows and tasks that use them."""

    def __init__(self, sites: Sites, flows: list[Site], tasks: list[Site]) -> None:
        self.flows = {site.function.node: site for site in flows}
        self.tasks = {site.function.node: site for site in tasks}
        self.callers: dict[ast.AST, list[Site]] = {}
        self.used: dict[ast.AST, list[ast.AST]] = {}
        self.variants: dict[ast.AST, list[Options]] = {}
        self.mapped: set[ast.AST] = set()
        modules = dict.fromkeys([*sites.modules_of("prefect"), *sites.modules])
        for module in modules:
            for call in module.calls:
                self._note(call, module)

    def _note(self, call: ast.Call, module: Module) -> None:
        scope = module.scope_of(call)
        target, method = call.func, ""
        found = meaning(target, scope)
        if not isinstance(found, Definition) and isinstance(target, ast.Attribute):
            method, target = target.attr, target.value
            found = meaning(target, scope)
        if not isinstance(found, Definition):
            # A call of what `.with_options(...)` returned, under a name or at once.
            value = getattr(found, "node", None)
            if (
                isinstance(value, ast.Call)
                and isinstance(value.func, ast.Attribute)
                and value.func.attr == "with_options"
            ):
                found = meaning(value.func.value, getattr(found, "scope", scope))
                if isinstance(found, Definition):
                    self._called(found, call, module, direct=False)
                    if method == "map":
                        self.mapped.add(found.node)
            return
        if method == "with_options":
            self.variants.setdefault(found.node, []).append(keywords(call, scope))
            return
        if method == "map":
            self.mapped.add(found.node)
        self._called(found, call, module, direct=method in ("", "submit", "map", "delay"))

    def _called(self, found: Definition, call: ast.Call, module: Module, direct: bool) -> None:
        if direct:
            self.used.setdefault(found.node, []).append(call)
        for each in module.around(call):
            if isinstance(each, FUNCTIONS) and each in self.flows:
                self.callers.setdefault(found.node, []).append(self.flows[each])
                break
            if isinstance(each, FUNCTIONS) and each in self.tasks:
                self.callers.setdefault(found.node, []).append(self.tasks[each])
                break

    def given_by_variants(self, site: Site, name: str) -> bool:
        """Whether the option comes from ``with_options``, and no call goes around it."""
        variants = self.variants.get(site.function.node, [])
        return bool(variants) and site.function.node not in self.used and all(not each.lacks(name) for each in variants)

    def is_bounded(self, site: Site, depth: int = 0) -> bool:
        """Whether a flow ends in time by itself, or because all that call it do."""
        callers = self.callers.get(site.function.node, []) if depth < DEEPEST else []
        by_callers = bool(callers) and all(self.is_bounded(caller, depth + 1) for caller in callers)
        return by_callers or not site.options.lacks("timeout_seconds")

    def is_subflow(self, site: Site) -> bool:
        return bool(self.callers.get(site.function.node))


def _task_defaults(project: Project) -> Options:
    """Options that the project's settings give every task."""
    found: set[str] = set()
    for path in ("prefect.toml", "pyproject.toml"):
        if path in project.files:
            settings = project.toml(path)
            settings = settings.get("tool", {}).get("prefect", {}) if path == "pyproject.toml" else settings
            tasks = settings.get("tasks", {})
            found |= {"retries"} if tasks.get("default_retries") else set()
    if project.sets_variable("PREFECT_TASKS_DEFAULT_RETRIES", "PREFECT_TASK_DEFAULT_RETRIES"):
        found.add("retries")
    return Options(dict.fromkeys(found, UNKNOWN))


def _of_flows(flows: list[Site], graph: _Graph) -> Iterator[Report]:
    for site in flows:
        name = site.name("name")
        if site.lacks("name"):
            yield Report("prefect-unnamed-flow", site.path, site.line, name)
        # A flow whose tasks have time-outs is bounded by them; one that does its work itself is not.
        bounded = graph.given_by_variants(site, "timeout_seconds") or _calls_steps(site, graph)
        if site.lacks("timeout_seconds") and not bounded:
            yield Report("prefect-no-timeout", site.path, site.line, name)


def _calls_steps(site: Site, graph: _Graph) -> bool:
    """Whether a flow calls tasks or other flows, or what may be some."""
    module = site.function.module
    for each in ast.walk(site.function.node):
        if isinstance(each, ast.Call):
            target = each.func
            while isinstance(target, ast.Attribute):
                found = meaning(target, module.scope_of(each))
                if isinstance(found, Definition):
                    break
                target = target.value
            found = meaning(target, module.scope_of(each))
            if isinstance(found, Definition) and (found.node in graph.flows or found.node in graph.tasks):
                return True
            inner = getattr(found, "node", None)
            if (
                isinstance(inner, ast.Call)
                and isinstance(inner.func, ast.Attribute)
                and inner.func.attr == "with_options"
            ):
                return True
            if isinstance(found, External) and found.last == "run_deployment":
                return True
    return False


def _of_tasks(tasks: list[Site], graph: _Graph, defaults: Options) -> Iterator[Report]:
    for site in tasks:
        name = site.name("name")
        own = "retries" in site.options.values or "retries" not in defaults.values
        if own and site.lacks("retries") and not graph.given_by_variants(site, "retries"):
            yield Report("prefect-no-retries", site.path, site.line, name)
        if site.lacks("timeout_seconds") and not graph.given_by_variants(site, "timeout_seconds"):
            callers = graph.callers.get(site.function.node, [])
            if not callers or not all(graph.is_bounded(caller) for caller in callers):
                yield Report("prefect-no-timeout", site.path, site.line, name)
        if site.function.node in graph.mapped and not _is_limited(site, graph):
            yield Report("prefect-unbounded-concurrency", site.path, site.line, name)


def _is_limited(site: Site, graph: _Graph) -> bool:
    """Whether mapped runs of a task take turns: by tags, a limit taken in its body, or the size of the runner."""
    if site.options.has("tags") or _takes_a_limit(site.function):
        return True
    callers = graph.callers.get(site.function.node, [])
    return bool(callers) and all(_runner_is_bounded(caller) for caller in callers)


def _runner_is_bounded(flow: Site) -> bool:
    value = flow.options.values.get("task_runner")
    if value is None:
        return flow.options.open
    found = meaning(value.node, value.scope) if hasattr(value, "node") else None
    node = getattr(found, "node", None)
    if isinstance(node, ast.Call):
        return bool(node.args) or keywords(node, found.scope).has("max_workers", "cluster_kwargs", "address")
    return not isinstance(found, External)  # a class by itself has no bound


def _takes_a_limit(function: Definition | None) -> bool:
    if function is None:
        return False
    for each in ast.walk(function.node):
        if isinstance(each, ast.Call):
            found = meaning(each.func, function.module.scope_of(each))
            if isinstance(found, External) and found.package == "prefect" and found.last in CONCURRENCY:
                return True
    return False


# Deployments


def _of_deployments(sites: Sites, flows: list[Site], graph: _Graph) -> Iterator[Report]:
    project = sites.project
    deployed: set[str] = set()
    for path in project.matching("prefect.yaml", "*/prefect.yaml"):
        text = project.yaml(path)
        node = project.yaml_node(path)
        lines = _lines_of_items(node, "deployments")
        deployments = (text.get("deployments") or []) if isinstance(text, dict) else []
        for number, each in enumerate(deployments):
            if not isinstance(each, dict) or not (each.get("name") or each.get("entrypoint")):
                continue  # nothing yet, as `prefect init` writes it
            line = lines[number] if number < len(lines) else 1
            entrypoint = str(each.get("entrypoint") or "")
            deployed.add(entrypoint.rpartition(":")[2].rpartition(".")[2])
            name = str(each.get("name") or entrypoint)
            if not (each.get("work_pool") or {}).get("name"):
                yield Report("prefect-no-work-pool", path, line, name)
            flow = next((site for site in flows if _stands_for(site, entrypoint)), None)
            if not each.get("concurrency_limit") and not (flow and _takes_a_limit(flow.function)):
                yield Report("prefect-unbounded-concurrency", path, line, name)
    for module in sites.modules:
        for call in module.calls:
            method = call.func.attr if isinstance(call.func, ast.Attribute) else ""
            scope = module.scope_of(call)
            target = meaning(call.func.value, scope) if method else None
            name = _flow_of(target, graph)
            dotted = getattr(meaning(call.func, scope), "dotted", "")
            if name is None and dotted not in ("prefect.serve", "prefect.deploy", "prefect.flow_runs.serve"):
                continue
            if method in ("serve",) or dotted == "prefect.serve":
                deployed |= _names_within(call, name)
                yield Report("prefect-no-work-pool", module.path, call.lineno, name or "serve")
            elif method == "deploy" or dotted == "prefect.deploy":
                deployed |= _names_within(call, name)
                options = keywords(call, scope)
                if options.lacks("work_pool_name"):
                    yield Report("prefect-no-work-pool", module.path, call.lineno, name or "deploy")
                limited = not options.lacks("concurrency_limit") or _takes_a_limit(_definition(target, graph))
                if method == "deploy" and name and not limited:
                    yield Report("prefect-unbounded-concurrency", module.path, call.lineno, name)
            elif method == "to_deployment":
                deployed |= _names_within(call, name)
                if keywords(call, scope).lacks("concurrency_limit") and not _takes_a_limit(_definition(target, graph)):
                    yield Report("prefect-unbounded-concurrency", module.path, call.lineno, name or "deployment")
    for site in flows:
        if deployed & {site.function.node.name, _variable(site)} or graph.is_subflow(site) or site.through:
            continue
        if _is_test(site.path):
            continue
        yield Report("prefect-no-deployment", site.path, site.line, site.name("name"))


def _variable(site: Site) -> str:
    """The name that a flow is kept under when it is made by a call."""
    parent = site.module.parents.get(site.node)
    target = parent.targets[0] if isinstance(parent, ast.Assign) else None
    return target.id if isinstance(target, ast.Name) else ""


def _is_test(path: str) -> bool:
    return path.startswith("tests/") or "/tests/" in path


def _stands_for(site: Site, entrypoint: str) -> bool:
    place, _, name = entrypoint.rpartition(":")
    return bool(place) and site.function.node.name == name and site.path.endswith(place.removeprefix("./"))


def _definition(target: object, graph: _Graph) -> Definition | None:
    return target if isinstance(target, Definition) and target.node in graph.flows else None


def _flow_of(target: object, graph: _Graph) -> str | None:
    """Name of the flow that a method is called on, None when it is no flow."""
    if isinstance(target, Definition):
        return target.node.name if target.node in graph.flows else None
    node = getattr(target, "node", None)
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("from_source", "with_options")
    ):
        inner = meaning(node.func.value, target.scope)
        if isinstance(inner, Definition):
            return inner.node.name if inner.node in graph.flows else None
        if isinstance(inner, External) and inner.dotted.startswith("prefect."):
            return ""  # of a repository that is not here
    return None


def _names_within(call: ast.Call, name: str | None) -> set[str]:
    names = {each.id for each in ast.walk(call) if isinstance(each, ast.Name)}
    names |= {each.attr for each in ast.walk(call) if isinstance(each, ast.Attribute)}
    for each in ast.walk(call):
        if isinstance(each, ast.Constant) and isinstance(each.value, str) and ":" in each.value:
            names.add(each.value.rpartition(":")[2])
    return names | ({name} if name else set())


def _lines_of_items(node: yaml.Node | None, key: str) -> list[int]:
    """Lines of the items of a list under a key of the document, from 1."""
    if isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            if name.value == key and isinstance(value, yaml.SequenceNode):
                return [item.start_mark.line + 1 for item in value.value]
    return []
