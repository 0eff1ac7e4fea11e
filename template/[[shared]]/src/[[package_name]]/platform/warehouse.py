"""The warehouse: where tables are, behind one URL. A DuckDB file by default, PostgreSQL by changing that URL.

The schema ``staging`` holds the work between steps, one table per partition and step. The default schema holds the
published tables. A publication replaces one partition of them in one transaction.
"""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from . import config, secrets

if TYPE_CHECKING:
    import duckdb
    import ibis.expr.types as ir
    import pyarrow as pa
    from ibis.backends.sql import SQLBackend

    from .partitions import Partition

STAGING = "staging"
LONGEST_NAME = 63
LOCK_POLL_SECONDS = 0.05
CONNECT_SECONDS = 30
ROWS_AT_ONCE = 100_000


class WarehouseError(Exception):
    """The warehouse cannot be reached or has no room; trying again may help."""


def describe(settings: config.Settings) -> str:
    """Where the warehouse is, without any credential."""
    parts = urlsplit(settings.warehouse.url)
    if parts.scheme == "duckdb":
        path = duckdb_path(settings)
        return str(path.relative_to(settings.root) if path.is_relative_to(settings.root) else path)
    return f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}{parts.path}"


class Connection:
    """A connection to the warehouse. name: ``duckdb`` or ``postgres``. con: that of the database's own driver.

    Everything else is Ibis's, over the same connection; it loads when it is first asked for, as that takes a second.
    """

    def __init__(self, name: str, con: Any) -> None:
        self.name, self.con = name, con

    @cached_property
    def ibis(self) -> SQLBackend:
        import ibis

        return getattr(ibis, self.name).from_connection(self.con)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.ibis, name)


@contextmanager
def connect(settings: config.Settings | None = None) -> Iterator[SQLBackend]:
    """A connection to the warehouse, closed afterwards; each statement commits unless in `transaction`.

    Raises WarehouseError when it cannot be reached, or a DuckDB file stays locked by another process for longer than
    ``warehouse.lock_timeout_seconds``.
    """
    settings = settings or config.load()
    scheme = urlsplit(settings.warehouse.url).scheme
    if scheme not in OPENERS:
        raise config.ConfigError(f"warehouse.url starts with {scheme!r}: use one of {', '.join(OPENERS)}")
    con = OPENERS[scheme](settings)
    try:
        yield con
    finally:
        con.con.close()


def duckdb_path(settings: config.Settings) -> Path:
    return settings.root / settings.warehouse.url.removeprefix("duckdb://")


def _open_duckdb(settings: config.Settings) -> Connection:
    import duckdb

    path = duckdb_path(settings)
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
            return Connection("duckdb", duckdb.connect(path, config=options))
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


def _open_postgresql(settings: config.Settings) -> Connection:
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
    return Connection("postgres", con)


OPENERS = {"duckdb": _open_duckdb, "postgresql": _open_postgresql}


@contextmanager
def transaction(con: SQLBackend, lock: str) -> Iterator[None]:
    """All statements in the body, or none. lock: a name; two bodies with the same one do not run at once."""
    run(con, "BEGIN")
    try:
        if con.name == "postgres":
            run(con, f"SELECT pg_advisory_xact_lock(hashtextextended('{lock}', 0))")
        yield
        run(con, "COMMIT")
    except BaseException:
        _roll_back(con)
        raise


def _roll_back(con: SQLBackend) -> None:
    try:
        run(con, "ROLLBACK")
    except Exception:  # noqa: BLE001  a failed commit has ended the transaction already; the first error is the one to show
        return


def run(con: SQLBackend, sql: str, values: Sequence[Any] = ()) -> None:
    """Execute one statement that returns nothing. values: for its question marks."""
    _execute(con, sql, values)


