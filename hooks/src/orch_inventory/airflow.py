"""Airflow: DAGs and tasks in Python files."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from orch_standards.names import FUNCTIONS, Definition, External, Module, Unknown, Value, meaning
from orch_standards.options import constant, keywords
from orch_standards.production.airflow_dags import Dag, Task, dags_and_tasks, kind
from orch_standards.production.sites import Site
from orch_standards.project import is_test

from . import systems
from .code import Code
from .facts import GUESSED, READ, RESOLVED, WITHOUT_DAG, Fact, Link, Pipeline, Step, weakest
from .values import expressions, repeated, texts

BY_NAME = re.compile(r"(?:Operator|Sensor|SensorAsync)$")
PARTS = ("operators", "sensors", "hooks", "transfers", "triggers", "decorators", "notifications")
SETTINGS = ("retries", "execution_timeout", "pool", "trigger_rule", "deferrable", "mode")
TRIGGERS = ("trigger_dag_id", "external_dag_id")
ASSETS = re.compile(r"\.(?:Asset|Dataset|AssetAlias|DatasetAlias)$")


def read(code: Code) -> list[Pipeline]:
    """All DAGs, those of factories once for each name that is known."""
    more = list(_known_by_name(code))
    dags, tasks = dags_and_tasks(code.sites, ("task", "sensor", "none"), more)
    mapped = _mapped(code)
    kept = _without_doubles(dags)
    alone = {module for module in (dag.site.module for dag in kept) if _count(kept, module) == 1}
    found: list[Pipeline] = []
    for dag in kept:
        with code.reading(dag.site.path, dag.site.line):
            found += _of_dag(dag, dags, tasks, code, mapped, dag.site.module in alone)
    found += [_of_asset(site, code) for site in code.sites.of("airflow") if _is_asset(site)]
    placed = {id(task) for dag in kept for task in _tasks_of(dag, dags, tasks)}
    lost: dict[Module, list[Task]] = {}
    for task in tasks:
        # What a factory makes is taken where the factory is called.
        made = any(other.site.through and _inside(task.site, other.site.through.node) for other in tasks)
        if id(task) not in placed and not made and not _inside_class(task.site):
            lost.setdefault(task.site.module, []).append(task)
    found += [_without_dag(module, rest, code, mapped) for module, rest in lost.items()]
    return found


def _count(dags: list[Dag], module: Module) -> int:
    return sum(dag.site.module is module for dag in dags)


def _known_by_name(code: Code) -> Iterator[tuple[Site, str]]:
    """Calls of what can only be an operator or sensor by its name, as when its class cannot be followed."""
    known = {site.node for site in code.sites.all if kind(site)}
    for module in code.sites.modules:
        if is_test(module.path):
            continue
        for call in module.calls:
            name = _called(call.func)
            if not BY_NAME.search(name) or call in known or not any(each.arg == "task_id" for each in call.keywords):
                continue
            found = meaning(call.func, module.scope_of(call))
            dotted = found.dotted if isinstance(found, External) and found.package != "builtins" else f"unknown.{name}"
            if isinstance(found, Definition) and isinstance(found.node, FUNCTIONS):
                continue
            site = Site(module, call, dotted, keywords(call, module.scope_of(call)))
            yield site, "sensor" if "Sensor" in name else "task"


def _called(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute) and node.attr == "partial":
        node = node.value
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _without_doubles(dags: list[Dag]) -> list[Dag]:
    """A DAG of a factory either where the factory writes it, or where it is called and filled: not both."""
    by_factory: dict[ast.AST, list[Dag]] = {}
    for dag in dags:
        if dag.site.through:
            by_factory.setdefault(dag.site.through.node, []).append(dag)
    dropped: set[int] = set()
    for factory, made in by_factory.items():
        inside = [dag for dag in dags if not dag.site.through and _inside(dag.site, factory)]
        if any(dag.tasks for dag in made):
            dropped |= {id(dag) for dag in inside}
        elif inside:
            dropped |= {id(dag) for dag in made}
    return [dag for dag in dags if id(dag) not in dropped]


def _inside(site: Site, function: ast.AST) -> bool:
    return function in site.module.around(site.node)


def _inside_class(site: Site) -> bool:
    """Whether a class makes it for itself, as operators that wrap another one do."""
    return any(isinstance(each, ast.ClassDef) for each in site.module.around(site.node))


def _tasks_of(dag: Dag, dags: list[Dag], tasks: list[Task]) -> list[Task]:
    """The tasks of a DAG: also of the functions that it calls, and those that its factory has put into it."""
    found = list(dag.tasks)
    known = {id(task) for task in found}
    factory = dag.site.through.node if dag.site.through else None
    for task in tasks:
        maker = next((each for each in task.site.module.around(task.site.node) if isinstance(each, FUNCTIONS)), None)
        function = task.site.function.node if task.site.function else None
        called = maker in dag.calls or (function in dag.calls and task.site.node in function.decorator_list)
        if id(task) not in known and (called or (factory and _inside(task.site, factory))):
            found.append(task)
            known.add(id(task))
    makers = {task.site.through.node for task in found if task.site.through}
    return [task for task in found if not any(_inside(task.site, each) for each in makers)]


def _of_dag(
    dag: Dag, dags: list[Dag], tasks: list[Task], code: Code, mapped: set[ast.AST], alone: bool
) -> Iterator[Pipeline]:
    site = dag.site
    names = _names(site, code)
    _, loop = repeated(site.node, site.module, code.callers)
    own = _tasks_of(dag, dags, tasks)
    for name in names:
        pipeline = Pipeline(name, "airflow", "DAG", site.path, site.line)
        if not name.sure and loop:
            pipeline.repeated = loop
        elif not name.sure and any(isinstance(each, FUNCTIONS) for each in site.module.around(site.node)):
            pipeline.repeated = "a factory"
        _schedule(pipeline, dag, code)
        for task in own:
            pipeline.steps.append(_step(pipeline, task, code, mapped, site.node))
        _dag_features(pipeline, dag, code)
        code.touch_file(pipeline, site.module, alone)
        if site.function:
            code.follow(pipeline, site.function, READ)
        yield pipeline


def _names(site: Site, code: Code) -> list[Fact]:
    """The ids that a DAG may have."""
    callers = code.callers
    if site.through:
        factory = site.through.node

        def callers(function: ast.AST) -> list[tuple[ast.Call, Module]]:
            here = isinstance(site.node, ast.Call) and function is factory
            return [(site.node, site.module)] if here else code.callers(function)

    given = site.options.values.get("dag_id")
    if given is None and isinstance(site.node, ast.Call) and site.node.args and not site.through:
        first = site.node.args[0]
        if not isinstance(meaning(first, site.scope), Definition):
            given = Value(first, site.scope)
    if isinstance(given, Value):
        return texts(given, callers)
    if site.function:
        return [Fact(site.function.node.name, READ)]
    if site.through:
        return [Fact(f"{{{' '.join(ast.unparse(site.node).split())[:60]}}}", GUESSED)]
    parent = site.module.parents.get(site.node)
    variable = getattr(parent.targets[0], "id", "") if isinstance(parent, ast.Assign) else ""
    return [Fact(f"{{{variable or '?'}}}", GUESSED)]


def _schedule(pipeline: Pipeline, dag: Dag, code: Code) -> None:
    site = dag.site
    written = [key for key in ("schedule", "schedule_interval", "timetable") if key in site.options.values]
    given = site.options.values[written[0]] if written else None
    if given is None and site.options.open:
        pipeline.schedule = Fact("{?}", GUESSED)
    elif given is None:
        newer = code.sites.engines.has("airflow", "3.0", site.path)
        pipeline.schedule = Fact("none" if newer else "@daily, Airflow 2's default", GUESSED)
    elif not isinstance(given, Value):
        pipeline.schedule = Fact("{?}", GUESSED)
    else:
        found = expressions(given.node, given.scope, code.callers)
        names = [name for each in found for name in _assets_in(Value(each.node, each.scope), code)]
        if names:
            pipeline.schedule = Fact("assets: " + ", ".join(each.value for each in names), RESOLVED)
            pipeline.links += [Link("reads", name, site.path, site.line) for name in names]
        elif len(found) == 1 and isinstance(found[0].node, ast.Call | ast.BinOp):
            # timedelta(days=1), a timetable: as it is written
            known = isinstance(found[0].node, ast.Call)
            text = " ".join(ast.unparse(found[0].node).split())
            pipeline.schedule = Fact(text, weakest(found[0].confidence, READ if known else GUESSED))
        else:
            pipeline.schedule = code.text(given)
    for value in (site.options.values.get("start_date"), dag.defaults.values.get("start_date")):
        if isinstance(value, Value) and pipeline.zone is None:
            pipeline.zone = _zone(value, code)


def _zone(start: Value, code: Code) -> Fact | None:
    for each in expressions(start.node, start.scope, code.callers):
        for call in (part for part in ast.walk(each.node) if isinstance(part, ast.Call)):
            for option in call.keywords:
                if option.arg in ("tz", "tzinfo"):
                    value = option.value
                    if isinstance(value, ast.Call) and value.args:  # ZoneInfo("..."), pendulum.timezone("...")
                        value = value.args[0]
                    zone = constant(value, each.scope)
                    if isinstance(zone, str):
                        return Fact(zone, weakest(each.confidence, READ))
    return None


def _dag_features(pipeline: Pipeline, dag: Dag, code: Code) -> None:
    catchup = dag.site.options.given("catchup")
    if catchup is True:
        pipeline.feature("partitioned_backfills", "catchup=True")
    if pipeline.repeated or (pipeline.name.confidence == RESOLVED and dag.site.through):
        pipeline.feature("factory", pipeline.repeated or f"made by {dag.site.through.node.name}()")
    if "timetable" in (pipeline.schedule.value.lower() if pipeline.schedule else ""):
        pipeline.feature("timetable", pipeline.schedule.value)
    paused = dag.site.options.given("is_paused_upon_creation")
    if paused is True:
        pipeline.dead = Fact("paused when it is created", GUESSED)


# Tasks


def _step(pipeline: Pipeline, task: Task, code: Code, mapped: set[ast.AST], dag: ast.AST | None) -> Step:
    site = task.site
    operator, base, package, own = _operator(site)
    name = code.text(site.options.values["task_id"]) if "task_id" in site.options.values else None
    function = site.function.node if site.function else None
    number, loop = repeated(site.node, site.module, code.callers, dag)
    if site.node in mapped or function in mapped:
        number, loop = None, "expand()"
        pipeline.feature("dynamic_fan_out", f"expand() of {site.name('task_id')} ({site.path}:{site.line})")
    step = Step(name or Fact(site.name("task_id"), READ if function else GUESSED), operator, site.path, site.line)
    step.base, step.package, step.count, step.loop = base, package, number, loop
    step.kind = _kind(task, operator, base)
    step.definition = site.through.node if site.through else site.node
    step.confidence = GUESSED if site.dotted.startswith("unknown.") else RESOLVED if own or site.through else READ
    options = task.options
    step.settings = {
        key: code.text(options.values[key]) for key in SETTINGS if isinstance(options.values.get(key), Value)
    }
    _links(pipeline, site, code)
    _touches(pipeline, step, site, own, code)
    if step.kind == "sensor":
        pipeline.feature("sensors", f"{operator} ({site.path}:{site.line})", step.confidence)
    if re.search(r"Check(Operator|$)|GreatExpectations|^Soda", operator):
        pipeline.feature("quality_checks", f"{operator} ({site.path}:{site.line})", step.confidence)
    if re.search(r"^(HITL|Approval)", operator):
        pipeline.feature("human_approval", f"{operator} ({site.path}:{site.line})", step.confidence)
    rule = step.settings.get("trigger_rule")
    if rule and "all_success" not in rule.value.lower():
        pipeline.feature("trigger_rules", f"trigger_rule={rule.value}", rule.confidence)
    return step


def _operator(site: Site) -> tuple[str, str, str, Definition | None]:
    """Its name, the class it is derived from, its package, and its own class where the project has one."""
    parts = site.dotted.split(".")
    own = _own_class(site)
    if own:
        return own.node.name, parts[-1], "own", own
    if site.last[:1].isupper():
        return parts[-1], "", _package(site), None
    after = parts[parts.index("task", 1) :] if "task" in parts[1:] else parts[-1:]
    return "@" + ".".join(after), "", _package(site), None


def _own_class(site: Site) -> Definition | None:
    """The project's class that a call makes one of, also where a function of the project makes it."""
    calls = [site.node] if isinstance(site.node, ast.Call) else []
    module = site.module
    if site.through:
        module = site.through.module
        inside = (each for each in ast.walk(site.through.node) if isinstance(each, ast.Call))
        calls = [each for each in inside if any(given.arg == "task_id" for given in each.keywords)]
    for call in calls:
        node = call.func
        if isinstance(node, ast.Attribute) and node.attr == "partial":
            node = node.value
        found = meaning(node, module.scope_of(call))
        if isinstance(found, Definition) and isinstance(found.node, ast.ClassDef):
            return found
    return None


