"""Assets of Dagster drafted from a graph: business functions in one file, the assets in another, and a report."""

from __future__ import annotations

import ast
import re

from orch_standards.names import Value
from orch_standards.options import constant

from .graph import Argument, Graph, Ref, Task
from .writer import CHOICES, Draft, Writer, error

CHECKS = re.compile(r"check|valid|test|verif|assert|quality|expect", re.IGNORECASE)
UNKNOWN_START = "2026-01-01"
RETRIES = ("max_retries", "delay")


def drafted(graph: Graph, stem: str) -> Draft:
    """The draft of a DAG. Raises RefusalError. stem: the name of the DAG's file, for what is said in the draft."""
    return _Dagster(graph, stem).draft()


class _Dagster(Writer):
    ending = "assets"
    taken = ("day", "params", "steps", "dg", "days", "job", "schedule", "defs", "Params", "context", "config")
    rows = ("dagster", "dagster_dag")

    def definitions(self) -> str:
        tasks = self.graph.in_order()
        dag = self.graph.dag
        tags = self._options(dag.options.values, self.rows[1], dag.line, "the DAG")
        partitions, is_scheduled = self._partitions()
        used = {name for task in tasks for name in (*task.inputs(), *task.after)}
        assets = [self._asset(task, task.name in used) for task in tasks]
        names = ", ".join(self._variable(task.name) for task in tasks)
        tagged = ", tags={" + ", ".join(f"{key!r}: {value!r}" for key, value in tags.items()) + "}" if tags else ""
        parts = [
            f'"""{self._described()}"""',
            f"import dagster as dg\nimport {self.steps_file} as steps",
            f"days = {partitions}",
            "\n".join(["\nclass Params(dg.Config):", "    params: dict = {}", *self._arguments()]),
            *(f"\n{asset}" for asset in assets),
            f"\njob = dg.define_asset_job({self.name!r}, selection=[{names}]{tagged})",
        ]
        schedules = ""
        if is_scheduled:
            parts.append("schedule = dg.build_schedule_from_partitioned_job(job)")
            schedules = ", schedules=[schedule]"
        parts.append(f"defs = dg.Definitions(assets=[{names}], jobs=[job]{schedules})")
        return "\n\n".join(parts) + "\n"

    def _arguments(self) -> list[str]:
        """Parameters of the DAG's function, as further fields of the configuration."""
        function = self.graph.dag.function
        for name in self.arguments if function else ():
            self.note(function.node.lineno, f"parameter {name}", "decide", "a field of Params, with its type")
        return [f"    {name}: str = ''" for name in self.arguments]

    def _partitions(self) -> tuple[str, bool]:
        """The partitions, and whether a schedule runs them."""
        dag, zone = self.graph.dag, self._zone()
        self.note(dag.line, "ds", "decide", "the partition: the start of the interval, as in Airflow 2")
        kind, amount = self._when()
        start = self._start()
        if kind == "cron":
            daily = len(amount.split()[1]) < 3 and amount.split()[1].isdigit() and amount.split()[0].isdigit()
            form = "%Y-%m-%d" if daily else "%Y-%m-%d-%H:%M"
            given = f"start={start + ('' if daily else '-00:00')!r}, fmt={form!r}, cron_schedule={amount!r}"
            return f"dg.TimeWindowPartitionsDefinition({given}, timezone={zone!r})", True
        if kind == "interval":
            self.note(dag.line, "schedule", "decide", f"every {amount} seconds is no cron: choose one")
        return f"dg.DailyPartitionsDefinition(start_date={start!r}, timezone={zone!r})", False

    def _start(self) -> str:
        """The first day."""
        for options in (self.graph.dag.options, self.graph.dag.options.sub("default_args")):
            value = options.values.get("start_date")
            if isinstance(value, Value) and isinstance(value.node, ast.Call):
                numbers = [constant(each, value.scope) for each in value.node.args[:3]]
                if len(numbers) == 3 and all(isinstance(each, int) for each in numbers):
                    return "{:04d}-{:02d}-{:02d}".format(*numbers)
        self.note(self.graph.dag.line, "start_date", "decide", f"{UNKNOWN_START}: the first day is not known here")
        return UNKNOWN_START

    def _asset(self, task: Task, is_used: bool) -> str:
        """One task as an asset."""
        options = self._options(self._values(task), self.rows[0], task.line, task.name)
        retry = ", ".join(f"{key}={options[key]}" for key in RETRIES if key in options)
        after = [repr(self._variable(name)) for name in sorted(task.after - task.inputs())]
        given = ["partitions_def=days", *([f"deps=[{', '.join(after)}]"] if after else [])]
        if options.get("max_retries", "0") != "0":
            given.append(f"retry_policy=dg.RetryPolicy({retry})")
        inputs = sorted({self._variable(name) for name in task.inputs()})
        arguments = ", ".join(["context: dg.AssetExecutionContext", "config: Params", *inputs])
        body = self._body(task)
        self._propose(task, is_used)
        return "\n".join(
            [
                f"@dg.asset({', '.join(given)})",
                f"def {self._variable(task.name)}({arguments}):",
                f"    day, params = context.partition_key[:10], {self._params()} | config.params",
                *(f"    {name} = config.{name}" for name in self.arguments),
                f"    {self._run(task, body)}",
            ]
        )

    def _propose(self, task: Task, is_used: bool) -> None:
        """What a task could be instead of an asset."""
        first = next(iter(sorted(task.inputs() | task.after)), "")
        if CHECKS.search(task.name) and first:
            what = f"an asset; it may be an @asset_check of {first}" + (
                "" if not is_used else ", which then hands its data on"
            )
        else:
            what = "an asset, if it makes a table; else an @op in a @graph_asset with those around it"
        self.note(task.line, f"{task.name} as an asset", "decide", what)

    def _run(self, task: Task, body: str) -> str:
        rule = self._rule(task)
        if rule != "all_success":
            self.note(
                task.line, f"trigger rule {rule} of {task.name}", "redesign", "a failure hook, or a run failure sensor"
            )
            return error(f"{task.name} has the trigger rule {rule}: use a failure hook, or a run failure sensor")
        if CHOICES.search(task.operator):
            self.note(
                task.line, f"{task.operator} {task.name}", "redesign", "outputs that are not required, in a graph"
            )
            return error(f"{task.name} chooses what runs: use outputs that are not required, in a graph")
        named = {key: self._argument(each, task) for key, each in task.named.items()}
        named |= {key: value for key, value in self._context(task).items() if key not in named and key not in task.over}
        named |= {key: key for key in task.over}
        arguments = [self._argument(each, task) for each in task.given]
        call = f"steps.{body}({', '.join([*arguments, *(f'{key}={value}' for key, value in named.items())])})"
        if not task.over:
            return f"return {call}"
        self.note(
            task.line,
            f"expand of {task.name}",
            "redesign",
            "a loop in one step; for a step each, partitions, or DynamicOut in a @graph_asset",
        )
        loops = " ".join(f"for {key} in {self._argument(each, task)}" for key, each in task.over.items())
        return f"return [{call} {loops}]"

    def _argument(self, argument: Argument, task: Task) -> str:
        if isinstance(argument, list):
            return f"[{', '.join(self._argument(each, task) for each in argument)}]"
        return self._variable(argument.task) if isinstance(argument, Ref) else self._code(argument.text, task.line)
