"""Airflow: DAGs and tasks, with the ``default_args`` that reach them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from ..names import FUNCTIONS, UNKNOWN, Definition, Module, Unknown, Value, meaning
from ..options import Options, called
from ..project import Project
from ..report import Report
from .sites import Site, Sites, polls

NO_WORK = re.compile(r"(Empty|Dummy|Latest\w*)Operator$|^ExternalTaskMarker$")
ON_ASSETS = re.compile(r"Asset|Dataset")  # AssetAny, PartitionedAssetTimetable, ...
TASKS_OF_A_DAG = ("max_active_tasks", "concurrency")
LIMITS = ("max_active_runs", *TASKS_OF_A_DAG)
# What an installation sets for all, as variables or as keys of airflow.cfg.
TASKS_OF_ALL = {
    "retries": ("AIRFLOW__CORE__DEFAULT_TASK_RETRIES", "default_task_retries"),
    "execution_timeout": ("AIRFLOW__CORE__DEFAULT_TASK_EXECUTION_TIMEOUT", "default_task_execution_timeout"),
}
RUNS_OF_ALL = ("AIRFLOW__CORE__MAX_ACTIVE_RUNS_PER_DAG", "max_active_runs_per_dag")
TASK_LIMITS = ("pool", "max_active_tis_per_dag", "max_active_tis_per_dagrun", "task_concurrency")


@dataclass(eq=False)
class Dag:
    """A DAG and the tasks that are known to be in it."""

    site: Site
    tasks: list[Task] = field(default_factory=list)

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


def check(sites: Sites) -> Iterator[Report]:
    own = [(site, kind(site.dotted)) for site in sites.of("airflow")]
    dags = {site.node: Dag(site) for site, what in own if what == "dag" and _is_made(site)}
    installation = _installation(sites.project)
    limited = sites.project.sets_variable(*RUNS_OF_ALL)
    groups = {site.node: site for site, what in own if what == "group"}
    callers = _Callers(dags)
    tasks = [
        _task(site, what, dags, groups, callers, installation)
        for site, what in own
        if what in ("task", "sensor") and _is_task(site)
    ]
    for dag in dags.values():
        yield from _of_dag(dag, limited)
    for task in tasks:
        yield from _of_task(task)
    yield from _repeated(dags, tasks, "airflow-no-retries", _no_retries)
    yield from _repeated(dags, tasks, "airflow-no-timeout", _no_timeout)


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
        return what is not None and not ON_ASSETS.search(what.dotted.rpartition(".")[2])
    return False


# Which DAG a task is in


class _Callers:
    """The DAGs that call a task which is defined outside of them."""

    def __init__(self, dags: dict[ast.expr, Dag]) -> None:
        self.by_function: dict[ast.AST, list[tuple[Dag, ast.expr]]] = {}
        for dag in dags.values():
            for body, module in _bodies(dag.site):
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
            self.by_function.setdefault(found.node, []).append((dag, call if changed else target))

    def of(self, function: Definition | None) -> list[tuple[Dag, ast.expr]]:
        return self.by_function.get(function.node, []) if function else []


def _bodies(site: Site) -> Iterator[tuple[list[ast.stmt], Module]]:
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


# Rules


def _of_dag(dag: Dag, limited: bool) -> Iterator[Report]:
    site, path, line, name = dag.site, dag.site.path, dag.site.line, dag.name
    if "sla_miss_callback" in site.options.values:
        yield Report("airflow-ignored-sla", path, _line_of(site, site.options, "sla_miss_callback"), name)
    if "sla" in dag.defaults.values:
        yield Report("airflow-ignored-sla", path, _line_of(site, dag.defaults, "sla"), name)
    if not dag.scheduled:
        return
    # False is what most want here, so what counts is that it is said.
    if not site.options.has("catchup") and not (site.inside and not site.inside.has("catchup")):
        yield Report("airflow-no-catchup", path, line, name)
    if site.lacks("deadline"):
        yield Report("airflow-no-deadline", path, line, name)
    if site.lacks(*LIMITS) and not limited and not _limited_by_tasks(dag):
        yield Report("airflow-unbounded-concurrency", path, line, name)
    if dag.tasks and not site.through and not any(_is_gate(task) for task in dag.tasks) and not _gate_by_call(dag):
        yield Report("airflow-no-input-gate", path, line, name)


def _limited_by_tasks(dag: Dag) -> bool:
    if any(not dag.defaults.lacks(key) for key in TASK_LIMITS):
        return True
    work = [task for task in dag.tasks if task.kind == "task"]
    return bool(work) and not any(task.lacks(*TASK_LIMITS) for task in work)


def _is_gate(task: Task) -> bool:
    dotted = task.site.dotted
    return task.kind == "sensor" or dotted.rpartition(".")[2] in ("short_circuit", "ShortCircuitOperator")


def _gate_by_call(dag: Dag) -> bool:
    """Whether the DAG calls something of the project or another package that may well be its gate."""
    words = re.compile(r"sensor|wait|gate|await|ready", re.IGNORECASE)
    for body, _ in _bodies(dag.site):
        for node in body:
            for each in ast.walk(node):
                if isinstance(each, ast.Call) and words.search(ast.unparse(each.func)):
                    return True
    return False


def _of_task(task: Task) -> Iterator[Report]:
    site, name = task.site, task.site.name("task_id")
    if "sla" in site.options.values:
        yield Report("airflow-ignored-sla", site.path, _line_of(site, site.options, "sla"), name)
    merged = task.inherited.merged(site.options)
    if task.kind == "sensor" and _holds_slot(merged, site):
        yield Report("airflow-sensor-holds-slot", site.path, site.line, name)
    if task.kind == "task" and site.function:
        for line in polls(site.function):
            yield Report("airflow-sensor-holds-slot", site.function.module.path, line, name)
    if _is_mapped(site) and task.lacks(*TASK_LIMITS) and not (task.dag and not task.dag.site.lacks(*TASKS_OF_A_DAG)):
        yield Report("airflow-unbounded-concurrency", site.path, site.line, name)


def _holds_slot(options: Options, site: Site) -> bool:
    if site.last.endswith("SensorAsync"):
        return False
    mode, deferrable = options.given("mode"), options.given("deferrable")
    if isinstance(mode, Unknown) or isinstance(deferrable, Unknown):
        return False
    return mode != "reschedule" and not deferrable


def _is_mapped(site: Site) -> bool:
    """Whether a task is expanded over a list whose length is known only in the run."""
    parent = site.module.parents.get(site.node)
    if isinstance(parent, ast.Attribute) and parent.attr in ("expand", "expand_kwargs"):
        return True
    if not site.function:
        return False
    own = site.function.node
    for call in site.module.calls:
        target = call.func
        if isinstance(target, ast.Attribute) and target.attr in ("expand", "expand_kwargs"):
            base = target.value
            while isinstance(base, ast.Call | ast.Attribute):
                base = base.func if isinstance(base, ast.Call) else base.value
            found = meaning(base, site.module.scope_of(call))
            if isinstance(found, Definition) and found.node is own:
                # With `.partial(...)` or `.override(...)` in between, limits may be given there.
                between = [each for each in ast.walk(target.value) if isinstance(each, ast.keyword)]
                return not any(each.arg in TASK_LIMITS or each.arg is None for each in between)
    return False


def _no_retries(task: Task) -> bool:
    return task.lacks("retries")


def _no_timeout(task: Task) -> bool:
    if task.dag and not task.dag.site.options.lacks("dagrun_timeout"):
        return False
    return task.lacks("execution_timeout", *(["timeout"] if task.kind == "sensor" else []))


def _repeated(dags: dict[ast.expr, Dag], tasks: list[Task], rule: str, broken) -> Iterator[Report]:
    """What all tasks of a DAG lack is one finding, at the DAG; else one at each task that lacks it."""
    told: set[Task] = set()
    for dag in dags.values():
        lacking = [task for task in dag.tasks if broken(task)]
        if len(lacking) > 1 and len(lacking) == len(dag.tasks):
            told.update(lacking)
            yield Report(rule, dag.site.path, dag.site.line, dag.name)
    for task in tasks:
        if task not in told and broken(task):
            yield Report(rule, task.site.path, task.site.line, task.site.name("task_id"))


def _line_of(site: Site, options: Options, key: str) -> int:
    value = options.values.get(key)
    inside = isinstance(value, Value) and value.scope.module is site.module
    return value.node.lineno if inside else site.line
