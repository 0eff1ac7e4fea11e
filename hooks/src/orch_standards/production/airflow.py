"""Airflow: what DAGs and tasks must say of themselves, with the ``default_args`` that reach them."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator

from ..names import Definition, Unknown, Value, meaning
from ..options import Options
from ..report import Report
from .airflow_dags import Dag, Task, bodies, dags_and_tasks
from .sites import Site, Sites, polls

TASKS_OF_A_DAG = ("max_active_tasks", "concurrency")
LIMITS = ("max_active_runs", *TASKS_OF_A_DAG)
TASK_LIMITS = ("pool", "max_active_tis_per_dag", "max_active_tis_per_dagrun", "task_concurrency")
RUNS_OF_ALL = ("AIRFLOW__CORE__MAX_ACTIVE_RUNS_PER_DAG", "max_active_runs_per_dag")  # of an installation
WAITS = re.compile(r"sensor|wait|gate|ready", re.IGNORECASE)


def check(sites: Sites) -> Iterator[Report]:
    dags, tasks = dags_and_tasks(sites)
    gates = {task.site.function.node for task in tasks if _is_gate(task) and task.site.function}
    limited = sites.project.sets_variable(*RUNS_OF_ALL)
    for dag in dags:
        yield from _of_dag(dag, gates, limited)
    for task in tasks:
        yield from _of_task(task)
    yield from _repeated(dags, tasks, "airflow-no-retries", _no_retries)
    yield from _repeated(dags, tasks, "airflow-no-timeout", _no_timeout)


def _of_dag(dag: Dag, gates: set[ast.AST], limited: bool) -> Iterator[Report]:
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
    waits = any(_is_gate(task) for task in dag.tasks) or bool(dag.calls & gates) or _calls_a_gate(dag)
    if dag.tasks and not site.through and not waits:
        yield Report("airflow-no-input-gate", path, line, name)


def _limited_by_tasks(dag: Dag) -> bool:
    if any(not dag.defaults.lacks(key) for key in TASK_LIMITS):
        return True
    work = [task for task in dag.tasks if task.kind == "task"]
    return bool(work) and not any(task.lacks(*TASK_LIMITS) for task in work)


def _is_gate(task: Task) -> bool:
    dotted = task.site.dotted
    return task.kind == "sensor" or dotted.rpartition(".")[2] in ("short_circuit", "ShortCircuitOperator")


def _calls_a_gate(dag: Dag) -> bool:
    """Whether the DAG calls something of another package, or a helper, whose name says that it waits."""
    for body, _ in bodies(dag):
        for node in body:
            calls = (each for each in ast.walk(node) if isinstance(each, ast.Call))
            if any(WAITS.search(ast.unparse(each.func)) for each in calls):
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


def _repeated(dags: list[Dag], tasks: list[Task], rule: str, broken: Callable[[Task], bool]) -> Iterator[Report]:
    """What all tasks of a DAG lack is one finding, at the DAG; else one at each task that lacks it."""
    told: set[Task] = set()
    for dag in dags:
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