def rows(con: SQLBackend, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """All rows of a query. values: for its question marks."""
    return _execute(con, sql, values).fetchall()


def _execute(con: SQLBackend, sql: str, values: Sequence[Any]) -> Any:
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


def has(con: SQLBackend, table: str) -> bool:
    """Whether there is a table of this name, ``schema.table`` or one of the default schema."""
    schema, _, name = table.rpartition(".")
    where = "table_schema = ?" if schema else "table_schema = current_schema()"
    selected = f"SELECT 1 FROM information_schema.tables WHERE table_name = ? AND {where}"
    return bool(rows(con, selected, [name, *([schema] if schema else [])]))


def columns(con: SQLBackend, table: str) -> dict[str, str]:
    """Columns and their types, in order, of ``schema.table`` or a table of the default schema; empty without one."""
    schema, _, name = table.rpartition(".")
    where = "table_schema = ?" if schema else "table_schema = current_schema()"
    selected = f"SELECT column_name, data_type FROM information_schema.columns WHERE table_name = ? AND {where}"
    return dict(rows(con, f"{selected} ORDER BY ordinal_position", [name, *([schema] if schema else [])]))


def _write(con: SQLBackend, sql: str) -> int:
    """Execute one statement that writes rows. Returns how many."""
    done = con.con.execute(sql)
    return done.fetchone()[0] if con.name == "duckdb" else done.rowcount


# Ibis takes longer to write a statement than DuckDB to run it over a day of flights.
_statements: dict[tuple[str, Hashable], str] = {}


def to_sql(con: SQLBackend, rows: ir.Table) -> str:
    """The expression as a statement, which is written once per process."""
    key = (con.name, rows.op())
    if key not in _statements:
        _statements[key] = con.compile(rows)
    return _statements[key]


def staging_name(pipeline: str, partition: Partition, part: str) -> str:
    """Name of a staging table, of at most 63 bytes as PostgreSQL takes it."""
    name = f"{pipeline}_{partition.key.replace('-', '')}_{part}"
    return name if len(name) <= LONGEST_NAME else f"{name[:30]}_{sha256(name.encode()).hexdigest()[:24]}"


def name_staged(con: SQLBackend, **names: str) -> None:
    """Let expressions over ``ibis.table(schema, name="raw")`` read a staging table: ``raw="orders_..._raw"``."""
    for short, name in names.items():
        run(con, f'CREATE OR REPLACE TEMP VIEW "{short}" AS SELECT * FROM {STAGING}."{name}"')


def count_staged(con: SQLBackend, name: str) -> int:
    return con.con.execute(f'SELECT count(*) FROM {STAGING}."{name}"').fetchone()[0]


def stage(con: SQLBackend, name: str, rows: ir.Table | pa.RecordBatchReader) -> int:
    """Replace a staging table with rows: an expression over the same warehouse, or a stream of Arrow batches.

    Returns the number of rows.
    """
    _clear_staged(con, name)
    if hasattr(rows, "read_next_batch"):
        return LOADERS[con.name](con, name, rows)
    return _write(con, f'CREATE TABLE {STAGING}."{name}" AS {to_sql(con, rows)}')


@contextmanager
def file_reader(con: SQLBackend) -> Iterator[duckdb.DuckDBPyConnection]:
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


def stage_query(con: SQLBackend, name: str, reader: duckdb.DuckDBPyConnection, query: str) -> int:
    """Replace a staging table with the result of a query on the `file_reader`. Returns the number of rows."""
    if reader is not con.con:
        return stage(con, name, reader.execute(query).to_arrow_reader(ROWS_AT_ONCE))
    _clear_staged(con, name)
    return _write(con, f'CREATE TABLE {STAGING}."{name}" AS {query}')


def _clear_staged(con: SQLBackend, name: str) -> None:
    run(con, f"CREATE SCHEMA IF NOT EXISTS {STAGING}")
    drop_staged(con, name)


def staged_by(con: SQLBackend, pipeline: str) -> list[str]:
    """Names of the staging tables of a pipeline."""
    selected = "SELECT table_name FROM information_schema.tables WHERE table_schema = ?"
    form = re.compile(rf"{re.escape(pipeline)}_(all|[0-9]{{6,8}}(T[0-9]{{2}}Z)?)_[a-z]+")
    return [name for (name,) in rows(con, selected, [STAGING]) if form.fullmatch(name)]


def drop_staged(con: SQLBackend, *names: str) -> None:
    if not names:
        return
    # In one go, as each is a transaction; with the views of `name_staged`.
    run(con, "; ".join(f'DROP TABLE IF EXISTS {STAGING}."{name}" CASCADE' for name in names))


def _load_duckdb(con: SQLBackend, name: str, rows: pa.RecordBatchReader) -> int:
    import pyarrow.parquet as pq

    # Through a file: DuckDB loads pandas to read a stream of Arrow.
    with tempfile.TemporaryDirectory(prefix="staged-") as folder:
        with pq.ParquetWriter(f"{folder}/rows.parquet", rows.schema) as file:
            for batch in rows:
                file.write_batch(batch)
        return _write(con, f"CREATE TABLE {STAGING}.\"{name}\" AS SELECT * FROM '{folder}/rows.parquet'")


def _load_postgres(con: SQLBackend, name: str, rows: pa.RecordBatchReader) -> int:
    import ibis

    con.create_table(name, schema=ibis.Schema.from_pyarrow(rows.schema), database=STAGING)
    with con.con.cursor() as cursor:
        with cursor.copy(f'COPY {STAGING}."{name}" FROM STDIN') as copy:
            for batch in rows:
                for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                    copy.write_row(row)
        return cursor.rowcount


LOADERS = {"duckdb": _load_duckdb, "postgres": _load_postgres}


def replace_partition(
    con: SQLBackend,
    column: str,
    partition: Partition,
    tables: Mapping[str, ir.Table],
    done: Callable[[Mapping[str, int]], None],
) -> dict[str, int]:
    """Replace one partition in each table, all in one transaction; a missing table is created.

    column: the partition column of every table, see `Partition.predicate`; empty without partitions.
    done: called within the transaction with the rows in the new partition by table, which are also returned.
    """
    existing = _published(con)
    written = {}
    with transaction(con, lock=" ".join(sorted(tables))):
        for name, rows in tables.items():
            if name not in existing:
                _create_like(con, name, rows)
            is_date = bool(column) and rows.schema()[column].is_date()
            run(con, f'DELETE FROM "{name}" WHERE {partition.predicate(column, is_date)}')
            columns = ", ".join(f'"{label}"' for label in rows.columns)
            written[name] = _write(con, f'INSERT INTO "{name}" ({columns}) {to_sql(con, rows)}')
        done(written)
    return written


def _published(con: SQLBackend) -> set[str]:
    tables = "SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema()"
    return {name for (name,) in con.con.execute(tables).fetchall()}


def _create_like(con: SQLBackend, name: str, rows: ir.Table) -> None:
    # In the same transaction as the rows, and with all columns nullable: the contract checks, the table stores.
    run(con, f'CREATE TABLE IF NOT EXISTS "{name}" AS SELECT * FROM ({to_sql(con, rows)}) AS t WHERE false')


def batches(con: SQLBackend, table: ir.Table, rows: int, number: str, max_rows: int) -> Iterable[pa.Table]:
    """A table of so many rows in pieces of about ``max_rows``. number: a column that counts the rows from 1."""
    for first in range(0, max(rows, 1), max_rows):
        piece = table if rows <= max_rows else table.filter(table[number].between(first + 1, first + max_rows))
        # DuckDB hands over Arrow itself; Ibis would load pandas for it.
        yield con.con.execute(con.compile(piece)).to_arrow_table() if con.name == "duckdb" else con.to_pyarrow(piece)
