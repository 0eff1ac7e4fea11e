"""What `make run` and `make backfill` show: a line per step while it goes on, and a table at the end."""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import date, timedelta

from rich.console import Console
from rich.table import Table

from . import config, logging, masking, secrets, steps, warehouse
from .errors import ConfigError, SecretError, SecretsUnavailable

Days = list[date]


def parse_days(
    description: str, argv: Sequence[str] | None = None, missing: Callable[[Days], Days] | None = None
) -> Days:
    """Days to run, from ``--date`` or ``--from``/``--to`` (both included).

    missing: leaves those that are not published; ``--only-missing`` asks for it. Ends the program when none is left.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--date", type=_day, help="the day to run, as 2013-01-02")
    parser.add_argument("--from", dest="first", type=_day, help="first day of a backfill")
    parser.add_argument("--to", dest="last", type=_day, help="last day of a backfill, included")
    if missing:
        parser.add_argument("--only-missing", action="store_true", help="leave out days that are published")
    options = parser.parse_args(argv)
    first, last = options.first or options.date, options.last or options.date
    if first is None or last is None or last < first:
        parser.error("give --date, or --from and --to, the first day not after the last")
    days = [first + timedelta(days=offset) for offset in range((last - first).days + 1)]
    return _only(missing, days) if missing and options.only_missing else days


def _only(missing: Callable[[Days], Days], days: Days) -> Days:
    try:
        left = missing(days)
    except steps.EXPECTED as error:
        sys.exit(_fail(str(error), code=2))
    print(f"{len(days) - len(left)} of {len(days)} days are published")
    if not left:
        sys.exit(0)
    return left


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no day: write it as 2013-01-02") from None


def run_days(pipeline: str, engine: str, days: Sequence[date], run: Callable[[date], bool]) -> int:
    """Run each day with ``run`` (true when it succeeded), show progress and the closing table.

    The log lines of the steps go to ``var/<env>/run.log`` unless the engine takes them into its own log, which is
    ``var/<env>/<engine>/run.log``. Returns the exit code: 0, 1 when a day failed, 2 when the configuration cannot be
    used or a secret not be read.
    """
    try:
        settings = config.load()
        secrets.verify(settings)
    except (ConfigError, SecretError, SecretsUnavailable) as error:
        return _fail(str(error), code=2)
    out = Console(highlight=False, soft_wrap=True)
    reports: list[steps.StepReport] = []

    def show(report: steps.StepReport) -> None:
        reports.append(report)
        colour = "red" if report.failed else "default"
        out.print(f"  {_words(report.step):<16}{report.seconds:6.1f} s   {_told(report)}", style=colour)

    settings.state.mkdir(parents=True, exist_ok=True)
    log_file = settings.state / "run.log"
    failed: dict[date, str] = {}
    steps.watchers.append(show)
    try:
        with log_file.open("a", encoding="utf-8") as log:
            logging.configure(settings, file=log)
            for day in days:
                out.print(f"{pipeline} {day} on {engine} ({settings.env})", style="bold")
                reason = _reason_of_failure(run, day)
                if reason is not None:
                    told = [report.detail for report in reports if report.partition == day and report.failed]
                    failed[day] = (told or [reason or f"see {settings.paths.state}/{engine}/run.log"])[-1]
    finally:
        steps.watchers.remove(show)
    out.print()
    out.print(_table(reports))
    out.print("rows by day; time per step in seconds", style="dim")
    out.print(f"warehouse: {warehouse.describe(settings)}" + ("" if failed else "    next: make up"))
    for day, reason in failed.items():
        _fail(f"{pipeline} {day}: {reason}", code=1)
    return 1 if failed else 0


def _fail(message: str, code: int) -> int:
    print(f"error: {masking.mask(message)}", file=sys.stderr)
    return code


def _reason_of_failure(run: Callable[[date], bool], day: date) -> str | None:
    """Why the day failed, None when it did not; empty when only the engine knows."""
    try:
        return None if run(day) else ""
    except steps.EXPECTED as error:
        return str(error)


def _words(name: str) -> str:
    return name.replace("_", " ")


def _told(report: steps.StepReport) -> str:
    rows = ", ".join(
        f"{count:,} {name}" if name in KINDS else f"{name} {count:,}" for name, count in report.rows.items()
    )
    return "; ".join(part for part in (rows, report.detail) if part)


# Kinds of rows; every other name is a table's.
KINDS = ("read", "typed", "kept", "quarantined")


def _table(reports: Sequence[steps.StepReport]) -> Table:
    by_day: dict[date, dict[str, steps.StepReport]] = defaultdict(dict)
    for report in reports:
        by_day[report.partition][report.step] = report
    names = list(dict.fromkeys(report.step for report in reports))
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 1, 0, 0))
    table.add_column("day", no_wrap=True)
    for title in ("read", "published", "quarantined", *(name.split("_")[0] for name in names)):
        table.add_column(title, justify="right", no_wrap=True)
    for day, done in by_day.items():
        rows = {name: count for report in done.values() for name, count in report.rows.items()}
        published = done["publish"].rows if "publish" in done and not done["publish"].failed else {}
        table.add_row(
            day.isoformat(),
            f"{rows.get('read', 0):,}",
            f"{next(iter(published.values())):,}" if published else "-",
            f"{rows.get('quarantined', 0):,}",
            *(f"{done[name].seconds:.1f}" if name in done else "-" for name in names),
        )
    return table
