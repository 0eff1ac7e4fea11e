"""One DAG of plain Python as a graph: its tasks, what each is called with, and what it waits for."""

from __future__ import annotations

import ast
import textwrap
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from keyword import iskeyword
from pathlib import Path
from typing import Any

from orch_standards.names import FUNCTIONS, Definition, External, Module, Value, meaning
from orch_standards.options import Options, constant, keywords, mapping
from orch_standards.production.airflow_dags import kind
from orch_standards.production.sites import Site, Sites
from orch_standards.project import Project

LOOPS = (ast.For, ast.AsyncFor, ast.While, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
OLD = ("airflow.contrib", "airflow.operators.bash_operator", "airflow.operators.python_operator")


class RefusalError(Exception):
    """The file cannot be converted; the message says which line is the reason."""


class OneFile(Project):
    """A project of this file alone: what it imports stays an import."""

    def __init__(self, path: Path) -> None:
        super().__init__(path.resolve().parent)
        self.name = path.name

    @cached_property
    def files(self) -> tuple[str, ...]:
        return (self.name,)


@dataclass(frozen=True)
class Ref:
    """The result of a task, by the task's variable."""

    task: str


@dataclass(frozen=True)
class Code:
    """An expression that stays as it is written."""

    text: str


Argument = Ref | Code | list


@dataclass(eq=False)
class Task:
    """A task of the DAG. function: its body, None for an operator that has none. given: positional arguments;
    named: keyword arguments; over: those that it is mapped over. after: tasks it waits for without their data.
    """

    name: str
    site: Site
    operator: str
    options: Options
    function: Definition | None = None
    given: list[Argument] = field(default_factory=list)
    named: dict[str, Argument] = field(default_factory=dict)
    over: dict[str, Argument] = field(default_factory=dict)
    after: set[str] = field(default_factory=set)

    @property
    def line(self) -> int:
        return self.site.line

    def inputs(self) -> set[str]:
        """Tasks whose results it takes."""
        return {name for each in (*self.given, *self.named.values(), *self.over.values()) for name in _tasks_in(each)}


def _tasks_in(argument: Argument) -> list[str]:
    if isinstance(argument, list):
        return [name for each in argument for name in _tasks_in(each)]
    return [argument.task] if isinstance(argument, Ref) else []


class Graph:
    """The DAG of a file. Raises RefusalError for what is no single DAG of plain Python."""

    def __init__(self, path: Path) -> None:
        project = OneFile(path)
        self.source = project.text(path.name)
        self.lines = self.source.splitlines()
        module = project.module(path.name)
        if module is None:
            problem = next(iter(project.problems), None)
            raise RefusalError(f"line {problem.line}: {problem.reason}" if problem else "it is no Python")
        self.module: Module = module
        self.tasks: dict[str, Task] = {}
        self.known: dict[str, Argument] = {}  # variables of the DAG
        self.groups: list[int] = []
        self.statements: list[ast.stmt] = []  # of the file, that make the DAG's tasks
        self._variables: set[str] = set()  # that they bind
        sites = Sites(project)
        self._sites = {site.node: site for site in sites.of("airflow")}
        self._tasks = {
            site.function.node: site
            for site in sites.of("airflow")
            if kind(site) in ("task", "sensor") and site.function
        }
        self.dag = self._only_dag(sites)
        self._refuse_old()
        self._read(self._body())
        if not self.tasks:
            raise RefusalError(f"line {self.dag.line}: the DAG has no task here; they are made elsewhere")

    def _only_dag(self, sites: Sites) -> Site:
        dags = [site for site in sites.of("airflow") if kind(site) == "dag"]
        if not dags:
            raise RefusalError("there is no DAG in it")
        for site in dags:
            outside = next((each for each in self.module.around(site.node) if isinstance(each, LOOPS)), None)
            if outside is not None:
                raise RefusalError(
                    f"line {site.line}: a loop makes DAGs; write the DAG of one turn out, and convert that"
                )
            function = site.function.node if site.function else None
            around = [
                each for each in self.module.around(site.node) if isinstance(each, FUNCTIONS) and each is not function
            ]
            if around or site.through:
                raise RefusalError(
                    f"line {site.line}: a function makes the DAG; write one of its DAGs out, and convert that"
                )
        if len(dags) > 1:
            lines = ", ".join(str(site.line) for site in dags)
            raise RefusalError(f"lines {lines}: there are {len(dags)} DAGs; give each a file of its own first")
        return dags[0]

    def _refuse_old(self) -> None:
        for node in self.module.imports:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            if any(name.startswith(OLD) for name in names):
                raise RefusalError(
                    f"line {node.lineno}: it is written for Airflow 1; run `ruff check --select AIR --fix` first"
                )
        for node in ast.walk(self.module.tree):
            if isinstance(node, ast.Name) and node.id in ("globals", "exec", "eval"):
                raise RefusalError(f"line {node.lineno}: {node.id}() makes names that nobody can follow")

    def _body(self) -> list[ast.stmt]:
        if self.dag.function:
            return self.dag.function.node.body
        parent = self.module.parents.get(self.dag.node)
        if isinstance(parent, ast.withitem):
            return self.module.parents[parent].body
        if isinstance(parent, ast.Assign) and parent in self.module.tree.body:
            # Tasks are handed the DAG, somewhere in the file.
            return [node for node in self.module.tree.body if node is not parent and self._concerns_tasks(node)]
        raise RefusalError(
            f"line {self.dag.line}: the DAG is neither a `with` block, a variable of the file nor a decorated function"
        )

    def _concerns_tasks(self, node: ast.stmt) -> bool:
        """Whether a statement at the top of the file makes tasks of the DAG, or says what comes after what."""
        if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            return False
        names = {each.id for each in ast.walk(node) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Load)}
        makes = any(isinstance(each, ast.Call) and self._makes(each) for each in ast.walk(node))
        concerned = makes or bool(names & self._variables)
        if concerned:
            self.statements.append(node)
            stored = (each.id for each in ast.walk(node) if isinstance(each, ast.Name))
            self._variables |= {name for name in stored if name not in names}
        return concerned

    # The statements of the DAG

    def _read(self, body: list[ast.stmt]) -> None:
        for node in body:
            if isinstance(node, FUNCTIONS) or _is_nothing(node):
                continue
            if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
                self.known[node.targets[0].id] = self._value(node.value)
            elif isinstance(node, ast.Expr):
                self._value(node.value)
            elif isinstance(node, ast.With) and all(self._is_group(item.context_expr) for item in node.items):
                self.groups.append(node.lineno)
                self._read(node.body)
            else:
                what = "a loop" if isinstance(node, LOOPS) else "a condition" if isinstance(node, ast.If) else "a form"
                raise RefusalError(f"line {node.lineno}: {what} in the DAG makes tasks; write the tasks out first")

    def _is_group(self, node: ast.expr) -> bool:
        return node in self._sites and kind(self._sites[node]) == "group"

    def _value(self, node: ast.expr) -> Argument:
        """What an expression of the DAG stands for; tasks that it makes are noted."""
        if isinstance(node, ast.Name) and node.id in self.known:
            return self.known[node.id]
        if isinstance(node, ast.List | ast.Tuple):
            found = [self._value(each) for each in node.elts]
            return found if any(_tasks_in(each) for each in found) else Code(ast.unparse(node))
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.RShift | ast.LShift):
            left, right = self._value(node.left), self._value(node.right)
            first, second = (left, right) if isinstance(node.op, ast.RShift) else (right, left)
            self._order(first, second)
            return right
        if isinstance(node, ast.Attribute) and node.attr == "output":
            return self._value(node.value)
        if isinstance(node, ast.Call):
            made = self._call(node)
            if made is not None:
                return made
        inner = [
            each for each in ast.walk(node) if isinstance(each, ast.Name) and _tasks_in(self.known.get(each.id, []))
        ]
        inner += [
            each for each in ast.walk(node) if isinstance(each, ast.Call) and each is not node and self._makes(each)
        ]
        if inner:
            raise RefusalError(f"line {node.lineno}: `{_short(node)}` uses a task in a way that has no plain meaning")
        return Code(ast.unparse(node))

    def _makes(self, call: ast.Call) -> bool:
        found = meaning(call.func, self.module.scope_of(call))
        is_task = isinstance(found, Definition) and found.node in self._tasks
        return is_task or (call in self._sites and kind(self._sites[call]) in ("task", "sensor", "none"))

    def _order(self, first: Argument, second: Argument) -> None:
        for name in _tasks_in(second):
            self.tasks[name].after |= set(_tasks_in(first))

    def _call(self, node: ast.Call) -> Argument | None:
        scope = self.module.scope_of(node)
        if isinstance(node.func, ast.Attribute) and node.func.attr in ("set_downstream", "set_upstream"):
            one, other = self._value(node.func.value), self._value(node.args[0])
            self._order(*((one, other) if node.func.attr == "set_downstream" else (other, one)))
            return one
        found = meaning(node.func, scope)
        if isinstance(found, External) and found.package == "airflow" and found.last == "chain":
            values = [self._value(each) for each in node.args]
            for first, second in pairwise(values):
                self._order(first, second)
            return values
        if isinstance(found, Definition) and found.node in self._tasks:
            return self._decorated(node, found, over={})
        if isinstance(node.func, ast.Attribute) and node.func.attr == "expand":
            return self._expanded(node)
        site = self._sites.get(node)
        if site and kind(site) in ("task", "sensor", "none"):
            return self._operator(node, site)
        if isinstance(node.func, ast.Attribute) and node.func.attr in ("override", "expand_kwargs", "partial", "map"):
            raise RefusalError(
                f"line {node.lineno}: {node.func.attr}() is not read yet; write the call out plainly first"
            )
        return None

    def _expanded(self, node: ast.Call) -> Argument:
        """``task.expand(x=...)`` and ``task.partial(y=...).expand(x=...)``."""
        target, fixed = node.func.value, {}
        if isinstance(target, ast.Call) and isinstance(target.func, ast.Attribute) and target.func.attr == "partial":
            fixed = {each.arg: self._value(each.value) for each in target.keywords if each.arg}
            target = target.func.value
        found = meaning(target, self.module.scope_of(node))
        if not isinstance(found, Definition) or found.node not in self._tasks:
            raise RefusalError(
                f"line {node.lineno}: expand() of an operator is not read; make a @task function of it first"
            )
        over = {each.arg: self._value(each.value) for each in node.keywords if each.arg}
        plain = ast.Call(func=target, args=[], keywords=[])
        return self._decorated(ast.copy_location(plain, node), found, over, fixed)

    def _decorated(
        self, node: ast.Call, found: Definition, over: dict[str, Argument], fixed: dict[str, Argument] | None = None
    ) -> Ref:
        site = self._tasks[found.node]
        self._refuse_closure(found)
        if any(isinstance(each, ast.Starred) for each in node.args) or any(each.arg is None for each in node.keywords):
            raise RefusalError(f"line {node.lineno}: it is called with * or **, whose values are not known")
        task = Task(self._free(found.node.name), site, _decorator(site), self._options(site), found)
        task.given = [self._value(each) for each in node.args]
        task.named = {**{each.arg: self._value(each.value) for each in node.keywords if each.arg}, **(fixed or {})}
        task.over = over
        self.tasks[task.name] = task
        return Ref(task.name)

    def _operator(self, node: ast.Call, site: Site) -> Ref:
        name = site.options.given("task_id")
        if not isinstance(name, str):
            raise RefusalError(f"line {node.lineno}: its task_id is no constant")
        task = Task(self._free(_identifier(name)), site, site.last, self._options(site))
        handed = site.options.values.get("python_callable")
        if isinstance(handed, Value):
            found = meaning(handed.node, handed.scope)
            if not isinstance(found, Definition) or not isinstance(found.node, FUNCTIONS):
                raise RefusalError(f"line {node.lineno}: its python_callable is no function of this file")
            task.function = found
            self._refuse_closure(found)
            positional = site.options.values.get("op_args")
            if isinstance(positional, Value):
                value = self._value(positional.node)
                listed = isinstance(positional.node, ast.List | ast.Tuple)
                if not listed:
                    raise RefusalError(f"line {node.lineno}: its op_args are no list that stands there")
                task.given = value if isinstance(value, list) else [self._value(e) for e in positional.node.elts]
            given = site.options.values.get("op_kwargs")
            if isinstance(given, Value):
                pairs = mapping(given.node, given.scope)
                if pairs.open:
                    raise RefusalError(f"line {node.lineno}: its op_kwargs are not all known")
                task.named = {
                    key: self._value(value.node) for key, value in pairs.values.items() if isinstance(value, Value)
                }
        self.tasks[task.name] = task
        return Ref(task.name)

    def _free(self, name: str) -> str:
        number = sum(each == name or each.startswith(f"{name}__") for each in self.tasks)
        return f"{name}__{number}" if number else name  # as Airflow numbers them

    def _options(self, site: Site) -> Options:
        """Its own options and the DAG's defaults."""
        own = site.options
        node = site.node
        if isinstance(node, ast.Call):
            own = keywords(node, site.scope) if not site.function else own
        return self.dag.options.sub("default_args").merged(own)

    def _refuse_closure(self, found: Definition) -> None:
        """A nested function that uses variables of the DAG cannot be moved out of it."""
        outer = found.module.scopes[found.node].outer
        if outer is None or outer is found.module.scope:
            return
        inner = found.module.scopes[found.node]
        for each in ast.walk(found.node):
            if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Load) and each.id not in inner.bound:
                owner = outer.owner(each.id)
                if owner is not None and owner is not found.module.scope and each.id in owner.bound:
                    if any(isinstance(bound, FUNCTIONS) for bound in owner.bound[each.id]):
                        continue  # a helper beside it moves along
                    raise RefusalError(
                        f"line {each.lineno}: {found.node.name}() uses {each.id} of the DAG; make it a parameter first"
                    )

    # Sources

    def text_of(self, node: ast.AST, decorators: bool = False) -> str:
        """The lines of a statement, with the comments right above it, at the left margin."""
        first = node.lineno
        if decorators and getattr(node, "decorator_list", None):
            first = min(each.lineno for each in node.decorator_list)
        start = min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", []))])
        above = start - 1
        while above > 0 and self.lines[above - 1].lstrip().startswith("#"):
            above -= 1
        comments = self.lines[above : start - 1]
        return textwrap.dedent("\n".join([*comments, *self.lines[first - 1 : node.end_lineno]]))

    def in_order(self) -> list[Task]:
        """The tasks, each after those that it waits for; else as they are written."""
        left, found = dict(self.tasks), []
        while left:
            ready = next((name for name, task in left.items() if not (task.after | task.inputs()) & left.keys()), None)
            if ready is None:
                raise RefusalError(f"the tasks {', '.join(sorted(left))} wait for each other")
            found.append(left.pop(ready))
        return found


def _is_nothing(node: ast.stmt) -> bool:
    return isinstance(node, ast.Pass) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))


def _short(node: ast.AST) -> str:
    return " ".join(ast.unparse(node).split())[:60]


def _decorator(site: Site) -> str:
    parts = site.dotted.split(".")
    return "@" + ".".join(parts[parts.index("task", 1) :] if "task" in parts[1:] else parts[-1:])


def _identifier(name: str) -> str:
    plain = "".join(each if each.isalnum() else "_" for each in name)
    return plain if plain[:1].isalpha() and not iskeyword(plain) else f"task_{plain}"


def plain(options: Options, name: str) -> Any:
    """The constant of an option."""
    value = options.values.get(name)
    return constant(value) if isinstance(value, Value) else None
