"""A flow of Prefect drafted from a graph: business functions in one file, the flow in another, and a report."""

from __future__ import annotations

import ast
import textwrap

from .graph import Argument, Graph, Ref, Task
from .writer import CHOICES, Draft, Writer, error


def drafted(graph: Graph, stem: str) -> Draft:
    """The draft of a DAG. Raises RefusalError. stem: the name of the DAG's file, for what is said in the draft."""
    return _Prefect(graph, stem).draft()


class _Prefect(Writer):
    ending = "flow"
    taken = ("day", "params", "steps", "task", "flow", "unmapped", "allow_failure", "flow_run", "Cron", "Interval")
    rows = ("prefect", "prefect_dag")

    def definitions(self) -> str:
        tasks = self.graph.in_order()
        names = {"flow", "task"}
        made, body = [], []
        used = {name for task in tasks for name in (*task.inputs(), *task.after)}
        for each in tasks:
            made.append(self._task(each))
            line = self._call(each)
            names |= {word for word in ("allow_failure", "unmapped") if f"{word}(" in line}
            body.append(line)
        leaves = ", ".join(f"{each.name}_result" for each in tasks if each.name not in used)
        dag = self.graph.dag
        given = {"name": repr(dag.name("dag_id"))} | self._options(
            dag.options.values, self.rows[1], dag.line, "the DAG"
        )
        options = ", ".join(f"{key}={value}" for key, value in given.items())
        schedule, imported = self._schedule()
        parameters = self._params()
        head = [
            f'"""The flow {self.name}, drafted from {self.stem}.py."""',
            "from __future__ import annotations",
            "\n".join(
                [
                    f"import {self.steps_file} as steps",
                    f"from prefect import {', '.join(sorted(names))}",
                    "from prefect.runtime import flow_run",
                    *([f"from prefect.schedules import {imported}"] if imported else []),
                ]
            ),
            "\n".join(made),
        ]
        function = self._variable(self.name)
        function = f"{function}_flow" if self.name in self.graph.tasks else function
        for line in self.graph.groups:
            self.note(line, "task group", "mechanical", "its tasks, without the group's name before theirs")
        arguments = ", ".join(["day: str | None = None", "params: dict | None = None", *self._arguments()])
        lines = [
            f"@flow({options})",
            f"def {function}({arguments}):",
            f'    """{self._described()}"""',
            "    day = day or flow_run.scheduled_start_time.date().isoformat()",
            f"    params = {parameters} | (params or {{}})",
            *(textwrap.indent(line, "    ") for line in body),
            "    # A flow that returns nothing is completed whatever its tasks did.",
            f"    return [{leaves}]",
        ]
        tail = f'if __name__ == "__main__":\n    {function}.serve(name="{self.name}"{schedule})'
        return "\n\n".join(head) + "\n\n\n" + "\n".join(lines) + "\n\n\n" + tail + "\n"

    def _arguments(self) -> list[str]:
        function = self.graph.dag.function
        if not function or not self.arguments:
            return []
        signature = function.node.args
        defaults = [*([None] * (len(signature.args) - len(signature.defaults))), *signature.defaults]
        pairs = [
            *zip(signature.args, defaults, strict=True),
            *zip(signature.kwonlyargs, signature.kw_defaults, strict=True),
        ]
        return [f"{each.arg}={ast.unparse(default) if default else 'None'}" for each, default in pairs]

    def _schedule(self) -> tuple[str, str]:
        """The argument of serve() and what it needs to be imported."""
        dag = self.graph.dag
        self.note(dag.line, "ds", "decide", "day: the day the run was due; of Airflow 2, the start of its interval")
        kind, amount = self._when()
        if kind == "interval":
            self.note(dag.line, "schedule", "mechanical", f"every {amount} seconds")
            return f", schedules=[Interval({amount}, timezone={self._zone()!r})]", "Interval"
        return (f", schedules=[Cron({amount!r}, timezone={self._zone()!r})]", "Cron") if kind else ("", "")

    def _task(self, task: Task) -> str:
        options = {"name": repr(task.name)} | self._options(self._values(task), self.rows[0], task.line, task.name)
        name = self._body(task)
        given = ", ".join(f"{key}={value}" for key, value in options.items())
        return f"{self._variable(task.name)} = task(steps.{name}, {given})"

    def _call(self, task: Task) -> str:
        rule = self._rule(task)
        if rule not in ("all_success", "all_done"):
            self.note(task.line, f"trigger rule {rule} of {task.name}", "decide", "look at the states in the flow")
            return error(f"{task.name} has the trigger rule {rule}: look at the states of what it waits for")
        if CHOICES.search(task.operator):
            self.note(task.line, f"{task.operator} {task.name}", "decide", "a plain if in the flow")
            return error(f"{task.name} chooses what runs: write if here, around the tasks below")
        loose = rule == "all_done"
        if loose:
            self.note(
                task.line,
                f"trigger rule all_done of {task.name}",
                "mechanical",
                "allow_failure: a failed input arrives as its exception, not as None",
            )
        arguments = [self._argument(each, task, loose) for each in task.given]
        named = {key: self._argument(each, task, loose) for key, each in task.named.items()}
        named |= {key: value for key, value in self._context(task).items() if key not in named and key not in task.over}
        method = "map" if task.over else "submit"
        if task.over:
            self.note(task.line, f"expand of {task.name}", "mechanical", "map()")
            arguments = [f"unmapped({each})" for each in arguments]
            named = {key: f"unmapped({value})" for key, value in named.items()}
            for key, each in task.over.items():
                mapped = isinstance(each, Ref) and not self.graph.tasks[each.task].over
                named[key] = self._argument(each, task, loose) + (".result()" if mapped else "")
        after = sorted(task.after - task.inputs())
        if after:
            waits = ", ".join(f"allow_failure({name}_result)" if loose else f"{name}_result" for name in after)
            named["wait_for"] = f"[{waits}]"
            self.note(task.line, f">> to {task.name}", "mechanical", "wait_for")
        arguments += [f"{key}={value}" for key, value in named.items()]
        return f"{task.name}_result = {self._variable(task.name)}.{method}({', '.join(arguments)})"

    def _argument(self, argument: Argument, task: Task, loose: bool) -> str:
        if isinstance(argument, list):
            return f"[{', '.join(self._argument(each, task, loose) for each in argument)}]"
        if isinstance(argument, Ref):
            return f"allow_failure({argument.task}_result)" if loose else f"{argument.task}_result"
        return self._code(argument.text, task.line)