def _package(site: Site) -> str:
    parts = site.dotted.split(".")
    if parts[:2] == ["airflow", "providers"]:
        stop = next((number for number, part in enumerate(parts) if part in PARTS), 3)
        name = "-".join(parts[2:stop])
        return "core" if name == "standard" else name  # Airflow 3 keeps what was in the core there
    return ("contrib" if parts[1:2] == ["contrib"] else "core") if parts[0] == "airflow" else parts[0]


def _kind(task: Task, operator: str, base: str) -> str:
    if task.kind == "none":
        return "structure"
    names = f"{operator} {base}"
    if "TriggerDagRun" in names:
        return "trigger"
    if "SubDag" in names:
        return "subpipeline"
    if re.search(r"Branch|ShortCircuit|branch|short_circuit", names):
        return "branch"
    return task.kind


def _links(pipeline: Pipeline, site: Site, code: Code) -> None:
    for key in TRIGGERS:
        value = site.options.values.get(key)
        if isinstance(value, Value):
            what = "starts" if key == "trigger_dag_id" else "waits for"
            step = site.options.given("external_task_id")
            for fact in code.texts(value):
                pipeline.links.append(Link(what, fact, site.path, site.line, step if isinstance(step, str) else ""))
            pipeline.feature("sub_flows" if what == "starts" else "sensors", f"{site.last} ({site.path}:{site.line})")
    outlets = site.options.values.get("outlets")
    if isinstance(outlets, Value):
        for name in _assets_in(outlets, code):
            pipeline.links.append(Link("writes", name, site.path, site.line))


