"""The warehouse: where tables are, behind one URL. A DuckDB file by default, PostgreSQL by changing that URL.

The schema ``staging`` holds the work between steps, one table per partition and step. The default schema holds the
published tables. A publication replaces one partition of them in one transaction.
"""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from . import config, secrets

if TYPE_CHECKING:
    import duckdb
    import ibis.expr.types as ir

    from .partitions import Partition

STAGING = "staging"
LONGEST_NAME = 63
LOCK_POLL_SECONDS = 0.05
CONNECT_SECONDS = 30
COPY_BYTES = 1_000_000


class WarehouseError(Exception):
    """The warehouse cannot be reached or has no room; trying again may help."""


def describe(settings: config.Settings) -> str:
    """Where the warehouse is, without any credential."""
    parts = urlsplit(settings.warehouse.url)
    if parts.scheme == "duckdb":
        path = duckdb_path(settings)
        return str(path.relative_to(settings.root) if path.is_relative_to(settings.root) else path)
    return f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}{parts.path}"


@dataclass
class Connection:
    """A connection to the warehouse, in UTC.

    name: ``duckdb`` or ``postgres``. con: that of the database's own driver. in_transaction: whether one is open.
    """

    name: str
    con: Any
    in_transaction: bool = False


@contextmanager
def connect(settings: config.Settings | None = None, read_only: bool = False) -> Iterator[Connection]:
    """A connection to the warehouse, closed afterwards; each statement commits unless in `transaction`.

    Raises WarehouseError when it cannot be reached, or a DuckDB file stays locked by another process for longer than
    ``warehouse.lock_timeout_seconds``.
    """
    settings = settings or config.load()
    scheme = urlsplit(settings.warehouse.url).scheme
    if scheme not in OPENERS:
        raise config.ConfigError(f"warehouse.url starts with {scheme!r}: use one of {', '.join(OPENERS)}")
    con = OPENERS[scheme](settings, read_only)
    try:
        yield con
    finally:
        con.con.close()


def duckdb_path(settings: config.Settings) -> Path:
    return settings.root / settings.warehouse.url.removeprefix("duckdb://")


def _open_duckdb(settings: config.Settings, read_only: bool) -> Connection:
    import duckdb

    path = duckdb_path(settings)
    if not read_only:
        path.parent.mkdir(parents=True, exist_ok=True)
    options = {
        "memory_limit": settings.warehouse.memory_limit,
        "threads": settings.warehouse.threads,
        "preserve_insertion_order": False,
        "temp_directory": str(path.with_suffix(".tmp")),
    }
    deadline = time.monotonic() + settings.warehouse.lock_timeout_seconds
    while True:
        try:
            con = duckdb.connect(path, read_only=read_only, config=options)
        except duckdb.IOException as error:
            # One process at a time may have a DuckDB file open for writing: take turns.
            if "lock" not in str(error):
                raise WarehouseError(f"cannot open {describe(settings)}: {error}") from error
            if time.monotonic() > deadline:
                raise WarehouseError(
                    f"{describe(settings)} stayed locked by another process for "
                    f"{settings.warehouse.lock_timeout_seconds:g} s: close it, or use PostgreSQL for parallel runs"
                ) from None
            time.sleep(LOCK_POLL_SECONDS)
        else:
            con.execute("SET TimeZone = 'UTC'; SET python_enable_replacements = false")
            return Connection("duckdb", con)


def _open_postgresql(settings: config.Settings, read_only: bool) -> Connection:
    import psycopg

    parts = urlsplit(settings.warehouse.url)
    password = secrets.resolve(settings.warehouse.password, settings.secrets) or parts.password
    try:
        con = psycopg.connect(
            host=parts.hostname or "localhost",
            port=parts.port or 5432,
            user=parts.username,
            password=password,
            dbname=parts.path.lstrip("/"),
            connect_timeout=CONNECT_SECONDS,
            autocommit=True,
        )
    except psycopg.OperationalError as error:
        raise WarehouseError(f"cannot reach {describe(settings)}: {str(error).splitlines()[0]}") from None
    con.execute("SET TIME ZONE 'UTC'")
    if read_only:
        con.execute("SET default_transaction_read_only = on")
    return Connection("postgres", con)


OPENERS = {"duckdb": _open_duckdb, "postgresql": _open_postgresql}


@contextmanager
def transaction(con: Connection, lock: str = "") -> Iterator[None]:
    """All statements in the body, or none; within another transaction, those belong to that one.

    lock: a name; two bodies with the same one do not run at once.
    """
    if con.in_transaction:
        _lock(con, lock)
        yield
        return
    run(con, "BEGIN")
    con.in_transaction = True
    try:
        _lock(con, lock)
        yield
        run(con, "COMMIT")
    except BaseException:
        _roll_back(con)
        raise
    finally:
        con.in_transaction = False


