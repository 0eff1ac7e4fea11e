"""`make compare`: compares what the project's orchestrators publish for a partition, or for several.

Each runs them in a folder of its own under var/compare/, into a DuckDB file of its own; the project's tables
stay as they are. A pipeline that waits for a decision publishes nothing before: what its runs ask is compared.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import duckdb
from rich.console import Console
from rich.table import Table

from .. import orchestration
from ..platform import config, data_contracts, decisions, landing
from ..platform.errors import OK, PERMANENT, ConfigError, PermanentError
from ..platform.partitions import Partition
from ..platform.pipelines import Pipeline
from . import differences

WAREHOUSE = "var/dev/warehouse.duckdb"
# Not for a `make` that runs in another folder.
OF_THE_CALLER = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "UV_NO_ENV_FILE", "ORCHESTRATOR", "VIRTUAL_ENV")


def chosen(pipeline: Pipeline, partition: str, first: str, last: str) -> list[Partition]:
    """The partitions of DATE, or of FROM and TO; empty without either. Raises ConfigError when they cannot be run."""
    if partition and (first or last):
        raise ConfigError("say which partitions with DATE, or with FROM and TO, not both")
    if bool(first) != bool(last):
        raise ConfigError(f"{'TO' if first else 'FROM'} is missing: name the first and the last partition")
    partitions = [pipeline.partition(partition)] if partition else []
    partitions = pipeline.calendar.between(first, last) if first else partitions
    if partitions and pipeline.settings.landing.url:
        landed = landing.of(pipeline).complete()
        missing = [each.key for each in partitions if each.key not in landed]
        if missing:
            raise ConfigError(
                f"{', '.join(missing[:5])}{' and more' * (len(missing) > 5)}: no complete input has landed, so no "
                f"orchestrator can publish it; {f'the newest complete one is {landed[-1]}' if landed else 'none has'}"
            )
    return partitions


def compare(pipeline: Pipeline, partitions: Sequence[Partition], tolerance: str = "") -> int:
    """Run the partitions on each orchestrator and show how many rows of each table, and which columns, differ.

    tolerance: as `differences.tolerances` reads it. Returns the exit code.
    """
    names, allowed = orchestration.names(), differences.tolerances(tolerance)
    if len(names) < 2:
        raise ConfigError(
            f"this project has only {names[0]}; add another orchestrator: "
            "make update ANSWERS='also_orchestrators=[...]', then make setup"
        )
    refuse_tolerance(pipeline, allowed)
    compared = config.load().root / "var" / "compare"
    shutil.rmtree(compared, ignore_errors=True)
    for name in names:
        _lay_out(compared / name)
        for partition in partitions:
            if not _run(name, compared / name, pipeline, partition):
                logs = (compared / name / "var").relative_to(config.load().root)
                raise PermanentError(
                    f"{name} did not publish {partition}, so there is nothing to compare; its logs: {logs}"
                )
    with duckdb.connect() as con:
        for name in names:
            con.execute(f"ATTACH '{compared / name / WAREHOUSE}' AS \"{name}\" (READ_ONLY)")
        if pipeline.held_step:
            return max(_show_requests(con, pipeline, partition, names) for partition in partitions)
        return _show(con, pipeline, partitions, names, allowed)


def refuse_tolerance(pipeline: Pipeline, allowed: Sequence[differences.Tolerance]) -> None:
    """Raise ConfigError, before anything runs, when a tolerance means nothing by the contracts of the tables."""
    if allowed and pipeline.held_step:
        raise ConfigError(
            f"{pipeline.name} waits for a decision, so only its evidence is compared, which must be identical: "
            "leave TOLERANCE out"
        )
    known = dict.fromkeys(pipeline.tables)
    if any(each.column for each in allowed):
        for name, contract in data_contracts.made(pipeline, "").items():
            columns = contract["schema"][0]["properties"]
            known[name] = {each["name"]: each["logicalType"] in ("integer", "number") for each in columns}
    quarantine = f"{pipeline.tables[0]}_quarantine"  # under no contract
    for each in allowed:
        named = {quarantine: None} if each.table else {}
        differences.check(known | named, [each])


def _lay_out(folder: Path) -> None:
    """A folder with the project's files and an empty state."""
    folder.mkdir(parents=True)
    for entry in config.load().root.iterdir():
        if entry.name not in ("var", ".git"):
            (folder / entry.name).symlink_to(entry)


def _run(name: str, folder: Path, pipeline: Pipeline, partition: Partition) -> bool:
    """Run the partition through the orchestrator in a folder of its own; true when it succeeded."""
    own = {"APP_ENV": "dev", "ENV": "dev", "APP_ROOT": str(folder), "APP_WAREHOUSE__URL": f"duckdb://{WAREHOUSE}"}
    command = ["make", "--no-print-directory", "-C", str(folder), "run", f"ORCHESTRATOR={name}"]
    command += [f"PIPELINE={pipeline.name}", f"DATE={partition}", f"UV={os.environ.get('UV', 'uv')}"]
    return subprocess.run(command, env=inherited() | silent(pipeline) | own, check=False).returncode == 0


