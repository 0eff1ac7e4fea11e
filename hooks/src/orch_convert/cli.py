"""The command `orch-convert`: write a first draft of an Airflow DAG for another orchestrator, with a report."""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from . import dagster, prefect
from .graph import Graph, RefusalError
from .writer import Construct

TARGETS = {"prefect": prefect.drafted, "dagster": dagster.drafted}


def main(argv: Sequence[str] | None = None) -> int:
    """Convert as asked. Exit code: 0; 1 when the file is refused, and nothing is written; 2 for a wrong call."""
    options = parse(argv)
    if not options.file.is_file():
        return _wrong(f"{options.file} is no file: name the file of one DAG")
    if not options.output.is_dir():
        return _wrong(f"{options.output} is no folder: make it first")
    try:
        draft = TARGETS[options.to](Graph(options.file), options.file.stem)
    except RefusalError as refusal:
        return _refused(options, str(refusal))
    except (SyntaxError, RecursionError) as error:
        return _refused(options, f"it has a form that cannot be followed: {error}")
    there = [name for name in draft.files if (options.output / name).exists()]
    if there:
        return _wrong(f"{options.output / there[0]} is there already: name another folder with --output")
    for name, text in draft.files.items():
        (options.output / name).write_text(text, encoding="utf-8")
        print(f"written: {options.output / name}", file=sys.stderr)
    old = of_airflow_2(options.file)
    if options.format == "json":
        rows = [vars(row) for row in draft.constructs]
        whole = {"file": str(options.file), "refused": "", "of_airflow_2": old, "constructs": rows}
        print(json.dumps(whole, indent=2))
    else:
        if old:
            print(
                f"{old} places are of Airflow 2; better first: ruff check --select AIR3 --preview --fix {options.file}"
            )
        _show(draft.constructs)
    return 0


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="orch-convert", description=__doc__.split(": ", 1)[1])
    parser.add_argument("file", type=Path, metavar="FILE", help="the Python file of one DAG")
    parser.add_argument("--to", choices=tuple(TARGETS), required=True, help="what to write it for")
    parser.add_argument("--output", type=Path, default=Path(), metavar="FOLDER", help="where to (the current folder)")
    parser.add_argument("--format", choices=("table", "json"), default="table", help="of the report (%(default)s)")
    return parser.parse_args(argv)


def of_airflow_2(file: Path) -> int:
    """Places that Airflow 3 moved or removed, as ruff finds them; 0 where ruff is not installed."""
    ruff = shutil.which("ruff") or shutil.which("ruff", path=str(Path(sys.executable).parent))
    if not ruff:
        return 0
    command = [ruff, "check", "--isolated", "--no-cache", "--preview", "--select", "AIR3", "--output-format", "json"]
    done = subprocess.run([*command, str(file)], capture_output=True, text=True, check=False)
    try:
        return len(json.loads(done.stdout))
    except ValueError:  # a ruff that does not know these rules
        return 0


def _wrong(sentence: str) -> int:
    print(f"error: {sentence}", file=sys.stderr)
    return 2


def _refused(options: argparse.Namespace, reason: str) -> int:
    if options.format == "json":
        print(json.dumps({"file": str(options.file), "refused": reason, "constructs": []}, indent=2))
    print(f"refused: {options.file}: {reason}", file=sys.stderr)
    return 1


def _show(rows: list[Construct]) -> None:
    width = max(len(row.what) for row in rows)
    for row in rows:
        print(f"{row.line:>5}  {row.disposition:<10}  {row.what:<{width}}  {row.becomes}")
    counts = {name: sum(row.disposition == name for row in rows) for name in ("mechanical", "decide", "redesign")}
    print(", ".join(f"{number} {name}" for name, number in counts.items()))


if __name__ == "__main__":
    sys.exit(main())
