"""Dead letters: rows that a contract has refused, in the quarantine table of their pipeline, until they are replayed.
Data products keep lines that cannot be split into fields in a table of their own, which counts as well.

None is lost: a run replaces those of its partition in the transaction that publishes the partition, so a row is gone
from the quarantine only when a run has read the input again, and published it or refused it once more.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from . import dbt, warehouse
from .partitions import ALL, Partition

if TYPE_CHECKING:
    from .pipelines import Pipeline
    from .warehouse import Connection

RECORD = ("source_row", "reason", "record")
KEY = "partition_key"  # the column that holds a partition's key as text


@dataclass(frozen=True)
class DeadLetters:
    """Rows of a partition that were refused for one reason. rows: how many. table: where they are."""

    table: str
    pipeline: str
    partition: Partition
    reason: str
    rows: int


def of_pipeline(pipeline: Pipeline, partition: Partition | None = None, reason: str = "") -> list[DeadLetters]:
    """What waits in the quarantine, by partition and reason, in order; of one partition or of all.

    reason: a text that the reasons contain.
    """
    letters = []
    with warehouse.connect() as con:
        for table, column in _tables(pipeline).items():
            if not warehouse.has(con, table):
                continue
            inside = f" WHERE {_inside(con, pipeline, table, partition)}" if partition else ""
            named = f'"{column}"' if column else "NULL"
            rows = warehouse.rows(con, f"SELECT {named}, reason, count(*) FROM {table}{inside} GROUP BY 1, 2")
            letters += [
                DeadLetters(table, pipeline.name, _partition(pipeline, at), why, number)
                for at, why, number in rows
                if reason in why
            ]
    return sorted(letters, key=lambda each: (each.partition.key, -each.rows, each.reason))


def records(letters: DeadLetters, pipeline: Pipeline, limit: int) -> list[dict[str, Any]]:
    """The first of these rows: source_row, reason, and record, the text that came, where the quarantine keeps it."""
    table = letters.table
    with warehouse.connect() as con:
        there = [name for name in RECORD if name in warehouse.columns(con, table)]
        inside = _inside(con, pipeline, table, letters.partition)
        named = f"{', '.join(there)} FROM {table}"
        selected = f"SELECT {named} WHERE {inside} AND reason = ? ORDER BY source_row LIMIT {limit}"
        return [dict(zip(there, row, strict=True)) for row in warehouse.rows(con, selected, [letters.reason])]


def partitions_of(letters: Iterable[DeadLetters]) -> list[Partition]:
    """The partitions that a replay has to run, each once, in order."""
    return sorted({each.partition for each in letters}, key=lambda partition: partition.key)


def _tables(pipeline: Pipeline) -> dict[str, str]:
    """The tables that may hold dead letters, each with the column that says of which partition."""
    lines = f"{dbt.landed_schema(pipeline)}.{dbt.BROKEN}"
    return {f"{pipeline.tables[0]}_quarantine": pipeline.partition_column, lines: KEY}


def _inside(con: Connection, pipeline: Pipeline, table: str, partition: Partition) -> str:
    """A SQL condition that is true of the partition's rows in this table."""
    column = _tables(pipeline)[table]
    if column == KEY:
        return f"{KEY} = '{partition.key}'"
    is_date = bool(column) and warehouse.columns(con, table)[column].lower() == "date"
    return partition.predicate(column, is_date)


def _partition(pipeline: Pipeline, at: Any) -> Partition:
    """The partition of a key, or of a value of the partition column: a local date, or a timestamp in UTC."""
    calendar = pipeline.calendar
    if at is None or isinstance(at, str):
        return pipeline.partition(at or ALL)
    if isinstance(at, datetime):
        return calendar.containing(at.replace(tzinfo=UTC))
    return calendar.containing(datetime(at.year, at.month, at.day, tzinfo=calendar.zone))
