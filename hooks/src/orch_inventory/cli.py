"""The command `orch-inventory`: list what pipelines run today, what they touch, and what moving them takes."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

try:
    import rich.console

    from . import answers, effort, estate, page, runs, table
except ModuleNotFoundError as missing:
    sys.exit(
        f"error: orch-inventory needs {missing.name}, which is not installed: pip install 'orch-standards[inventory]'"
    )

DEAD_AFTER = 180


def main(argv: Sequence[str] | None = None) -> int:
    """Report as asked. Exit code: 0, also where files could not be read, which the report lists; 2 for a wrong call."""
    options = parse(argv)
    try:
        _check_targets(options)
        rows = effort.table(options.effort)
        found = estate.read(options.path)
        if options.runs:
            if not found.pipelines:
                raise CallError(f"there are no pipelines in {options.path} whose runs {options.runs} could be")
            runs.apply(found, options.runs, options.dead_after)
        plan = effort.plan(found, rows)
        given = answers.answers(found)
        if options.answers and not given:
            raise CallError(f"{options.answers} was not written: there is no pipeline in {options.path} to answer from")
    except (CallError, estate.EstateError, runs.RunsError, effort.EffortError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; nothing was written", file=sys.stderr)
        return 130
    if options.format == "json":
        whole = {**found.as_dict(), **plan.as_dict(), "answers": {each.question: each.value for each in given}}
        print(json.dumps(whole, indent=2))
    else:
        table.show(found, plan, _screen())
    if options.page:
        _write(options.page, page.drawn(found, plan))
    if options.answers:
        _write(options.answers, answers.written(given))
    return 0


class CallError(Exception):
    """The command line cannot be followed; the message says why, in a sentence."""


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="orch-inventory",
        description=__doc__.split(": ", 1)[1],
        epilog="It reads Airflow, dag-factory, Luigi, crontabs, Oozie, Prefect and Dagster, and imports none of it.",
    )
    parser.add_argument("path", metavar="PATH", help="a folder: one repository, or one that holds several clones")
    parser.add_argument("--format", choices=("table", "json"), default="table", help="on standard output (%(default)s)")
    parser.add_argument("--page", type=Path, metavar="FILE", help="write one self-contained HTML page as well")
    parser.add_argument("--answers", type=Path, metavar="FILE", help="write answers for the questionnaire; a new file")
    parser.add_argument(
        "--runs", type=Path, metavar="FILE", help="an export of runs, CSV or JSON: it tells what is dead"
    )
    parser.add_argument(
        "--dead-after",
        type=int,
        metavar="DAYS",
        default=DEAD_AFTER,
        help="dead is what did not run for so many days before the newest run of the export (%(default)s)",
    )
    parser.add_argument("--effort", type=Path, metavar="FILE", help="your own estimates instead of the package's")
    return parser.parse_args(argv)


def _check_targets(options: argparse.Namespace) -> None:
    """Whether all can be written, before anything is read."""
    for target in filter(None, (options.page, options.answers)):
        folder = target.resolve().parent
        if not os.access(folder, os.W_OK) or target.is_dir():
            raise CallError(f"{target} cannot be written: name a file in a folder that exists")
    if options.answers and options.answers.exists():
        raise CallError(f"{options.answers} is there already, and may hold your own answers: name a new file")
    if options.dead_after < 1:
        raise CallError("--dead-after must be a number of days, 1 or more")


def _screen() -> rich.console.Console:
    """Of the terminal's width; where there is none, as wide as the table wants to be."""
    out = rich.console.Console(highlight=False, markup=False)
    narrow = out.is_terminal or "COLUMNS" in os.environ
    return out if narrow else rich.console.Console(highlight=False, markup=False, width=220)


def _write(target: Path, text: str) -> None:
    target.write_text(text, encoding="utf-8")
    print(f"written: {target}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