def _lock(con: Connection, name: str) -> None:
    if name and con.name == "postgres":
        run(con, f"SELECT pg_advisory_xact_lock(hashtextextended('{name}', 0))")


def _roll_back(con: Connection) -> None:
    try:
        run(con, "ROLLBACK")
    except Exception:  # noqa: BLE001  a failed commit has ended the transaction already; the first error is the one to show
        return


def run(con: Connection, sql: str, values: Sequence[Any] = ()) -> None:
    """Execute one statement that returns nothing. values: for its question marks."""
    _execute(con, sql, values)


def rows(con: Connection, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """All rows of a query. values: for its question marks."""
    return _execute(con, sql, values).fetchall()


def _execute(con: Connection, sql: str, values: Sequence[Any]) -> Any:
    # Written out: DuckDB loads pandas, which takes seconds, to bind a value.
    literals = iter(values)
    return con.con.execute(re.sub(r"\?", lambda _: _literal(next(literals)), sql) if values else sql)


def _literal(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, datetime):
        return f"TIMESTAMP '{value:%Y-%m-%d %H:%M:%S.%f}'"
    return "'" + str(value).replace("'", "''") + "'"


def has(con: Connection, table: str) -> bool:
    """Whether there is a table of this name, ``schema.table`` or one of the default schema."""
    schema, _, name = table.rpartition(".")
    quoted = f'"{schema}"."{name}"' if schema else f'"{name}"'
    if con.name == "postgres":
        return rows(con, "SELECT to_regclass(?) IS NOT NULL", [quoted])[0][0]
    if not schema:  # a temporary view may have this name
        where = "schema_name = current_schema() AND NOT temporary"
        return bool(rows(con, f"SELECT 1 FROM duckdb_tables() WHERE table_name = ? AND {where}", [name]))
    import duckdb

    # Each step asks; a look into the catalogue, of which DuckDB makes a table first, takes five times as long.
    try:
        run(con, f"SELECT 1 FROM {quoted} LIMIT 0")
    except duckdb.CatalogException:
        return False
    return True


def columns(con: Connection, table: str) -> dict[str, str]:
    """Columns and their types, in order, of ``schema.table`` or a table of the default schema; empty without one."""
    schema, _, name = table.rpartition(".")
    where = "table_schema = ?" if schema else "table_schema = current_schema()"
    selected = f"SELECT column_name, data_type FROM information_schema.columns WHERE table_name = ? AND {where}"
    return dict(rows(con, f"{selected} ORDER BY ordinal_position", [name, *([schema] if schema else [])]))


def write(con: Connection, sql: str, values: Sequence[Any] = ()) -> int:
    """Execute one statement that writes rows. Returns how many. values: for its question marks."""
    done = _execute(con, sql, values)
    return done.fetchone()[0] if con.name == "duckdb" else done.rowcount


# Ibis takes longer to write a statement than DuckDB to run it over a day of flights.
_statements: dict[tuple[str, Hashable], str] = {}


def to_sql(con: Connection, rows: ir.Table) -> str:
    """The expression as a statement, which is written once per process."""
    import ibis

    key = (con.name, rows.op())
    if key not in _statements:
        # Without a connection of Ibis's own, which would take pandas.
        _statements[key] = getattr(ibis, con.name).compile(rows)
    return _statements[key]


def staging_name(pipeline: str, partition: Partition, part: str) -> str:
    """Name of a staging table, of at most 63 bytes as PostgreSQL takes it."""
    name = f"{pipeline}_{partition.key.replace('-', '')}_{part}"
    return name if len(name) <= LONGEST_NAME else f"{name[:30]}_{sha256(name.encode()).hexdigest()[:24]}"


def letters(item: str) -> str:
    """A name for an item of lower-case letters alone, as names of staging tables end."""
    return "".join(chr(ord("a") + int(digit, 16)) for digit in sha256(item.encode()).hexdigest()[:12])


def name_staged(con: Connection, *, more: str = "", **names: str) -> None:
    """Let expressions over ``ibis.table(schema, name="raw")`` read a staging table: ``raw="orders_..._raw"``.

    more: columns to add, as SQL.
    """
    columns = f"*, {more}" if more else "*"
    for short, name in names.items():
        run(con, f'CREATE OR REPLACE TEMP VIEW "{short}" AS SELECT {columns} FROM {STAGING}."{name}"')


def count_staged(con: Connection, name: str) -> int:
    return con.con.execute(f'SELECT count(*) FROM {STAGING}."{name}"').fetchone()[0]


def stage(con: Connection, name: str, rows: ir.Table) -> int:
    """Replace a staging table with the rows of an expression over the same warehouse. Returns the number of rows."""
    _clear_staged(con, name)
    return write(con, f'CREATE TABLE {STAGING}."{name}" AS {to_sql(con, rows)}')


@contextmanager
def file_reader(con: Connection) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB connection to read files with, whatever the warehouse is: it streams, and keeps lines it cannot split.

    It is the warehouse's own where that is DuckDB, so that rows of any number go straight into it.
    """
    import duckdb

    if con.name == "duckdb":
        for table in ("reject_errors", "reject_scans"):  # of the file read before
            run(con, f"DROP TABLE IF EXISTS temp.{table}")
        yield con.con
        return
    settings = config.load().warehouse
    with duckdb.connect(config={"memory_limit": settings.memory_limit, "threads": settings.threads}) as reader:
        yield reader


def stage_query(con: Connection, name: str, reader: duckdb.DuckDBPyConnection, query: str) -> int:
    """Replace a staging table with the result of a query on the `file_reader`. Returns the number of rows."""
    _clear_staged(con, name)
    if reader is con.con:
        return write(con, f'CREATE TABLE {STAGING}."{name}" AS {query}')
    return _copy(reader, query, con, f'{STAGING}."{name}"')


def _copy(reader: duckdb.DuckDBPyConnection, query: str, con: Connection, table: str) -> int:
    """Make a table of PostgreSQL from a query of DuckDB. Returns the number of rows."""
    from sqlglot.expressions import DataType

    described = reader.execute(f"DESCRIBE {query}").fetchall()
    columns = ", ".join(
        f'"{name}" {DataType.build(kind, dialect="duckdb").sql("postgres")}' for name, kind, *_ in described
    )
    run(con, f"CREATE TABLE {table} ({columns})")
    # As a file, which both read and write by themselves; an empty text is quoted, a null is not.
    with tempfile.TemporaryDirectory(prefix="staged-") as folder:
        file = Path(folder) / "rows.csv"
        reader.execute(f"COPY ({query}) TO '{file}' (FORMAT csv, HEADER false, NULLSTR '', FORCE_QUOTE *)")
        with con.con.cursor() as cursor:
            with file.open("rb") as lines, cursor.copy(f"COPY {table} FROM STDIN (FORMAT csv)") as copy:
                while piece := lines.read(COPY_BYTES):
                    copy.write(piece)
            return cursor.rowcount


def _clear_staged(con: Connection, name: str) -> None:
    run(con, f"CREATE SCHEMA IF NOT EXISTS {STAGING}")
    drop_staged(con, name)


def staged_by(con: Connection, pipeline: str) -> list[str]:
    """Names of the staging tables of a pipeline."""
    selected = "SELECT table_name FROM information_schema.tables WHERE table_schema = ?"
    form = re.compile(rf"{re.escape(pipeline)}_(all|[0-9]{{6,8}}(T[0-9]{{2}}Z)?)_[a-z]+")
    return [name for (name,) in rows(con, selected, [STAGING]) if form.fullmatch(name)]


def drop_staged(con: Connection, *names: str) -> None:
    if not names:
        return
    # In one go, as each is a transaction; with the views of `name_staged`.
    run(con, "; ".join(f'DROP TABLE IF EXISTS {STAGING}."{name}" CASCADE' for name in names))


def replace_partition(
    con: Connection,
    column: str,
    partition: Partition,
    tables: Mapping[str, ir.Table],
    done: Callable[[Mapping[str, int]], None],
) -> dict[str, int]:
    """Replace one partition in each table, all in one transaction; a missing table is created.

    column: the partition column of every table, see `Partition.predicate`; empty without partitions.
    done: called within the transaction with the rows in the new partition by table, which are also returned.
    """
    existing = published(con)
    written = {}
    with transaction(con, lock=" ".join(sorted(tables))):
        for name, rows in tables.items():
            if name not in existing:
                _create_like(con, name, rows)
            is_date = bool(column) and rows.schema()[column].is_date()
            run(con, f'DELETE FROM "{name}" WHERE {partition.predicate(column, is_date)}')
            columns = ", ".join(f'"{label}"' for label in rows.columns)
            written[name] = write(con, f'INSERT INTO "{name}" ({columns}) {to_sql(con, rows)}')
        done(written)
    return written


def published(con: Connection) -> set[str]:
    """Names of all tables in the default schema."""
    tables = "SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema()"
    return {name for (name,) in rows(con, tables)}


def _create_like(con: Connection, name: str, rows: ir.Table) -> None:
    # In the same transaction as the rows, and with all columns nullable: the contract checks, the table stores.
    run(con, f'CREATE TABLE IF NOT EXISTS "{name}" AS SELECT * FROM ({to_sql(con, rows)}) AS t WHERE false')
