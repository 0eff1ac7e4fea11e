"""What `make run` and `make backfill` show: a line per step while it goes on, and a table at the end."""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import date, timedelta

from rich.console import Console
from rich.table import Table

from . import config, steps, warehouse
from .errors import InputNotReady, PermanentError


def parse_days(description: str, argv: Sequence[str] | None = None) -> list[date]:
    """Days to run, from ``--date`` or ``--from``/``--to`` (both included)."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--date", type=_day, help="the day to run, as 2013-01-02")
    parser.add_argument("--from", dest="first", type=_day, help="first day of a backfill")
    parser.add_argument("--to", dest="last", type=_day, help="last day of a backfill, included")
    options = parser.parse_args(argv)
    first, last = options.first or options.date, options.last or options.date
    if first is None or last is None or last < first:
        parser.error("give --date, or --from and --to with the first day not after the last")
    return [first + timedelta(days=offset) for offset in range((last - first).days + 1)]


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no day: write it as 2013-01-02") from None


def run_days(pipeline: str, engine: str, days: Sequence[date], run: Callable[[date], bool]) -> int:
    """Run each day with ``run`` (true when it succeeded), show progress and the closing table; the exit code."""
    out = Console(stderr=False, highlight=False, soft_wrap=True)
    reports: list[steps.StepReport] = []

    def show(report: steps.StepReport) -> None:
        reports.append(report)
        colour = "red" if report.failed else "default"
        out.print(f"  {report.step.replace('_', ' '):<16}{report.seconds:6.1f} s   {_told(report)}", style=colour)

    steps.watchers.append(show)
    failed = []
    try:
        settings = config.load()
        for day in days:
            out.print(f"{pipeline} {day} on {engine} ({settings.env})", style="bold")
            if not _succeeded(run, day):
                failed.append(day)
    except config.ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    finally:
        steps.watchers.remove(show)
    out.print(_table(reports))
    out.print(f"warehouse: {warehouse.describe(settings)}    next: make up")
    for day in failed:
        reason = next((r.detail for r in reversed(reports) if r.partition == day and r.failed), f"see {engine}'s log")
        print(f"error: {pipeline} {day} failed: {reason}", file=sys.stderr)
    return 1 if failed else 0


def _succeeded(run: Callable[[date], bool], day: date) -> bool:
    try:
        return run(day)
    except (PermanentError, InputNotReady):
        return False


def _told(report: steps.StepReport) -> str:
    rows = ", ".join(f"{name.replace('_', ' ') if name in WORDS else name} {count:,}" for name, count in report.rows.items())
    return " ".join(part for part in (rows, report.detail) if part)


WORDS = ("read", "typed", "kept", "quarantined")


def _table(reports: Sequence[steps.StepReport]) -> Table:
    by_day: dict[date, dict[str, steps.StepReport]] = defaultdict(dict)
    for report in reports:
        by_day[report.partition][report.step] = report
    names = list(dict.fromkeys(report.step for report in reports))
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("day")
    for title in ("read", "published", "quarantined", *(f"{name.replace('_', ' ')} s" for name in names)):
        table.add_column(title, justify="right")
    for day, done in by_day.items():
        rows = {name: count for report in done.values() for name, count in report.rows.items()}
        published = rows.get("fact_flights")
        table.add_row(
            day.isoformat(),
            f"{rows.get('read', 0):,}",
            "-" if published is None else f"{published:,}",
            f"{rows.get('quarantined', 0):,}",
            *(f"{done[name].seconds:.1f}" if name in done else "-" for name in names),
        )
    return table
