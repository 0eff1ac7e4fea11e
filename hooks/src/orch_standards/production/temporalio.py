"""Temporal: the activities that workflows start, the code of workflows, and whether a test replays them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Any

from ..names import FUNCTIONS, Definition, External, Module, Value, meaning
from ..options import Options, constant, decoration, keywords
from ..project import Project, is_test
from ..report import Report
from .imports import does_io
from .sites import Site, Sites

STARTED = re.compile(r"temporalio\.workflow\.(?:execute|start)_(?P<local>local_)?activity(?:_class|_method)?")
LONG_SECONDS = 600  # from here on, a worker that is gone is noticed too late without heartbeats
DEEPEST = 2  # functions of the project that workflow code calls
# What does something else on each replay. Workflows have their own clock, random numbers and ids.
CHANGING = re.compile(
    r"time\.(?:time|time_ns|monotonic|perf_counter|sleep|localtime|gmtime)"
    r"|datetime\.(?:datetime\.(?:now|utcnow|today)|date\.today)"
    r"|random\.(?!Random$|seed$)\w+|secrets\.\w+|uuid\.uuid[147]|os\.(?:urandom|getenv|environ\.get)"
    r"|builtins\.(?:open|input)|open|input|asyncio\.(?:to_thread|wait|as_completed)|threading\.Thread"
    r"|subprocess\.\w+|socket\.\w+|numpy\.random\.\w+|concurrent\.futures\.\w+"
)
UNITS = {"days": 86400, "hours": 3600, "minutes": 60, "seconds": 1, "weeks": 604800, "milliseconds": 0.001}


def check(sites: Sites) -> Iterator[Report]:
    for site in sites.of("temporalio"):
        started = STARTED.fullmatch(site.dotted)
        if started:
            yield from _of_activities(site, bool(started["local"]))
    workflows = list(_workflows(sites))
    for module, node in workflows:
        for function in node.body:
            if isinstance(function, FUNCTIONS):
                yield from _of_workflow_code(Definition(module, function))
    if workflows and not _is_replayed(sites.project):
        module, node = workflows[0]
        yield Report.at("temporal-no-replay-test", module.path, node.decorator_list[0], node.name)


def _of_activities(site: Site, local: bool) -> Iterator[Report]:
    first = site.node.args[0] if isinstance(site.node, ast.Call) and site.node.args else None
    name = ast.unparse(first) if first is not None else "the activity"
    if site.lacks("start_to_close_timeout") and site.lacks("heartbeat_timeout"):
        yield site.report("temporal-no-timeout", name)
    elif not local and site.lacks("heartbeat_timeout") and _seconds(site.options) >= LONG_SECONDS:
        yield site.report("temporal-no-heartbeat", name)


def _seconds(options: Options) -> float:
    """The time-out of an attempt; 0 when it cannot be told."""
    value = options.values.get("start_to_close_timeout")
    if not isinstance(value, Value):
        return 0
    found = value
    if isinstance(value.node, ast.Name | ast.Attribute):
        found = meaning(value.node, value.scope)
    if not isinstance(found, Value) or not isinstance(found.node, ast.Call):
        return 0
    made = meaning(found.node.func, found.scope)
    if not isinstance(made, External) or made.dotted != "datetime.timedelta":
        return 0
    given = keywords(found.node, found.scope)
    positional = dict(zip(("days", "seconds"), found.node.args, strict=False))
    values: dict[str, Any] = {unit: constant(each, found.scope) for unit, each in positional.items()}
    values |= {unit: given.given(unit) for unit in UNITS if unit in given.values}
    return sum(UNITS[unit] * each for unit, each in values.items() if isinstance(each, int | float))


def _workflows(sites: Sites) -> Iterator[tuple[Module, ast.ClassDef]]:
    for module in sites.modules:
        for each in module.definitions:
            if isinstance(each, ast.ClassDef):
                what = [decoration(node, module.scope_of(node)) for node in each.decorator_list]
                if any(one and one.dotted == "temporalio.workflow.defn" for one in what):
                    yield module, each


def _of_workflow_code(function: Definition, depth: int = 0) -> Iterator[Report]:
    """What a method of a workflow calls, and the plain functions of the project that it calls."""
    for call in (each for each in ast.walk(function.node) if isinstance(each, ast.Call)):
        called = meaning(call.func, function.module.scope_of(call))
        if _changes(call, called, function.module):
            yield Report.at("temporal-nondeterministic", function.module.path, call, ast.unparse(call.func))
        elif depth < DEEPEST and _is_plain(called) and called.node is not function.node:
            yield from _of_workflow_code(called, depth + 1)


def _changes(call: ast.Call, called: object, module: Module) -> bool:
    """Whether a call may give something else, or do something once more, when it is repeated."""
    if isinstance(called, External):
        return bool(CHANGING.fullmatch(called.dotted)) or does_io(call, module, ("connect", "read", "run"))
    is_builtin = isinstance(call.func, ast.Name) and call.func.id in ("open", "input")
    return is_builtin and not isinstance(called, Definition)


def _is_plain(called: object) -> bool:
    """Whether it is a function of the project, and no activity."""
    return isinstance(called, Definition) and isinstance(called.node, FUNCTIONS) and not called.node.decorator_list


def _is_replayed(project: Project) -> bool:
    """Whether some test uses the replayer."""
    return any(is_test(path) and b"Replayer" in project.bytes(path) for path in project.with_suffix(".py"))
