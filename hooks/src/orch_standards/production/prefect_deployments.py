"""Prefect's deployments: in prefect.yaml, and by `.deploy`, `.serve` and `.to_deployment` in code."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import yaml

from ..names import Definition, External, Module, meaning
from ..options import keywords
from ..project import Project
from ..report import Report
from .prefect_calls import Calls, receiver, underlying
from .sites import Site, Sites

METHODS = ("serve", "deploy", "to_deployment")


def check(sites: Sites, flows: list[Site], calls: Calls) -> Iterator[Report]:
    deployed: set[str] = set()
    for path, line, each in _in_files(sites.project):
        entrypoint = str(each.get("entrypoint") or "")
        name = str(each.get("name") or entrypoint)
        deployed.add(entrypoint.rpartition(":")[2].rpartition(".")[2])
        if not (each.get("work_pool") or {}).get("name"):
            yield Report("prefect-no-work-pool", path, line, name)
        flow = next((site for site in flows if _stands_for(site, entrypoint)), None)
        if not each.get("concurrency_limit") and not (flow and calls.takes_turns(flow)):
            yield Report("prefect-unbounded-concurrency", path, line, name)
    for module in sites.modules:
        for call in module.calls:
            method, flow = _deploys(call, module, calls)
            if method:
                deployed |= _names_within(call) | ({flow.function.node.name} if flow else set())
                yield from _in_code(call, module, method, flow, calls)
    handed_on = calls.handed_on()
    for site in flows:
        named = deployed & {site.function.node.name, _variable(site)}
        if not named and not calls.of(site) and site.function.node not in handed_on and not site.through:
            yield Report("prefect-no-deployment", site.path, site.line, site.name("name"))


def _in_files(project: Project) -> Iterator[tuple[str, int, dict]]:
    """Each deployment of a prefect.yaml, with its line."""
    for path in project.matching("prefect.yaml", "*/prefect.yaml"):
        content, node = project.yaml(path), project.yaml_node(path)
        lines = [item.start_mark.line + 1 for item in _items(node, "deployments")]
        deployments = (content.get("deployments") or []) if isinstance(content, dict) else []
        for line, each in zip(lines, deployments, strict=False):
            # Without either it is nothing yet, as `prefect init` writes it.
            if isinstance(each, dict) and (each.get("name") or each.get("entrypoint")):
                yield path, line, each


def _items(node: yaml.Node | None, key: str) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            if name.value == key and isinstance(value, yaml.SequenceNode):
                return value.value
    return []


def _deploys(call: ast.Call, module: Module, calls: Calls) -> tuple[str, Site | None]:
    """How a call deploys, and the flow if it is one of this project; no method when it deploys nothing."""
    found, method = receiver(call, module)
    if method in METHODS:
        function = underlying(found)
        if isinstance(function, Definition):
            return (method, calls.flows[function.node]) if function.node in calls.flows else ("", None)
        if isinstance(function, External) and function.package == "prefect":
            return method, None  # a flow of a repository that is not here
    together = meaning(call.func, module.scope_of(call))
    if isinstance(together, External) and together.package == "prefect" and together.last in METHODS[:2]:
        return f"{together.last} together", None
    return "", None


def _in_code(call: ast.Call, module: Module, method: str, flow: Site | None, calls: Calls) -> Iterator[Report]:
    options = keywords(call, module.scope_of(call))
    name = flow.name("name") if flow else method.partition(" ")[0]
    pinned = not method.startswith("serve") and (method == "to_deployment" or not options.lacks("work_pool_name"))
    if not pinned:
        yield Report("prefect-no-work-pool", module.path, call.lineno, name)
    limited = not options.lacks("concurrency_limit") or (flow is not None and calls.takes_turns(flow))
    if method in ("deploy", "to_deployment") and flow and not limited:
        yield Report("prefect-unbounded-concurrency", module.path, call.lineno, name)


def _stands_for(site: Site, entrypoint: str) -> bool:
    place, _, name = entrypoint.rpartition(":")
    mine = {site.function.node.name, _variable(site)}
    return bool(place) and name in mine and site.path.endswith(place.removeprefix("./"))


def _variable(site: Site) -> str:
    """The name that a flow is kept under when it is made by a call."""
    parent = site.module.parents.get(site.node)
    target = parent.targets[0] if isinstance(parent, ast.Assign) else None
    return target.id if isinstance(target, ast.Name) else ""


def _names_within(call: ast.Call) -> set[str]:
    """Names that may be of flows: those in a call, and the ends of entrypoints such as ``flows/a.py:flow``."""
    names = set()
    for each in ast.walk(call):
        if isinstance(each, ast.Name):
            names.add(each.id)
        elif isinstance(each, ast.Attribute):
            names.add(each.attr)
        elif isinstance(each, ast.Constant) and isinstance(each.value, str) and ":" in each.value:
            names.add(each.value.rpartition(":")[2])
    return names