def _assets_in(value: Value, code: Code) -> list[Fact]:
    """Names of the assets or datasets in an expression."""
    found = []
    for each in expressions(value.node, value.scope, code.callers):
        for node in ast.walk(each.node):
            if isinstance(node, ast.Call):
                made = meaning(node.func, each.scope)
                if isinstance(made, External) and ASSETS.search(f".{made.dotted}"):
                    key = next((k.value for k in node.keywords if k.arg in ("uri", "name")), None)
                    named = node.args[0] if node.args else key
                    found += code.texts(Value(named, each.scope)) if named else []
            elif isinstance(node, ast.Name) and node is not each.node:
                inner = meaning(node, each.scope)
                if isinstance(inner, Value) and isinstance(inner.node, ast.Call):
                    found += [Fact(f.value, weakest(f.confidence, RESOLVED)) for f in _assets_in(inner, code)]
    return list(dict.fromkeys(found))


def _touches(pipeline: Pipeline, step: Step, site: Site, own: Definition | None, code: Code) -> None:
    """Systems and settings of one task."""
    named = step.operator.removeprefix("@")
    for system in systems.of_class(named):
        sure = READ if step.package != "own" and step.confidence != GUESSED else GUESSED
        pipeline.add_system(system, f"{step.operator} ({site.path}:{site.line})", sure)
    for system in systems.of_class(step.base) if step.base else ():
        pipeline.add_system(system, f"{step.operator}, a {step.base} ({site.path}:{site.line})", RESOLVED)
    system = systems.of_import(site.dotted)
    if system:
        pipeline.add_system(system, f"{step.operator} ({site.path}:{site.line})", READ)
    for key, value in site.options.values.items():
        if key.endswith("conn_id") and isinstance(value, Value):
            for fact in code.texts(value):
                pipeline.use("connection", fact)
                hint = systems.of_connection(fact.value) if fact.sure else None
                if hint:
                    pipeline.add_system(hint, f"a connection named {fact.value}", GUESSED)
        elif key in ("bash_command", "command") and not isinstance(value, Unknown):
            for fact in code.texts(value):
                code.touch_command(pipeline, fact.value, f"{site.path}:{site.line}", fact.confidence)
    code.touch_texts(pipeline, [site.node], site.path, READ)
    function = site.function
    handed = site.options.values.get("python_callable")
    if function is None and isinstance(handed, Value):
        found = meaning(handed.node, handed.scope)
        function = found if isinstance(found, Definition) and isinstance(found.node, FUNCTIONS) else None
    if function:
        code.follow(pipeline, function, READ, 0 if function.module is site.module else 1)
    if own and own.module is not site.module:
        code.touch_imports(pipeline, own.module, RESOLVED)


