"""Airflow's DAGs and tasks: which task is in which DAG, and with which options."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from ..names import FUNCTIONS, UNKNOWN, Definition, Module, Unknown, Value, meaning
from ..options import Options, called
from ..project import Project
from .sites import Site, Sites

NO_WORK = re.compile(r"(Empty|Dummy|Latest\w*)Operator$|^ExternalTaskMarker$")
ON_ASSETS = re.compile(r"Asset|Dataset")  # AssetAny, PartitionedAssetTimetable, ...
# What an installation sets for all tasks, as variables or as keys of airflow.cfg.
TASKS_OF_ALL = {
    "retries": ("AIRFLOW__CORE__DEFAULT_TASK_RETRIES", "default_task_retries"),
    "execution_timeout": ("AIRFLOW__CORE__DEFAULT_TASK_EXECUTION_TIMEOUT", "default_task_execution_timeout"),
}


@dataclass(eq=False)
class Dag:
    """A DAG and the tasks that are known to be in it. calls: the functions that it calls, wherever they are defined."""

    site: Site
    tasks: list[Task] = field(default_factory=list)
    calls: set[ast.AST] = field(default_factory=set)

    @property
    def defaults(self) -> Options:
        return self.site.options.sub("default_args")

    @property
    def name(self) -> str:
        return self.site.name("dag_id")

    @property
    def scheduled(self) -> bool:
        """Whether time starts it. A DAG without a schedule runs by hand, one on assets when they change."""
        return any(_ticks(self.site.options.values.get(key)) for key in ("schedule", "schedule_interval", "timetable"))


@dataclass(eq=False)
class Task:
    """A task, with the options it has from task groups and DAGs around it. dag: None when that cannot be told."""

    site: Site
    kind: str
    inherited: Options
    dag: Dag | None

    def lacks(self, *names: str) -> bool:
        own = self.site.options
        if self.site.inside and all(self.site.inside.lacks(name) for name in names):
            return False
        return all(self.inherited.merged(own).lacks(name) for name in names)


def kind(dotted: str) -> str:
    """dag, task, sensor, group or nothing of these."""
    parts = dotted.split(".")
    if "()" in dotted or parts[0] != "airflow":
        return ""
    last = parts[-1]
    if last in ("DAG", "dag"):
        return "dag"
    if last in ("TaskGroup", "task_group"):
        return "group"
    if "task" in parts[1:]:
        after = parts[parts.index("task", 1) + 1 :]
        return "sensor" if after == ["sensor"] else "task"
    if last in ("sensor_task", "BaseSensorOperator") or last.endswith(("Sensor", "SensorAsync")):
        return "sensor"
    if last.endswith("Operator"):
        return "none" if NO_WORK.search(last) else "task"
    return ""


def dags_and_tasks(sites: Sites) -> tuple[list[Dag], list[Task]]:
    """All of a project, each task joined to the DAG it is in."""
    own = [(site, kind(site.dotted)) for site in sites.of("airflow")]
    dags = {site.node: Dag(site) for site, what in own if what == "dag" and _is_made(site)}
    groups = {site.node: site for site, what in own if what == "group"}
    installation = _installation(sites.project)
    callers = _Callers(dags)
    tasks = [
        _task(site, what, dags, groups, callers, installation)
        for site, what in own
        if what in ("task", "sensor") and _is_task(site)
    ]
    return list(dags.values()), tasks


def _installation(project: Project) -> Options:
    """Options that the installation's configuration gives every task."""
    given = {option: UNKNOWN for option, names in TASKS_OF_ALL.items() if project.sets_variable(*names)}
    return Options(dict(given))


def _is_made(site: Site) -> bool:
    return site.last == "DAG" or site.function is not None or site.through is not None


def _is_task(site: Site) -> bool:
    return site.function is not None or site.last[:1].isupper()


def _ticks(value: Value | Unknown | None) -> bool:
    if value is None or isinstance(value, Unknown):
        return False
    node, scope = value.node, value.scope
    found = meaning(node, scope)
    if isinstance(found, Value):
        node, scope = found.node, found.scope
    elif not isinstance(node, ast.Constant):
        return False  # a parameter, or something imported from elsewhere: it may be no schedule at all
    if isinstance(node, ast.Constant):
        return node.value not in (None, "@once")
    if isinstance(node, ast.List | ast.Tuple | ast.BinOp | ast.IfExp):
        return False
    if isinstance(node, ast.Call):
        what = called(node.func, scope)
        made = what.dotted.rpartition(".")[2] if what else ""
        return made[:1].isupper() and not ON_ASSETS.search(made)  # a timetable; what a function returns may be anything
    return False


