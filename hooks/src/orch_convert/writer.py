"""What drafts for every orchestrator share: the business functions, the report, and expressions as they are written."""

from __future__ import annotations

import ast
import copy
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import yaml
from orch_standards.names import FUNCTIONS, Definition, External, Unknown, Value, meaning
from orch_standards.options import constant

from .graph import Code, Graph, RefusalError, Task, plain

UNITS = {
    "microseconds": 1e-6,
    "milliseconds": 1e-3,
    "seconds": 1,
    "minutes": 60,
    "hours": 3600,
    "days": 86400,
    "weeks": 604800,
}
PRESETS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@quarterly": "0 0 1 */3 *",
    "@yearly": "0 0 1 1 *",
}
NEVER = (None, "@once", "@none")
# What Airflow hands to a function by name, of which Prefect has no like.
CONTEXT = (
    "ti",
    "task_instance",
    "dag_run",
    "logical_date",
    "execution_date",
    "data_interval_start",
    "dag",
    "task",
    "data_interval_end",
    "prev_ds",
    "next_ds",
    "run_id",
    "macros",
    "var",
    "conn",
    "ts",
    "ts_nodash",
    "ds_nodash",
    "task_instance_key_str",
    "triggering_asset_events",
    "prev_start_date_success",
)
TEMPLATE = re.compile(r"\{\{\s*(.*?)\s*\}\}|\{%.*?%\}", re.DOTALL)
PARAMETER = re.compile(r"params\.(\w+)|params\[[\"'](\w+)[\"']\]")
CHOICES = re.compile(r"branch|short_circuit|Branch|ShortCircuit")
FUNCTION = ("@task", "PythonOperator")
SHELL = ("BashOperator", "@task.bash")
NOTHING = re.compile(r"^(Empty|Dummy)Operator$")


@dataclass(frozen=True)
class Construct:
    """Something of the DAG. disposition: mechanical, decide or redesign. becomes: what it is in the draft, or to do."""

    line: int
    what: str
    disposition: str
    becomes: str


@dataclass(frozen=True)
class Draft:
    """Texts of the two files, by the name of the file, and one row of the report for each construct."""

    files: dict[str, str]
    constructs: list[Construct]


@cache
def table() -> dict[str, Any]:
    text = resources.files("orch_convert").joinpath("data/constructs.yml").read_text(encoding="utf-8")
    return yaml.safe_load(text)


def library(name: str) -> str:
    """What a function calls in place of an operator, sensor or hook."""
    return next(row["use"] for row in table()["libraries"] if re.search(row["match"], name))