def _mapped(code: Code) -> set[ast.AST]:
    """Functions and calls whose tasks are expanded over a list."""
    found: set[ast.AST] = set()
    for module in code.sites.modules_of("airflow"):
        for call in module.calls:
            if isinstance(call.func, ast.Attribute) and call.func.attr in ("expand", "expand_kwargs"):
                node = call.func.value
                while isinstance(node, ast.Call):
                    found.add(node)
                    node = node.func.value if isinstance(node.func, ast.Attribute) else node.func
                target = meaning(node, module.scope_of(call))
                if isinstance(target, Definition):
                    found.add(target.node)
    return found


# What is in no DAG, or is one without saying so


def _is_asset(site: Site) -> bool:
    return site.function is not None and site.dotted.rpartition(".")[2] == "asset"


def _of_asset(site: Site, code: Code) -> Pipeline:
    """An `@asset` of Airflow 3: a DAG with one task."""
    name = site.function.node.name
    pipeline = Pipeline(Fact(name), "airflow", "DAG of an asset", site.path, site.line)
    given = site.options.values.get("schedule")
    pipeline.schedule = code.text(given) if given is not None else Fact("none", READ)
    pipeline.steps = [Step(Fact(name), "@asset", site.path, site.line, package="core", definition=site.node)]
    pipeline.links = [Link("writes", Fact(name), site.path, site.line)]
    code.follow(pipeline, site.function)
    return pipeline


def _without_dag(module: Module, tasks: list[Task], code: Code, mapped: set[ast.AST]) -> Pipeline:
    """Tasks of a file whose DAG cannot be told, so that none is lost."""
    pipeline = Pipeline(Fact(f"{{{module.path}}}", GUESSED), "airflow", WITHOUT_DAG, module.path, tasks[0].site.line)
    pipeline.steps = [_step(pipeline, task, code, mapped, None) for task in tasks]
    return pipeline