class _Callers:
    """The DAGs that call a task which is defined outside of them."""

    def __init__(self, dags: dict[ast.expr, Dag]) -> None:
        self.by_function: dict[ast.AST, list[tuple[Dag, ast.expr]]] = {}
        for dag in dags.values():
            for body, module in bodies(dag):
                for node in body:
                    for each in ast.walk(node):
                        if isinstance(each, ast.Call):
                            self._note(each, module, dag)

    def _note(self, call: ast.Call, module: Module, dag: Dag) -> None:
        target, changed = call.func, False
        while isinstance(target, ast.Call | ast.Attribute):
            if isinstance(target, ast.Attribute) and target.attr in ("override", "partial"):
                changed = True
            found = meaning(target, module.scope_of(call)) if isinstance(target, ast.Attribute) else None
            if isinstance(found, Definition):
                break
            target = target.func if isinstance(target, ast.Call) else target.value
        found = meaning(target, module.scope_of(call))
        if isinstance(found, Definition):
            dag.calls.add(found.node)
            self.by_function.setdefault(found.node, []).append((dag, call if changed else target))

    def of(self, function: Definition | None) -> list[tuple[Dag, ast.expr]]:
        return self.by_function.get(function.node, []) if function else []


def bodies(dag: Dag) -> Iterator[tuple[list[ast.stmt], Module]]:
    """The statements of a DAG: of the function that makes it, or below its `with`."""
    site = dag.site
    if site.function:
        yield site.function.node.body, site.function.module
    parent = site.module.parents.get(site.node)
    if isinstance(parent, ast.withitem):
        yield site.module.parents[parent].body, site.module


def _task(
    site: Site,
    what: str,
    dags: dict[ast.expr, Dag],
    groups: dict[ast.expr, Site],
    callers: _Callers,
    installation: Options,
) -> Task:
    around = _around(site, dags, groups)
    dag_option = site.options.values.get("dag")
    dag = next((each for each in around if isinstance(each, Dag)), None)
    if dag is None and isinstance(dag_option, Value):
        dag = _dag_named(dag_option, dags)
    elsewhere = [] if dag else callers.of(site.function)
    inherited = Options(unknown=dag is None)
    if dag:
        inherited = dag.defaults
    elif elsewhere:
        # It must be right in each of the DAGs that call it: take the one that gives it least.
        dag = min((each for each, _ in elsewhere), key=lambda each: (each.defaults.open, len(each.defaults.values)))
        inherited = dag.defaults
        if any(isinstance(call, ast.Call) for _, call in elsewhere):
            inherited = Options(unknown=True)
    for group in reversed([each for each in around if isinstance(each, Site)]):
        inherited = inherited.merged(group.options.sub("default_args"))
    task = Task(site, what, installation.merged(inherited), dag)
    if dag:
        dag.tasks.append(task)
    return task


def _around(site: Site, dags: dict[ast.expr, Dag], groups: dict[ast.expr, Site]) -> list[Dag | Site]:
    """DAGs and task groups around a site, the nearest first."""
    found: list[Dag | Site] = []
    start = site.function.node if site.function and site.node in site.function.node.decorator_list else site.node
    for node in site.module.around(start):
        places: list[ast.expr] = []
        if isinstance(node, ast.With | ast.AsyncWith):
            places = [item.context_expr for item in reversed(node.items)]
        elif isinstance(node, FUNCTIONS):
            places = list(node.decorator_list)
            places += [
                each.site.node for each in dags.values() if each.site.function and each.site.function.node is node
            ]
        for place in places:
            if place in dags or place in groups:
                found.append(dags.get(place) or groups[place])
            elif isinstance(place, ast.Name):
                named = meaning(place, site.module.scope_of(node))
                if isinstance(named, Value) and (named.node in dags or named.node in groups):
                    found.append(dags.get(named.node) or groups[named.node])
    return found


def _dag_named(value: Value, dags: dict[ast.expr, Dag]) -> Dag | None:
    found = meaning(value.node, value.scope)
    return dags.get(found.node) if isinstance(found, Value) else None