def silent(pipeline: Pipeline) -> dict[str, str]:
    """Settings with which a run tells nobody, and adds to nothing that others read."""
    of_pipeline = f"APP_PIPELINES__{pipeline.name.upper()}__"
    channels = {f"{prefix}{name}": "" for name in ("ALERTS__URL", "NOTIFY__URL") for prefix in ("APP_", of_pipeline)}
    return {**channels, "APP_LINEAGE__OPENLINEAGE": "", f"{of_pipeline}MODEL__REGISTRY_URL": ""}


def inherited() -> dict[str, str]:
    """What a command in another folder takes over of the environment: not what belongs to this project's own state.

    A variable that is set wins over the file of an orchestrator, which this process has read for its own folder.
    """
    files_read = (config.load().root / "deploy" / "local").glob("*.env")
    texts = [path.read_text(encoding="utf-8") for path in files_read]
    left_out = {*OF_THE_CALLER, *re.findall(r"^(\w+)=", "\n".join(texts), re.MULTILINE)}
    return {key: value for key, value in os.environ.items() if key not in left_out}


def _show(
    con: duckdb.DuckDBPyConnection,
    pipeline: Pipeline,
    partitions: Sequence[Partition],
    names: Sequence[str],
    allowed: Sequence[differences.Tolerance],
) -> int:
    first, *others = names
    tables = (*pipeline.tables, f"{pipeline.tables[0]}_quarantine")
    differences.check(differences.numbers(con, first, tables), allowed)
    table, by_column = _columns("table", *names, "differ"), _columns("column", "rows", "largest difference")
    for heading in ("between", "partitions", "such as"):
        by_column.add_column(heading, overflow="fold")
    problems: list[str] = []
    for name in tables:
        counts = {each: differences.rows(con, each, name) for each in names}
        missing = [each for each, number in counts.items() if number is None]
        if len(missing) == len(names) and name not in pipeline.tables:
            continue  # no pipeline needs a quarantine
        problems += [f"{name} is not published by {each}" for each in missing]
        differing = 0
        for other in others:
            if other in missing or first in missing:
                continue
            unlike = differences.between(con, first, other, name, pipeline.partition_column, allowed)
            differing += unlike.rows
            problems += [f"{name}: only one of {first} and {other} has the column {each}" for each in unlike.lacking]
            if unlike.only_first or unlike.only_other:
                problems.append(
                    f"{name}: rows only from {first} {unlike.only_first}, only from {other} {unlike.only_other}"
                )
            for column in unlike.columns:
                counted = "1 row differs" if column.rows == 1 else f"{column.rows} rows differ"
                problems.append(f"{name}.{column.name}: {counted} between {first} and {other}")
                largest = "-" if column.largest is None else f"{column.largest:.6g}"
                where = _span(column.partitions)
                row = (str(column.rows), largest, f"{first}, {other}", where, column.example)
                by_column.add_row(f"{name}.{column.name}", *row)
        table.add_row(name, *("-" if number is None else str(number) for number in counts.values()), str(differing))
    out = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 200)
    out.print(f"\nrows published for {pipeline.name} {_span([each.key for each in partitions])}", table, sep="\n")
    if by_column.row_count:
        out.print("\nvalues that differ in rows that both have", by_column, sep="\n")
    if problems:
        print(f"error: the orchestrators publish different rows. {'; '.join(problems)}", file=sys.stderr)
        return PERMANENT
    alike = f"rows that are equal within {', '.join(map(str, allowed))}" if allowed else "identical rows"
    print(f"{', '.join(others)} and {first} publish {alike}")
    return OK


def _columns(first: str, *others: str) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column(first, overflow="fold")
    for heading in others:
        table.add_column(heading, justify="right")
    return table


def _span(keys: Sequence[str]) -> str:
    return keys[0] if len(keys) == 1 else f"{keys[0]} to {keys[-1]}, {len(keys)} partitions" if keys else "-"


def _show_requests(con: duckdb.DuckDBPyConnection, pipeline: Pipeline, partition: Partition, names: list[str]) -> int:
    """Show the evidence on which each asks for a decision, with a digest of the candidate. Returns the exit code."""
    asked = 'SELECT evidence FROM "{}".platform.approvals WHERE pipeline = ? AND partition = ? ORDER BY requested_at'
    evidence = {}
    for name in names:
        requests = con.execute(asked.format(name), [pipeline.name, partition.key]).fetchall()
        evidence[name] = json.loads(requests[-1][0])
    table = Table("evidence", box=None, pad_edge=False)
    for name in names:
        table.add_column(name, justify="right")
    every = list(dict.fromkeys(key for each in evidence.values() for key in each))
    for key in every:
        table.add_row(key, *(decisions.number(each.get(key, "-")) for each in evidence.values()))
    Console(highlight=False, markup=False).print(f"\nevidence of {pipeline.name} {partition}", table, sep="\n")
    first, *others = names
    differing = [key for key in every if any(evidence[name].get(key) != evidence[first].get(key) for name in others)]
    if differing:
        print(f"error: the orchestrators ask on different evidence: {', '.join(differing)}", file=sys.stderr)
        return PERMANENT
    print(f"{', '.join(others)} and {first} ask on identical evidence; nothing is published before a person decides")
    return OK
