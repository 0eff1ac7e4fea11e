"""Airflow's DAGs and tasks: which task is in which DAG, and with which options."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ..names import DEEPEST, FUNCTIONS, UNKNOWN, Definition, Module, Parameter, Unknown, Value, meaning
from ..options import Options, called
from .sites import Site, Sites

NO_WORK = re.compile(r"(Empty|Dummy|Latest\w*)Operator$|^ExternalTaskMarker$")
ON_ASSETS = re.compile(r"Asset|Dataset")  # AssetAny, PartitionedAssetTimetable, ...
OF_ALL_TASKS = ("retries", "execution_timeout", "deferrable")  # options that an installation may set for every task
POLICY_FILE = "airflow_local_settings.py"  # where an installation changes tasks as they are read


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
        if self.site.inside and all(self.site.inside.lacks(name) for name in names):
            return False
        return all(self.options.lacks(name) for name in names)

    @property
    def options(self) -> Options:
        """Its own and those it inherits. A group of another package hands its defaults on to the tasks it makes."""
        own = self.site.options
        if makes_many(self.site):
            own = own.sub("default_args").merged(own.sub("operator_args"))
        return self.inherited.merged(own)


def makes_many(site: Site) -> bool:
    """Whether it is a group or DAG of another package, which makes the tasks that nobody sees here."""
    return site.foreign and site.last.endswith(("TaskGroup", "Dag", "DAG"))


def kind(site: Site) -> str:
    """dag, task, sensor, group or nothing of these."""
    parts = site.dotted.split(".")
    last = parts[-1]
    if "()" in site.dotted:
        return ""
    if site.foreign:
        if last.endswith(("Dag", "DAG")):
            return "dag"
        return "sensor" if last.endswith(("Sensor", "SensorAsync")) else "task"
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


def dags_and_tasks(
    sites: Sites, kinds: tuple[str, ...] = ("task", "sensor"), more: Sequence[tuple[Site, str]] = ()
) -> tuple[list[Dag], list[Task]]:
    """All of a project, each task joined to the DAG it is in.

    kinds: of tasks to take; "none" are those that do no work. more: tasks that only their names give away, by kind.
    """
    own = [*((site, kind(site)) for site in sites.of("airflow")), *more]
    dags = {site.node: Dag(site) for site, what in own if what == "dag" and _is_made(site)}
    groups = {site.node: site for site, what in own if what == "group"}
    installation = _installation(sites)
    callers = _Callers(dags, sites.modules_of("airflow"))
    tasks = [
        _task(site, what, dags, groups, callers, installation) for site, what in own if what in kinds and _is_task(site)
    ]
    for site, what in own:
        if what == "dag" and site.foreign:  # the tasks inside of it, as one
            task = Task(site, "task", installation, dags[site.node])
            dags[site.node].tasks.append(task)
            tasks.append(task)
    return list(dags.values()), tasks


def _installation(sites: Sites) -> Options:
    """Options that every task has from the installation's configuration, or from a policy of its."""
    given = {option for option in OF_ALL_TASKS if sites.engines.sets("airflow", option)}
    for path in sites.project.matching(POLICY_FILE, f"*/{POLICY_FILE}"):
        module = sites.project.module(path)
        for each in module.definitions if module else ():
            if isinstance(each, FUNCTIONS) and each.name in ("task_policy", "task_instance_mutation_hook"):
                given |= {
                    node.attr
                    for node in ast.walk(each)
                    if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
                }
    return Options(dict.fromkeys(given, UNKNOWN))


def _is_made(site: Site) -> bool:
    return site.last == "DAG" or site.foreign or site.function is not None or site.through is not None


def _is_task(site: Site) -> bool:
    return (site.function is not None or site.last[:1].isupper()) and not _is_executed(site)


def _is_executed(site: Site) -> bool:
    """Whether code runs an operator itself, as callbacks do: it is no task of a DAG then."""
    parents = site.module.parents
    above = parents.get(site.node)
    if isinstance(above, ast.Attribute):
        return above.attr == "execute"
    name = above.targets[0] if isinstance(above, ast.Assign) else None
    function = next((each for each in site.module.around(site.node) if isinstance(each, FUNCTIONS)), None)
    return isinstance(name, ast.Name) and any(
        isinstance(each, ast.Attribute) and each.attr == "execute" and getattr(each.value, "id", "") == name.id
        for each in (ast.walk(function) if function else ())
    )


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
    """The DAGs that call a function which is defined outside of them, directly or through other functions."""

    def __init__(self, dags: dict[ast.expr, Dag], modules: list[Module]) -> None:
        self.dags = dags
        self.by_function: dict[ast.AST, list[tuple[Dag, ast.expr]]] = {}
        for dag in dags.values():
            for body, module in bodies(dag):
                self._follow(body, module, dag, 0)
        if dags:
            for module in modules:
                for call in module.calls:
                    self._handed_a_dag(call, module)

    def _follow(self, body: list[ast.stmt], module: Module, dag: Dag, depth: int) -> None:
        for node in body:
            for each in ast.walk(node):
                if isinstance(each, ast.Call):
                    self._note(each, module, dag, depth)

    def _handed_a_dag(self, call: ast.Call, module: Module) -> None:
        """``make_tasks(dag)`` and ``make_tasks(dag=dag)``, below a DAG that is no context."""
        for argument in (*call.args, *(each.value for each in call.keywords)):
            if isinstance(argument, ast.Name):
                found = meaning(argument, module.scope_of(call))
                if isinstance(found, Value) and found.node in self.dags:
                    self._note(call, module, self.dags[found.node], 0)

    def _note(self, call: ast.Call, module: Module, dag: Dag, depth: int) -> None:
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
            known = found.node in dag.calls
            dag.calls.add(found.node)
            self.by_function.setdefault(found.node, []).append((dag, call if changed else target))
            if not known and depth < DEEPEST and isinstance(found.node, FUNCTIONS) and not found.node.decorator_list:
                self._follow(found.node.body, found.module, dag, depth + 1)

    def of(self, function: ast.AST | None) -> list[tuple[Dag, ast.expr]]:
        return self.by_function.get(function, []) if function else []


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
        found = meaning(dag_option.node, dag_option.scope)
        if dag is None and isinstance(found, Parameter):
            dag_option = None  # of a helper, which is handed the DAG
    elsewhere = [] if dag else callers.of(site.function.node if site.function else None)
    if not dag and not elsewhere and not isinstance(dag_option, Value):
        # A helper makes it: in whichever DAG calls the helper.
        maker = next((each for each in site.module.around(site.node) if isinstance(each, FUNCTIONS)), None)
        elsewhere = callers.of(maker)
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
