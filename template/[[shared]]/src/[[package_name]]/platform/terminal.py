"""What `make run` and `make backfill` show: a line per step while it goes on, and a table at the end."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from . import config, errors, files, landing, logging, masking, secrets, steps, warehouse

if TYPE_CHECKING:
    from .partitions import Partition
    from .pipelines import Pipeline

# Kinds of rows; every other name is a table's.
KINDS = ("read", "typed", "kept", "quarantined")


def run_partitions(
    pipeline: Pipeline, engine: str, partitions: Sequence[Partition], run: Callable[[Pipeline, Partition], bool]
) -> int:
    """Run each partition with ``run`` (true when it succeeded), show progress and the closing table.

    The log lines of the steps go to ``var/<env>/run.log`` unless the engine takes them into its own log, which is
    ``var/<env>/<engine>/run.log``. Returns the exit code: that of the last partition that failed, see `errors`.
    """
    settings = config.load()
    secrets.verify(settings)
    out = Console(highlight=False, markup=False, soft_wrap=True)
    reports: list[steps.StepReport] = []

    def show(report: steps.StepReport) -> None:
        reports.append(report)
        colour = "red" if report.failed else "default"
        out.print(f"  {_words(report.step):<16}{report.seconds:6.1f} s   {_outcome(report)}", style=colour)

    settings.state.mkdir(parents=True, exist_ok=True)
    failed: dict[str, tuple[str, int]] = {}
    steps.watchers.append(show)
    try:
        with files.open_log(settings.state / "run.log") as log:
            logging.configure(settings, file=log)
            for partition in partitions:
                out.print(f"{pipeline.name} {partition} on {engine} ({settings.env})", style="bold")
                problem = _problem(run, pipeline, partition)
                last = [report for report in reports if report.partition == partition and report.failed]
                if problem is None and last and last[-1].error == errors.PartitionElsewhere.__name__:
                    problem = ("", errors.PERMANENT)  # an engine may skip such a run, but it has published nothing
                if problem is not None:
                    reason = last[-1].detail if last else problem[0] or f"see {settings.paths.state}/{engine}/run.log"
                    failed[partition.key] = (reason, problem[1] if problem[0] else _code(last))
    finally:
        steps.watchers.remove(show)
    out.print()
    out.print(_table(reports))
    out.print("rows by partition; time per step in seconds", style="dim")
    waits = pipeline.held_step and pipeline.held_step not in {report.step for report in reports if not report.failed}
    following = "" if failed else f"    next: make {'approvals' if waits else 'up'}"
    out.print(f"warehouse: {warehouse.describe(settings)}{following}")
    for key, (reason, _) in failed.items():
        print(f"error: {pipeline.name} {key}: {masking.mask(reason)}", file=sys.stderr)
    return list(failed.values())[-1][1] if failed else errors.OK


def newest_landed(pipeline: Pipeline) -> Partition:
    """The partition to run when none is named: the newest one whose input has landed, else the one that is due."""
    if pipeline.settings.landing.url:
        for key in reversed(landing.of(pipeline).complete()):
            try:
                return pipeline.partition(key)
            except errors.ConfigError:
                continue  # a folder that is no partition
    return pipeline.due()


def _problem(
    run: Callable[[Pipeline, Partition], bool], pipeline: Pipeline, partition: Partition
) -> tuple[str, int] | None:
    """Why the partition failed and the exit code for it, None when it did not; no reason when only the engine knows."""
    try:
        return None if run(pipeline, partition) else ("", errors.PERMANENT)
    except steps.EXPECTED as error:
        return str(error), errors.exit_code(error)


def _code(failed: Sequence[steps.StepReport]) -> int:
    """The exit code of the step that failed last, by the class of its error."""
    for each in steps.EXPECTED:
        for kind in (each, *each.__subclasses__()):
            if failed and kind.__name__ == failed[-1].error:
                return errors.exit_code(kind())
    return errors.TRANSIENT if failed else errors.PERMANENT


def _words(name: str) -> str:
    return name.replace("_", " ")


def _outcome(report: steps.StepReport) -> str:
    rows = ", ".join(
        f"{count:,} {name}" if name in KINDS else f"{name} {count:,}" for name, count in report.rows.items()
    )
    return "; ".join(part for part in (rows, report.detail) if part)


def _table(reports: Sequence[steps.StepReport]) -> Table:
    by_partition: dict[str, dict[str, steps.StepReport]] = defaultdict(dict)
    for report in reports:
        done = by_partition[report.partition.key]
        before = done.get(report.step) if report.step in report.pipeline.mapped_steps else None
        if before:  # another item of the same step
            rows = {**before.rows, **{kind: before.rows.get(kind, 0) + rows for kind, rows in report.rows.items()}}
            report = replace(report, seconds=before.seconds + report.seconds, rows=rows)
        done[report.step] = report
    names = list(dict.fromkeys(report.step for report in reports))
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 1, 0, 0))
    table.add_column("partition", no_wrap=True)
    for title in ("read", "published", "quarantined", *(name.split("_")[0] for name in names)):
        table.add_column(title, justify="right", no_wrap=True)
    for key, done in by_partition.items():
        rows = {name: count for report in done.values() for name, count in report.rows.items()}
        published = next((each.rows for each in done.values() if each.publishes and not each.failed), {})
        table.add_row(
            key,
            f"{rows.get('read', 0):,}",
            f"{next(iter(published.values())):,}" if published else "-",
            f"{rows.get('quarantined', 0):,}",
            *(f"{done[name].seconds:.1f}" if name in done else "-" for name in names),
        )
    return table
