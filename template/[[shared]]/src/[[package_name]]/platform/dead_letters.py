"""Dead letters: rows that a contract has refused, in the quarantine table of their pipeline, until they are replayed.

None is lost: a run replaces those of its partition in the transaction that publishes the partition, so a row is gone
from the quarantine only when a run has read the input again, and published it or refused it once more.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from . import warehouse
from .partitions import Partition

if TYPE_CHECKING:
    from .pipelines import Pipeline
    from .warehouse import Connection

RECORD = ("source_row", "reason", "record")


@dataclass(frozen=True)
class DeadLetters:
    """Rows of a partition that were refused for one reason. rows: how many."""

    pipeline: str
    partition: Partition
    reason: str
    rows: int


def quarantine(pipeline: Pipeline) -> str:
    """The name of the pipeline's quarantine table."""
    return f"{pipeline.tables[0]}_quarantine"


def of_pipeline(pipeline: Pipeline, partition: Partition | None = None, reason: str = "") -> list[DeadLetters]:
    """What waits in the quarantine, by partition and reason, in order; of one partition or of all.

    reason: a text that the reasons contain.
    """
    table, column = quarantine(pipeline), pipeline.partition_column
    with warehouse.connect() as con:
        if not warehouse.has(con, table):
            return []
        inside = f" WHERE {_inside(con, pipeline, partition)}" if partition else ""
        named = f'"{column}"' if column else "NULL"
        counted = f'SELECT {named}, reason, count(*) FROM "{table}"{inside} GROUP BY 1, 2 ORDER BY 1, 3 DESC, 2'
        rows = warehouse.rows(con, counted)
    return [DeadLetters(pipeline.name, _partition(pipeline, at), why, n) for at, why, n in rows if reason in why]


def records(letters: DeadLetters, pipeline: Pipeline, limit: int) -> list[dict[str, Any]]:
    """The first of these rows: source_row, reason, and record, the text that came, where the quarantine keeps it."""
    table = quarantine(pipeline)
    with warehouse.connect() as con:
        there = [name for name in RECORD if name in warehouse.columns(con, table)]
        inside = _inside(con, pipeline, letters.partition)
        named = f'{", ".join(there)} FROM "{table}"'
        selected = f"SELECT {named} WHERE {inside} AND reason = ? ORDER BY source_row LIMIT {limit}"
        return [dict(zip(there, row, strict=True)) for row in warehouse.rows(con, selected, [letters.reason])]


def partitions_of(letters: Iterable[DeadLetters]) -> list[Partition]:
    """The partitions that a replay has to run, each once, in order."""
    return sorted({each.partition for each in letters}, key=lambda partition: partition.key)


def _inside(con: Connection, pipeline: Pipeline, partition: Partition) -> str:
    """A SQL condition that is true of the partition's rows in the quarantine."""
    column = pipeline.partition_column
    is_date = bool(column) and warehouse.columns(con, quarantine(pipeline))[column].lower() == "date"
    return partition.predicate(column, is_date)


def _partition(pipeline: Pipeline, at: Any) -> Partition:
    """The partition of a value of the partition column: a local date, or a timestamp in UTC."""
    calendar = pipeline.calendar
    if at is None:
        return pipeline.partition("all")
    if isinstance(at, datetime):
        return calendar.containing(at.replace(tzinfo=UTC))
    return calendar.containing(datetime(at.year, at.month, at.day, tzinfo=calendar.zone))
