"""Airflow: what DAGs and tasks must say of themselves, with the ``default_args`` that reach them."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

from ..engines import engines
from ..names import FUNCTIONS, Definition, Unknown, Value, meaning
from ..options import Options
from ..report import Report
from .airflow_dags import Dag, Task, bodies, dags_and_tasks
from .sites import Site, Sites, polls
from .words import is_upkeep, waits

TASKS_OF_A_DAG = ("max_active_tasks", "concurrency")
LIMITS = ("max_active_runs", *TASKS_OF_A_DAG)
TASK_LIMITS = ("pool", "max_active_tis_per_dag", "max_active_tis_per_dagrun", "task_concurrency")


def check(sites: Sites) -> Iterator[Report]:
    dags, tasks = dags_and_tasks(sites)
    gates = {task.site.function.node for task in tasks if _is_gate(task) and task.site.function}
    for dag in dags:
        yield from _of_dag(dag, gates, sites)
    limited = sites.engines.sets("airflow", "max_active_tasks")
    for task in tasks:
        yield from _of_task(task, limited)
    yield from _repeated(dags, tasks, "airflow-no-retries", _no_retries)
    yield from _repeated(dags, tasks, "airflow-no-timeout", _no_timeout)


def _of_dag(dag: Dag, gates: set[ast.AST], sites: Sites) -> Iterator[Report]:
    site, name, of_all = dag.site, dag.name, sites.engines.sets
    if "sla_miss_callback" in site.options.values:
        yield _at_option("airflow-ignored-sla", site, site.options, "sla_miss_callback", name)
    if "sla" in dag.defaults.values:
        yield _at_option("airflow-ignored-sla", site, dag.defaults, "sla", name)
    if not dag.scheduled:
        return
    # False is what most want here, so what counts is that it is said.
    said = site.options.has("catchup") or (site.inside and not site.inside.has("catchup"))
    if not said and not of_all("airflow", "catchup"):
        yield site.report("airflow-no-catchup", name)
    if site.lacks("deadline"):
        yield site.report("airflow-no-deadline", name)
    if site.lacks(*LIMITS) and not of_all("airflow", "max_active_runs") and not _limited_by_tasks(dag):
        yield site.report("airflow-unbounded-concurrency", name)
    waited = any(_is_gate(task) for task in dag.tasks) or bool(dag.calls & gates) or _calls_a_gate(dag)
    if dag.tasks and not site.through and not waited and not _is_upkeep(dag):
        yield site.report("airflow-no-input-gate", name)


def _is_upkeep(dag: Dag) -> bool:
    """Whether a DAG looks after the platform: by its own name, or by that of all of its tasks."""
    return is_upkeep(dag.name) or all(is_upkeep(_told(task.site)) for task in dag.tasks)


def _told(site: Site) -> str:
    """The name of a task and the command it runs."""
    command = site.options.given("bash_command")
    return f"{site.name('task_id')} {command if isinstance(command, str) else ''}"


def _limited_by_tasks(dag: Dag) -> bool:
    if any(not dag.defaults.lacks(key) for key in TASK_LIMITS):
        return True
    work = [task for task in dag.tasks if task.kind == "task"]
    return bool(work) and not any(task.lacks(*TASK_LIMITS) for task in work)


def _is_gate(task: Task) -> bool:
    site = task.site
    return (
        task.kind == "sensor" or site.last in ("short_circuit", "ShortCircuitOperator") or waits(site.name("task_id"))
    )


def _calls_a_gate(dag: Dag) -> bool:
    """Whether the DAG calls something of another package, or a helper, whose name says that it waits."""
    for body, _ in bodies(dag):
        for node in body:
            calls = (each for each in ast.walk(node) if isinstance(each, ast.Call))
            if any(waits(ast.unparse(each.func)) for each in calls):
                return True
    return False


def _of_task(task: Task, limited: bool) -> Iterator[Report]:
    """limited: whether the installation bounds how many tasks of a DAG run at once."""
    site, name = task.site, task.site.name("task_id", "group_id")
    if "sla" in site.options.values:
        yield _at_option("airflow-ignored-sla", site, site.options, "sla", name)
    if _holds_slot(task):
        yield site.report("airflow-sensor-holds-slot", name)
    function = site.function or _callable(site)
    if task.kind == "task" and function:
        for path, loop in polls(function):
            yield Report.at("airflow-sensor-holds-slot", path, loop, name)
    by_dag = task.dag and not task.dag.site.lacks(*TASKS_OF_A_DAG)
    if _is_mapped(site) and task.lacks(*TASK_LIMITS) and not by_dag and not limited:
        yield site.report("airflow-unbounded-concurrency", name)


def _callable(site: Site) -> Definition | None:
    """The function that an operator runs."""
    value = site.options.values.get("python_callable")
    found = meaning(value.node, value.scope) if isinstance(value, Value) else None
    return found if isinstance(found, Definition) and isinstance(found.node, FUNCTIONS) else None


def _holds_slot(task: Task) -> bool:
    """Whether a sensor waits in its slot, or an operator waits there for the end of what it has started."""
    options, site = task.options, task.site
    if site.last.endswith("SensorAsync"):
        return False
    mode, deferrable = options.given("mode"), options.given("deferrable")
    if isinstance(mode, Unknown) or isinstance(deferrable, Unknown):
        return False
    if task.kind == "sensor":
        return mode != "reschedule" and not deferrable
    return options.given("wait_for_completion") is True and not deferrable


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
    # A sensor gives up after [sensors] default_timeout, seven days; others have limits of their own.
    return task.kind != "sensor" and task.lacks("execution_timeout", *engines()["airflow"]["time_limits"])


def _repeated(dags: list[Dag], tasks: list[Task], rule: str, broken: Callable[[Task], bool]) -> Iterator[Report]:
    """What all tasks of a DAG lack is one finding, at the DAG; else one at each task that lacks it."""
    told: set[Task] = set()
    for dag in dags:
        lacking = [task for task in dag.tasks if broken(task)]
        here = all(task.site.path == dag.site.path for task in lacking)
        if len(lacking) > 1 and len(lacking) == len(dag.tasks) and here:
            told.update(lacking)
            yield dag.site.report(rule, dag.name)
    for task in tasks:
        if task not in told and broken(task):
            yield task.site.report(rule, task.site.name("task_id", "group_id"))


def _at_option(rule: str, site: Site, options: Options, key: str, what: str) -> Report:
    """A finding where an option is given, if that is in the same file."""
    value = options.values.get(key)
    inside = isinstance(value, Value) and value.scope.module is site.module
    return Report.at(rule, site.path, value.node, what) if inside else site.report(rule, what)