class Writer(ABC):
    """Writes a draft. ending: of the name of the file of definitions. taken: names that this file uses itself.

    rows: of the table that its options stand in, for tasks and for the DAG.
    """

    ending = ""
    taken: tuple[str, ...] = ()
    rows = ("", "")

    @abstractmethod
    def definitions(self) -> str:
        """The text of the file that the orchestrator loads."""

    def __init__(self, graph: Graph, stem: str) -> None:
        self.graph, self.module = graph, graph.module
        name = re.sub(r"\W", "_", graph.dag.name("dag_id"))
        self.name = f"dag_{name}" if name[:1].isdigit() else name  # files and functions are named after it
        self.stem = stem
        self.steps_file, self.definitions_file = f"{self.name}_steps", f"{self.name}_{self.ending}"
        self.constructs: list[Construct] = []
        self.functions = {each.name for each in self.module.definitions if isinstance(each, FUNCTIONS)}
        self.made: list[str] = []  # functions for operators that have none
        self.imports: set[str] = set()
        signature = graph.dag.function.node.args if graph.dag.function else None
        self.arguments = (
            [each.arg for each in (*signature.posonlyargs, *signature.args, *signature.kwonlyargs)] if signature else []
        )

        self.kept = {name for node in self._moved() for name in _names_bound(node)}

    def note(self, line: int, what: str, disposition: str, becomes: str) -> None:
        self.constructs.append(Construct(line, what, disposition, becomes))

    def draft(self) -> Draft:
        definitions = self.definitions()
        steps = self._steps()
        for text in (definitions, steps):
            ast.parse(text)
        files = {f"{self.steps_file}.py": steps, f"{self.definitions_file}.py": definitions}
        return Draft(files, sorted(set(self.constructs), key=lambda row: (row.line, row.what)))

    def _steps(self) -> str:
        docstring = ast.get_docstring(self.module.tree)
        said = docstring or f"Steps of the pipeline {self.name}, without an orchestrator."
        future, imports, parts = [], [], []
        for node in self._moved():
            text = self._function(node) if isinstance(node, FUNCTIONS) else self.graph.text_of(node, decorators=True)
            if isinstance(node, ast.ImportFrom) and node.module == "__future__":
                future.append(text)
            elif isinstance(node, ast.Import | ast.ImportFrom):
                imports.append((node, text))
            else:
                parts.append((node, text))
        used = {
            each.id
            for text in (*(text for _, text in parts), *self.made)
            for each in ast.walk(ast.parse(text))
            if isinstance(each, ast.Name)
        }
        needed = [text for node, text in imports if used & {_bound(alias) for alias in node.names} or _is_star(node)]
        needed += ["import subprocess"] if "subprocess" in self.imports else []
        head = [f'"""{said}"""', "\n".join(future), "\n".join(dict.fromkeys(needed))]
        text = "\n\n".join(filter(None, head)) + "\n"
        for node, part in [*parts, *((None, part) for part in self.made)]:
            is_plain = node is not None and not isinstance(node, (*FUNCTIONS, ast.ClassDef))
            text += f"\n{part}\n" if is_plain else f"\n\n{part}\n"
        return text

    def _moved(self) -> list[ast.stmt]:
        """Statements of the file that are not the DAG's: with the functions that stand inside of it."""
        found: list[ast.stmt] = []
        defaults = self.graph.dag.options.values.get("default_args")
        used = defaults.node.id if isinstance(defaults, Value) and isinstance(defaults.node, ast.Name) else ""
        for node in self.module.tree.body:
            if self._is_dag(node):
                inside = [each for each in ast.walk(node) if isinstance(each, FUNCTIONS) and each is not node]
                nested = {inner for each in inside for inner in ast.walk(each) if inner is not each}
                found += [each for each in inside if each not in nested]
            elif isinstance(node, ast.Import | ast.ImportFrom):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
                if not any(name.partition(".")[0] == "airflow" for name in names):
                    found.append(node)
            elif (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)) or (
                isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) == used
            ):
                continue
            elif not isinstance(node, (*FUNCTIONS, ast.ClassDef)) and self._of_airflow(node):
                self.note(node.lineno, _short(node), "decide", "left out: it is made of Airflow")
            else:
                found.append(node)
        return found

    def _is_dag(self, node: ast.stmt) -> bool:
        """Whether a statement makes the DAG, or calls what makes it."""
        if (self.graph.dag.function and node is self.graph.dag.function.node) or node in self.graph.statements:
            return True
        dag = self.graph.dag.node
        if any(each is dag for each in ast.walk(node)):
            return True
        call = node.value if isinstance(node, ast.Expr | ast.Assign) else None
        if isinstance(node, ast.If):
            return all(self._is_dag(each) or "dag" in ast.unparse(each) for each in node.body)
        found = meaning(call.func, self.module.scope_of(call)) if isinstance(call, ast.Call) else None
        return (
            isinstance(found, Definition)
            and bool(self.graph.dag.function)
            and found.node is self.graph.dag.function.node
        )

    def _of_airflow(self, node: ast.AST) -> list[External]:
        """What of Airflow a statement names."""
        found = []
        for each in ast.walk(node):
            if isinstance(each, ast.Name):
                what = meaning(each, self.module.scope_of(each))
                if isinstance(what, External) and what.package == "airflow":
                    found.append(what)
        return found

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
        """A function without Airflow's decorators; one that needs Airflow raises an error that says what to use."""
        is_task = any(self._of_airflow(each) for each in node.decorator_list)
        text = self.graph.text_of(node, decorators=not is_task)
        wrong = [f"{each.last}: use {library(each.last)}" for part in node.body for each in self._of_airflow(part)]
        wrong += [f"{name} of Airflow's context: hand in what it is used for" for name in self._context_of(node)]
        inner = [each for part in node.body for each in ast.walk(part) if isinstance(each, ast.ImportFrom | ast.Import)]
        for each in inner:
            names = [alias.name for alias in each.names] if isinstance(each, ast.Import) else [each.module or ""]
            wrong += [f"{name}: use {library(ast.unparse(each))}" for name in names if name.startswith("airflow")]
        if wrong:
            what = "; ".join(dict.fromkeys(wrong))
            self.note(node.lineno, f"{node.name}() needs Airflow", "redesign", what)
            text = _raising(text, node, what)
        return text

    def _context_of(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
        """What a function takes from Airflow's context that a flow does not have."""
        signature = node.args
        given = {
            name
            for task in self.graph.tasks.values()
            if task.function and task.function.node is node
            for name in (*task.named, *task.over)
        }
        names = [each.arg for each in (*signature.args, *signature.kwonlyargs)]
        is_task = any(task.function and task.function.node is node for task in self.graph.tasks.values())
        found = [name for name in names if is_task and name in CONTEXT and name not in given]
        if signature.kwarg and is_task:
            for each in ast.walk(node):
                key = None
                if isinstance(each, ast.Subscript) and getattr(each.value, "id", "") == signature.kwarg.arg:
                    key = constant(each.slice, self.module.scope_of(each))
                elif isinstance(each, ast.Call) and isinstance(each.func, ast.Attribute) and each.args:
                    is_context = getattr(each.func.value, "id", "") == signature.kwarg.arg
                    key = constant(each.args[0], self.module.scope_of(each)) if is_context else None
                known = {*table()["context"], *given}
                if key is not None and key not in known:
                    found.append(str(key))
        return found

    def _params(self) -> str:
        value = self.graph.dag.options.values.get("params")
        if value is None:
            return "{}"
        if isinstance(value, Unknown):
            raise RefusalError(f"line {self.graph.dag.line}: its params are not known before a run")
        self.note(value.node.lineno, "params", "mechanical", "params, with the same defaults")
        return self._code(ast.unparse(_Plain(self).visit(copy.deepcopy(value.node))), value.node.lineno)

    def _options(self, values: dict[str, Any], kind: str, line: int, what: str) -> dict[str, str]:
        """Options of a flow or task, from those of a DAG or task."""
        found = {}
        for key, value in values.items():
            row = table()[kind].get(key)
            of_dag = table()[self.rows[1]]
            if row is None and kind == self.rows[0] and (key in of_dag or key in table()["nothing"]):
                continue
            if row is None and key in table()["nothing"]:
                continue
            if row is None or "to" not in row:
                if not isinstance(value, Value) or not self._is_off(value):
                    self.note(line, f"{key} of {what}", "decide", row["note"] if row else "it has no like")
                continue
            amount = self._amount(value, row.get("seconds", False))
            if amount is None:
                self.note(line, f"{key} of {what}", "decide", f"{row['to']}: its value is not known here")
                continue
            found[row["to"]] = amount
            loss = f"; {row['note']}" if "note" in row else ""
            self.note(line, f"{key} of {what}", "mechanical", f"{row['to']}={amount}{loss}")
        return found

    def _is_off(self, value: Value) -> bool:
        known = constant(value)
        return known is None or known is False

    def _amount(self, value: Any, is_time: bool) -> str | None:
        known = constant(value) if isinstance(value, Value) else None
        if isinstance(known, int | float) and not isinstance(known, bool):
            return f"{known:g}"
        if not is_time or not isinstance(value, Value):
            return None
        found = meaning(value.node, value.scope)
        node, scope = (found.node, found.scope) if isinstance(found, Value) else (value.node, value.scope)
        made = meaning(node.func, scope) if isinstance(node, ast.Call) else None
        if not isinstance(made, External) or made.last not in ("timedelta", "duration") or node.args:
            return None
        total = 0.0
        for each in node.keywords:
            number = constant(each.value, scope)
            if each.arg not in UNITS or not isinstance(number, int | float):
                return None
            total += UNITS[each.arg] * number
        return f"{total:g}"

    def _when(self) -> tuple[str, str]:
        """When it runs: cron and its fields, interval and its seconds, or nothing."""
        dag = self.graph.dag
        keys = [each for each in ("schedule", "schedule_interval", "timetable") if each in dag.options.values]
        if not keys:
            self.note(dag.line, "no schedule", "decide", "none; Airflow 2 would run it daily")
            return "", ""
        value = dag.options.values[keys[0]]
        known = constant(value) if isinstance(value, Value) else None
        if isinstance(value, Value) and not isinstance(known, Unknown) and known in NEVER:
            self.note(dag.line, keys[0], "mechanical", "no schedule")
            return "", ""
        if isinstance(known, str) and (known in PRESETS or len(known.split()) == 5):
            cron = PRESETS.get(known, known)
            self.note(dag.line, keys[0], "mechanical", f"a schedule {cron} in {self._zone()}")
            return "cron", cron
        seconds = self._amount(value, is_time=True)
        if seconds:
            return "interval", seconds
        self.note(dag.line, keys[0], "decide", "no schedule in the draft: assets and timetables have none of the kind")
        return "", ""

    def _variable(self, name: str) -> str:
        """The name of a task in the draft, where some are taken."""
        return f"{name}_task" if name in self.taken or name in self.arguments else name

    def _described(self) -> str:
        dag = self.graph.dag
        said = dag.options.given("description")
        docstring = ast.get_docstring(dag.function.node) if dag.function else None
        text = (said if isinstance(said, str) else None) or docstring or f"Drafted from {self.stem}.py."
        return text.replace("\\", "\\\\").replace('"""', "'''").replace("\n", "\n    ")

    def _rule(self, task: Task) -> str:
        """Its trigger rule."""
        given = task.options.values.get("trigger_rule")
        if isinstance(given, Value) and isinstance(given.node, ast.Attribute):
            return given.node.attr.lower()
        rule = plain(task.options, "trigger_rule")
        return str(getattr(rule, "value", rule) or "all_success")

    def _values(self, task: Task) -> dict[str, Any]:
        """Options of a task that count in the draft: those of operators that are only an error do not."""
        counts = task.function or task.operator in SHELL or NOTHING.match(task.operator)
        return task.options.values if counts else {}

    def _zone(self) -> str:
        for options in (self.graph.dag.options, self.graph.dag.options.sub("default_args")):
            start = options.values.get("start_date")
            for each in ast.walk(start.node) if isinstance(start, Value) else ():
                if isinstance(each, ast.keyword) and each.arg in ("tz", "tzinfo"):
                    node = each.value.args[0] if isinstance(each.value, ast.Call) and each.value.args else each.value
                    zone = constant(node, start.scope)
                    if isinstance(zone, str):
                        return zone
        return "UTC"

    def _function_name(self, name: str) -> str:
        """The name of a function that is written here, where the file may have one of that name."""
        return f"{name}_step" if name in self.kept else name

    def _body(self, task: Task) -> str:
        """The name of the business function of a task, made here for an operator that has none."""
        if task.function and task.operator in FUNCTION:
            self.note(task.line, f"{task.operator} {task.name}", "mechanical", "calls the function")
            return task.function.node.name
        if task.function and not CHOICES.search(task.operator):
            use = library(task.operator)
            self.note(task.line, f"{task.operator} {task.name}", "redesign", use)
            return self._stub(task, f"{task.operator} {task.name}: use {use}")
        if task.function:
            return task.function.node.name
        if NOTHING.match(task.operator):
            self.note(task.line, f"{task.operator} {task.name}", "mechanical", "does nothing")
            return self._write(task.name, "()", '"""Nothing: it only joins tasks."""')
        if task.operator in SHELL:
            return self._shell(task)
        use = library(task.operator)
        sensor = "sensor" in task.operator.lower()
        self.note(task.line, f"{task.operator} {task.name}", "redesign" if sensor else "decide", use)
        return self._stub(task, f"{task.operator} {task.name}: use {use}")

    def _stub(self, task: Task, said: str) -> str:
        given = {
            key: ast.unparse(value.node) for key, value in task.site.options.values.items() if isinstance(value, Value)
        }
        kept = [
            f"{key}={text}"
            for key, text in given.items()
            if key not in table()["nothing"] and key not in table()[self.rows[0]]
        ]
        comment = "".join(f"    # {' '.join(each.split())[:110]}\n" for each in kept)
        return self._write(task.name, "(*args, **kwargs)", f"{comment}    {error(said)}".lstrip())

    def _shell(self, task: Task) -> str:
        value = task.site.options.values.get("bash_command")
        text = plain(task.site.options, "bash_command")
        if not isinstance(value, Value) or not isinstance(text, str) or text.rstrip().endswith((".sh", ".bash")):
            self.note(task.line, f"BashOperator {task.name}", "decide", "subprocess.run with the command")
            return self._stub(task, f"BashOperator {task.name}: use subprocess.run")
        command = self._templated(ast.Constant(text), task.line, "ds")
        if command is None:
            return self._stub(task, f"BashOperator {task.name}: its template has no like; use subprocess.run")
        self.imports.add("subprocess")
        self.note(task.line, f"BashOperator {task.name}", "mechanical", "subprocess.run; its last line is no result")
        code = f'subprocess.run(["bash", "-c", {ast.unparse(command)}], check=True)'
        return self._write(task.name, "(ds, params)", code)

    def _write(self, name: str, signature: str, body: str) -> str:
        name = self._function_name(name)
        self.made.append(f"def {name}{signature}:\n    {body}")
        return name

    def _context(self, task: Task) -> dict[str, str]:
        """What the function takes of Airflow's context, or the command of its templates."""
        names = {key: row["to"] for key, row in table()["context"].items()}
        if not task.function:
            return (
                names
                if task.operator in SHELL
                and f"def {self._function_name(task.name)}(ds, params)" in "\n".join(self.made)
                else {}
            )
        signature = task.function.node.args
        taken = {each.arg for each in (*signature.posonlyargs, *signature.args, *signature.kwonlyargs)}
        if task.operator not in FUNCTION:
            return {}
        positional = [each.arg for each in (*signature.posonlyargs, *signature.args)][: len(task.given)]
        wanted = names if signature.kwarg else {key: to for key, to in names.items() if key in taken}
        return {key: to for key, to in wanted.items() if key not in positional}

    def _code(self, text: str, line: int) -> str:
        """An expression as the flow writes it: names of the file are those of the steps, templates are f-strings."""
        writer = self

        class Names(ast.NodeTransformer):
            def visit_Name(self, node: ast.Name) -> ast.AST:
                if node.id in writer.graph.known and isinstance(writer.graph.known[node.id], Code):
                    return ast.parse(writer._code(writer.graph.known[node.id].text, line), mode="eval").body
                bound = {*writer.module.scope.bound, *writer.functions}
                if node.id in bound and node.id not in writer.arguments:
                    found = meaning(node, writer.module.scope)
                    if isinstance(found, External) and found.package == "airflow":
                        raise RefusalError(f"line {line}: {node.id} of Airflow stands in what a task is given")
                    return ast.Attribute(ast.Name("steps", ast.Load()), node.id, ast.Load())
                return node

            def visit_Constant(self, node: ast.Constant) -> ast.AST:
                if isinstance(node.value, str) and TEMPLATE.search(node.value):
                    made = writer._templated(node, line, "day")
                    if made is None:
                        raise RefusalError(
                            f"line {line}: the template {node.value!r} has no like; compute it in the function"
                        )
                    return made
                return node

        return ast.unparse(ast.fix_missing_locations(Names().visit(ast.parse(text, mode="eval").body)))

    def _templated(self, node: ast.Constant, line: int, day: str) -> ast.expr | None:
        """A string with ``{{ ds }}`` and ``{{ params.x }}`` as an f-string, None for another template."""
        parts: list[ast.expr] = []
        end = 0
        for match in TEMPLATE.finditer(node.value):
            parts.append(ast.Constant(node.value[end : match.start()]))
            end = match.end()
            named = PARAMETER.fullmatch(match[1] or "")
            if match[1] == "ds":
                value: ast.expr = ast.Name(day, ast.Load())
            elif named:
                value = ast.Subscript(ast.Name("params", ast.Load()), ast.Constant(named[1] or named[2]), ast.Load())
            else:
                self.note(line, f"the template {match[0]}", "decide", "compute it in the function")
                return None
            parts.append(ast.FormattedValue(value, -1))
        if not end:
            return node
        self.note(line, "a template", "mechanical", "an f-string")
        return ast.JoinedStr([*parts, ast.Constant(node.value[end:])])


class _Plain(ast.NodeTransformer):
    """Makes of each ``Param(5, type="integer")`` of Airflow its default."""

    def __init__(self, writer: Writer) -> None:
        self.writer = writer

    def visit_Call(self, node: ast.Call) -> ast.AST:
        found = meaning(node.func, self.writer.module.scope)
        if isinstance(found, External) and found.package == "airflow" and found.last == "Param":
            default = next((each.value for each in node.keywords if each.arg == "default"), ast.Constant(None))
            return node.args[0] if node.args else default
        return node


def _names_bound(node: ast.stmt) -> set[str]:
    """The names that a statement at the top of a file binds."""
    if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
        return {node.name}
    if isinstance(node, ast.Import | ast.ImportFrom):
        return {_bound(alias) for alias in node.names}
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)}


def _bound(alias: ast.alias) -> str:
    return alias.asname or alias.name.partition(".")[0]


def _is_star(node: ast.Import | ast.ImportFrom) -> bool:
    return node.names[0].name == "*"


def error(said: str) -> str:
    """The statement by which a draft refuses to run what nobody has converted yet."""
    return f"raise NotImplementedError({said!r})"


def _short(node: ast.AST) -> str:
    return " ".join(ast.unparse(node).split())[:60]


def _raising(text: str, node: ast.FunctionDef | ast.AsyncFunctionDef, said: str) -> str:
    """The function with an error as its first statement, so that nothing of it runs by mistake."""
    lines = text.splitlines()
    after_end = len(lines) - (node.end_lineno - node.body[0].lineno) - 1
    docstring = isinstance(node.body[0], ast.Expr) and isinstance(node.body[0].value, ast.Constant)
    if docstring and len(node.body) > 1:
        after_end = len(lines) - (node.end_lineno - node.body[0].end_lineno)
    indent = " " * (node.body[0].col_offset - node.col_offset)
    return "\n".join([*lines[:after_end], f"{indent}{error(said)}", *lines[after_end:]])
