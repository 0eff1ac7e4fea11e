"""Run a day through each orchestrator and compare what they publish: `make compare`.

Each gets a folder of its own under var/compare, with links to the project's files, a new DuckDB warehouse and new state
of the engine; nothing of the environment is touched. Exit code: 0 when all publish the same rows, 1 when they do not, 2
when a run failed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
from rich.console import Console
from rich.table import Table

ROOT = Path(os.environ["APP_ROOT"])
COMPARED = ROOT / "var" / "compare"
WAREHOUSE = "var/dev/warehouse.duckdb"
OF_THE_CALLER = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "UV_NO_ENV_FILE")  # it works in another folder
DECIMAL_PLACES = 9  # sums of floating-point numbers depend on the order of the rows


def main(day: str, orchestrators: list[str]) -> int:
    if len(orchestrators) < 2:
        return fail(
            f"there is only {orchestrators[0]} to run; add another: "
            "make update ANSWERS='also_orchestrators=[...]', then make setup"
        )
    shutil.rmtree(COMPARED, ignore_errors=True)
    for name in orchestrators:
        if not run(name, day):
            return fail(f"{name} did not publish {day}, so there is nothing to compare; its logs: {shown(name)}/var")
    with duckdb.connect() as con:
        for name in orchestrators:
            con.execute(f"ATTACH '{COMPARED / name / WAREHOUSE}' AS \"{name}\" (READ_ONLY)")
        return compare(con, day, orchestrators)


def fail(reason: str) -> int:
    print(f"error: {reason}", file=sys.stderr)
    return 2


def shown(name: str) -> Path:
    return (COMPARED / name).relative_to(ROOT)


def run(name: str, day: str) -> bool:
    """Run the day through the orchestrator in a folder of its own; true when it succeeded."""
    folder = COMPARED / name
    folder.mkdir(parents=True)
    for entry in ROOT.iterdir():
        if entry.name not in ("var", ".git"):
            (folder / entry.name).symlink_to(entry)
    own = {"APP_ENV": "dev", "ENV": "dev", "APP_ROOT": str(folder), "APP_WAREHOUSE__URL": f"duckdb://{WAREHOUSE}"}
    inherited = {key: value for key, value in os.environ.items() if key not in OF_THE_CALLER}
    command = ["make", "--no-print-directory", "-C", str(folder), "run", f"ORCHESTRATOR={name}", f"DATE={day}"]
    return subprocess.run([*command, f"UV={os.environ['UV']}"], env=inherited | own, check=False).returncode == 0


def compare(con: duckdb.DuckDBPyConnection, day: str, orchestrators: list[str]) -> int:
    """Show rows by table and orchestrator, and how many differ; the return value is the exit code."""
    first, *others = orchestrators
    table = Table("table", box=None, pad_edge=False)
    for heading in (*orchestrators, "differ"):
        table.add_column(heading, justify="right")
    found: list[str] = []
    for name in tables(con):
        counts = {each: rows(con, each, name) for each in orchestrators}
        missing = [each for each, number in counts.items() if number is None]
        found += [f"{name} is not published by {each}" for each in missing]
        differing = 0
        for other in others:
            if other in missing or first in missing:
                continue
            only_first, only_other = differences(con, first, other, name)
            differing += only_first + only_other
            if only_first or only_other:
                found.append(f"{name}: rows only from {first} {only_first}, only from {other} {only_other}")
        table.add_row(name, *("-" if number is None else str(number) for number in counts.values()), str(differing))
    Console(highlight=False).print(f"\nrows published for {day}", table, sep="\n")
    if found:
        print(f"error: they do not publish the same rows. {'; '.join(found)}", file=sys.stderr)
        return 1
    print(f"{', '.join(others)} and {first} publish identical rows")
    return 0


def tables(con: duckdb.DuckDBPyConnection) -> list[str]:
    """Names of all published tables, whoever published them."""
    found = con.execute("SELECT DISTINCT table_name FROM duckdb_tables() WHERE schema_name = 'main' ORDER BY 1")
    return [name for (name,) in found.fetchall()]


def rows(con: duckdb.DuckDBPyConnection, database: str, table: str) -> int | None:
    try:
        return con.execute(f'SELECT count(*) FROM "{database}".main."{table}"').fetchone()[0]
    except duckdb.CatalogException:
        return None


def differences(con: duckdb.DuckDBPyConnection, first: str, other: str, table: str) -> tuple[int, int]:
    """Rows that only the first has, and rows that only the other has; each counted as often as it stands there."""
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


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
