"""`make compare`: compares what the project's orchestrators publish for one partition.

Each runs the partition in a folder of its own under var/compare/, into a DuckDB file of its own; the project's tables
stay as they are. A pipeline that waits for a decision publishes nothing before: what its runs ask is compared.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
from rich.console import Console
from rich.table import Table

from .. import orchestration
from ..platform import config, decisions
from ..platform.errors import OK, PERMANENT, ConfigError, PermanentError
from ..platform.partitions import Partition
from ..platform.pipelines import Pipeline

WAREHOUSE = "var/dev/warehouse.duckdb"
# Not for a `make` that runs in another folder.
OF_THE_CALLER = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "UV_NO_ENV_FILE", "ORCHESTRATOR", "VIRTUAL_ENV")
DECIMAL_PLACES = 9  # sums of floating-point numbers depend on the order of the rows


def compare(pipeline: Pipeline, partition: Partition) -> int:
    """Run the partition on each orchestrator and show rows by table, and how many differ. Returns the exit code."""
    names = orchestration.names()
    if len(names) < 2:
        raise ConfigError(
            f"this project has only {names[0]}; add another orchestrator: "
            "make update ANSWERS='also_orchestrators=[...]', then make setup"
        )
    compared = config.load().root / "var" / "compare"
    shutil.rmtree(compared, ignore_errors=True)
    for name in names:
        if not _run(name, compared / name, pipeline, partition):
            logs = (compared / name / "var").relative_to(config.load().root)
            raise PermanentError(
                f"{name} did not publish {partition}, so there is nothing to compare; its logs: {logs}"
            )
    with duckdb.connect() as con:
        for name in names:
            con.execute(f"ATTACH '{compared / name / WAREHOUSE}' AS \"{name}\" (READ_ONLY)")
        if pipeline.held_step:
            return _show_requests(con, pipeline, partition, names)
        return _show(con, pipeline, partition, names)


def _run(name: str, folder: Path, pipeline: Pipeline, partition: Partition) -> bool:
    """Run the partition through the orchestrator in a folder of its own; true when it succeeded."""
    root = config.load().root
    folder.mkdir(parents=True)
    for entry in root.iterdir():
        if entry.name not in ("var", ".git"):
            (folder / entry.name).symlink_to(entry)
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


def _show(con: duckdb.DuckDBPyConnection, pipeline: Pipeline, partition: Partition, names: list[str]) -> int:
    first, *others = names
    table = Table("table", box=None, pad_edge=False)
    for heading in (*names, "differ"):
        table.add_column(heading, justify="right")
    problems: list[str] = []
    for name in (*pipeline.tables, f"{pipeline.tables[0]}_quarantine"):
        counts = {each: rows(con, each, name) for each in names}
        missing = [each for each, number in counts.items() if number is None]
        if len(missing) == len(names) and name not in pipeline.tables:
            continue  # no pipeline needs a quarantine
        problems += [f"{name} is not published by {each}" for each in missing]
        differing = 0
        for other in others:
            if other in missing or first in missing:
                continue
            only_first, only_other = differences(con, first, other, name)
            differing += only_first + only_other
            if only_first or only_other:
                problems.append(f"{name}: rows only from {first} {only_first}, only from {other} {only_other}")
        table.add_row(name, *("-" if number is None else str(number) for number in counts.values()), str(differing))
    Console(highlight=False).print(f"\nrows published for {pipeline.name} {partition}", table, sep="\n")
    if problems:
        print(f"error: the orchestrators publish different rows. {'; '.join(problems)}", file=sys.stderr)
        return PERMANENT
    print(f"{', '.join(others)} and {first} publish identical rows")
    return OK


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
    Console(highlight=False).print(f"\nevidence of {pipeline.name} {partition}", table, sep="\n")
    first, *others = names
    differing = [key for key in every if any(evidence[name].get(key) != evidence[first].get(key) for name in others)]
    if differing:
        print(f"error: the orchestrators ask on different evidence: {', '.join(differing)}", file=sys.stderr)
        return PERMANENT
    print(f"{', '.join(others)} and {first} ask on identical evidence; nothing is published before a person decides")
    return OK


def rows(con: duckdb.DuckDBPyConnection, database: str, table: str) -> int | None:
    try:
        return con.execute(f'SELECT count(*) FROM "{database}".main."{table}"').fetchone()[0]
    except duckdb.CatalogException:
        return None


def differences(con: duckdb.DuckDBPyConnection, first: str, other: str, table: str) -> tuple[int, int]:
    """Rows that only the first has, and rows that only the other has; each counted as often as it occurs."""
    one, two = selected(con, first, table), selected(con, other, table)
    try:
        return tuple(
            con.execute(f"SELECT count(*) FROM ({left} EXCEPT ALL {right})").fetchone()[0]
            for left, right in ((one, two), (two, one))
        )
    except duckdb.BinderException:  # not even the same columns
        return rows(con, first, table), rows(con, other, table)


def selected(con: duckdb.DuckDBPyConnection, database: str, table: str) -> str:
    """A query for the table's rows, columns by name, decimals rounded."""
    described = con.execute(f'DESCRIBE "{database}".main."{table}"').fetchall()
    columns = [
        f'round("{name}", {DECIMAL_PLACES}) AS "{name}"' if kind in ("DOUBLE", "FLOAT") else f'"{name}"'
        for name, kind, *_ in sorted(described)
    ]
    return f'SELECT {", ".join(columns)} FROM "{database}".main."{table}"'
