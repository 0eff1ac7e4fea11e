"""Prefect's deployments: in files, by `.deploy`, `.serve` and the like in code, and by the command line in scripts."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from ..names import FUNCTIONS, Definition, External, Module, Parameter, Unknown, Value, meaning
from ..options import keywords
from ..project import Project, is_test
from ..report import Report
from .prefect_calls import Calls, receiver, underlying
from .sites import Site, Sites, imported_by

METHODS = ("serve", "deploy", "to_deployment")
# prefect.serve, prefect.deploy and where these come from; not the one of prefect.task_worker, which serves tasks.
TOGETHER = re.compile(r"prefect\.(?:(?:flows|runner(?:\.\w+)?|deployments(?:\.\w+)?)\.)?(?:serve|deploy)")
BUILDS = re.compile(r"prefect\.[\w.]*Deployment\.build_from_flow")
# flows/prices.py:run, wherever it is written
ENTRYPOINT = re.compile(r"(?P<place>[\w./-]+\.py):(?P<name>[A-Za-z_]\w*)")
WITHOUT_FLOWS = (".py", ".md", ".rst", ".ipynb", ".lock", ".svg", ".html", ".css", ".js", ".ts", ".csv")
COMMAND = re.compile(r"\bprefect\s+(?:deployment\s+build|deploy|flow\s+serve)\b[^\n]*?\s(?:--pool|-p)[\s=]")


# Pools that a script or Terraform gives a limit: what runs in them waits its turn.
LIMITED_POOL = re.compile(
    r"""\bprefect\s+work-pool\s+(?:set-concurrency-limit\s+["']?(?P<set>[\w.-]+)"""
    r"""|(?:create|update)\s+["']?(?P<made>[\w.-]+)[^\n]*--concurrency-limit)"""
    r"""|resource\s+"prefect_work_pool"\s+"[\w-]+"\s*\{(?=[^}]*\bconcurrency_limit\s*=)[^}]*?\bname\s*=\s*"(?P<written>[\w.-]+)\""""
)


@dataclass
class Deployed:
    """What is deployed: functions, entrypoints as (place, name), and files whose flows may all be."""

    functions: set[ast.AST] = field(default_factory=set)
    entrypoints: set[tuple[str, str]] = field(default_factory=set)
    files: set[str] = field(default_factory=set)

    def holds(self, site: Site) -> bool:
        named = any(stands_for(site, *entrypoint) for entrypoint in self.entrypoints)
        return site.function.node in self.functions or site.path in self.files or named


def check(sites: Sites, flows: list[Site], calls: Calls) -> Iterator[Report]:
    deployed = Deployed(entrypoints=_written(sites.project))
    limited_pools = _limited_pools(sites)
    pool = sites.engines.sets("prefect", "work_pool") or _pool_on_the_command_line(sites.project)
    for path, line, each in in_files(sites.project):
        entrypoint = str(each.get("entrypoint") or "")
        name = str(each.get("name") or entrypoint)
        deployed.entrypoints.add(parted(entrypoint))
        if not (each.get("work_pool") or {}).get("name") and not pool:
            yield Report("prefect-no-work-pool", path, line, name)
        flow = next((site for site in flows if stands_for(site, *parted(entrypoint))), None)
        bounded = each.get("concurrency_limit") or (each.get("work_pool") or {}).get("name") in limited_pools
        if not bounded and not (flow and calls.takes_turns(flow)):
            yield Report("prefect-unbounded-concurrency", path, line, name)
    for module in sites.modules:
        for call in module.calls:
            method, flow = deploys(call, module, calls)
            if method:
                _note(call, module, flow, sites, calls, deployed)
                yield from _in_code(call, module, method, flow, calls, pool, limited_pools)
    handed_on = calls.handed_on()
    for site in flows:
        known = deployed.holds(site) or site.function.node in handed_on or site.through
        if not known and not calls.of(site):
            yield site.report("prefect-no-deployment", site.name("name"))


# In files


def in_files(project: Project) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """Each deployment of a prefect.yaml, with its line."""
    for path in project.matching("prefect.y*ml", "*/prefect.y*ml", "prefect-*.y*ml", "*/prefect-*.y*ml"):
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


def _written(project: Project) -> set[tuple[str, str]]:
    """Entrypoints in files of any kind: deployments of older versions, Terraform, scripts, CI."""
    found: set[tuple[str, str]] = set()
    for path in project.files:
        if not path.endswith(WITHOUT_FLOWS) and not is_test(path) and b".py:" in project.bytes(path):
            found |= {(match["place"], match["name"]) for match in ENTRYPOINT.finditer(project.text(path))}
    return found


def _pool_on_the_command_line(project: Project) -> bool:
    """Whether a script deploys with `prefect deploy --pool`."""
    paths = project.matching("*.sh", "*Makefile*", "*.y*ml", "*Dockerfile*", "*.toml")
    return any(b"prefect" in project.bytes(path) and COMMAND.search(project.text(path)) for path in paths)


def _limited_pools(sites: Sites) -> set[str]:
    """Names of work pools that have a limit of their own."""
    project = sites.project
    texts = (project.text(path) for path in sites.engines.settings_files if b"prefect" in project.bytes(path))
    return {
        match["set"] or match["made"] or match["written"] for text in texts for match in LIMITED_POOL.finditer(text)
    }


# In code


def deploys(call: ast.Call, module: Module, calls: Calls) -> tuple[str, Site | None]:
    """How a call deploys, and the flow if it is one of this project; no method when it deploys nothing."""
    found, method = receiver(call, module)
    if method in METHODS:
        function = underlying(found)
        if isinstance(function, Definition):
            return (method, calls.flows[function.node]) if function.node in calls.flows else ("", None)
        if isinstance(function, External) and function.package == "prefect":
            return method, None  # a flow of a repository that is not here
        if _may_be_a_flow(call, found, module):
            return f"{method} unknown", None
    together = meaning(call.func, module.scope_of(call))
    if isinstance(together, External) and TOGETHER.fullmatch(together.dotted):
        return f"{together.last} together", None
    if isinstance(together, External) and BUILDS.fullmatch(together.dotted):
        given = keywords(call, module.scope_of(call)).values.get("flow")
        flow = meaning(given.node, given.scope) if isinstance(given, Value) else None
        return "build", calls.flows.get(flow.node) if isinstance(flow, Definition) else None
    return "", None


def _may_be_a_flow(call: ast.Call, found: object, module: Module) -> bool:
    """Whether something that has such a method may be a flow: a module that works with Prefect hands it around."""
    if not isinstance(found, Parameter | Unknown | Value):
        return False
    of_prefect = any((getattr(node, "module", None) or "").startswith("prefect") for node in module.imports)
    of_prefect |= any(alias.name.startswith("prefect") for node in module.imports for alias in node.names)
    options = {each.arg for each in call.keywords}
    return of_prefect and bool(options & {"work_pool_name", "name", "cron", "image", "concurrency_limit", None})


def _note(call: ast.Call, module: Module, flow: Site | None, sites: Sites, calls: Calls, deployed: Deployed) -> None:
    """Remember what a call deploys."""
    if flow:
        deployed.functions.add(flow.function.node)
        return
    deployed.entrypoints |= {parted(text) for text in _texts(call) if ":" in text or "." in text}
    # Entrypoints of a list that the script goes through stand elsewhere in it.
    deployed.entrypoints |= {parted(text) for text in _texts(module.tree) if ENTRYPOINT.fullmatch(text)}
    known = _functions_in(call, module)
    for function in (each for each in module.around(call) if isinstance(each, FUNCTIONS)):
        for caller, where in sites.callers.get(function, []):
            known |= _functions_in(caller, where)
    known &= calls.flows.keys()
    deployed.functions |= known
    if not known:
        deployed.files |= _files_at_hand(call, module, sites)


def _texts(node: ast.AST) -> list[str]:
    return [each.value for each in ast.walk(node) if isinstance(each, ast.Constant) and isinstance(each.value, str)]


def _functions_in(call: ast.Call, module: Module) -> set[ast.AST]:
    """Functions of the project that are named in a call."""
    scope = module.scope_of(call)
    found = set()
    for each in ast.walk(call):
        if isinstance(each, ast.Name | ast.Attribute):
            function = underlying(meaning(each, scope))
            found |= (
                {function.node} if isinstance(function, Definition) and isinstance(function.node, FUNCTIONS) else set()
            )
    return found


def _files_at_hand(call: ast.Call, module: Module, sites: Sites) -> set[str]:
    """Files whose flows a script may deploy that goes through what it finds.

    Those below a folder that it names, or else those that it imports; not every flow there is.
    """
    files = {site.path for site in sites.of("prefect") if site.last == "flow"}
    named = {
        each.value.strip("./").split("*")[0].rstrip("/")
        for each in ast.walk(module.tree)
        if isinstance(each, ast.Constant) and isinstance(each.value, str) and " " not in each.value
    } - {""}
    below = {path for path in files for name in named if f"/{name}/" in f"/{path.rpartition('/')[0]}/"}
    dotted = {
        path for path in files for name in named if "/" not in name and f"/{name.replace('.', '/')}/" in f"/{path}"
    }
    return below | dotted or (files & {*imported_by(module, late=True), module.path})


def _in_code(
    call: ast.Call,
    module: Module,
    method: str,
    flow: Site | None,
    calls: Calls,
    pool: bool,
    limited_pools: set[str],
) -> Iterator[Report]:
    options = keywords(call, module.scope_of(call))
    name = flow.name("name") if flow else method.partition(" ")[0]
    places = ("work_pool_name", "work_queue_name", "infrastructure")
    pinned = not method.startswith("serve") and (
        method.startswith("to_deployment") or not all(map(options.lacks, places))
    )
    if not pinned and not (pool and not method.startswith("serve")):
        yield Report.at("prefect-no-work-pool", module.path, call, name)
    turns = options.given("work_pool_name") in limited_pools
    limited = turns or not options.lacks("concurrency_limit") or (flow is not None and calls.takes_turns(flow))
    if method in ("deploy", "to_deployment") and flow and not limited:
        yield Report.at("prefect-unbounded-concurrency", module.path, call, name)


# Which flow an entrypoint stands for


def parted(entrypoint: str) -> tuple[str, str]:
    """File and name: of ``flows/prices.py:run``, and of ``flows.prices.run``."""
    place, colon, name = entrypoint.rpartition(":")
    if colon:
        return place, name.rpartition(".")[2]
    module, _, name = entrypoint.rpartition(".")
    return (f"{module.replace('.', '/')}.py", name) if module else ("", "")


def stands_for(site: Site, place: str, name: str) -> bool:
    mine = {site.function.node.name, _variable(site)}
    return bool(place) and name in mine and f"/{site.path}".endswith("/" + re.sub(r"^(?:\.*/)+", "", place))


def _variable(site: Site) -> str:
    """The name that a flow is kept under when it is made by a call."""
    parent = site.module.parents.get(site.node)
    target = parent.targets[0] if isinstance(parent, ast.Assign) else None
    return target.id if isinstance(target, ast.Name) else ""
