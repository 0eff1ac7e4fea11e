"""Which orchestrator has which partitions of a pipeline, once it was handed over: the table ``platform.assignments``.

A row gives an orchestrator all partitions from one key on, until the next row. `claim` in `publications` asks it, so a
run of any other orchestrator can publish none of them, whatever schedules are still on. Without a row, the schedule
decides alone, and a partition may be run by hand on each orchestrator.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from . import publications, warehouse
from .errors import PartitionElsewhere

if TYPE_CHECKING:
    from .partitions import Partition
    from .pipelines import Pipeline
    from .runs import Run
    from .warehouse import Connection

TABLE = "platform.assignments"
COLUMNS = 'pipeline text, from_partition text, engine text, "at" timestamp, PRIMARY KEY (pipeline, from_partition)'


@dataclass(frozen=True)
class Assignment:
    """engine: the orchestrator that has the partitions from this key on; an empty key stands before all others."""

    from_partition: str
    engine: str


def of_pipeline(con: Connection, pipeline: Pipeline) -> list[Assignment]:
    """The assignments of a pipeline in the order of their partitions; empty when it was never handed over."""
    if not warehouse.has(con, TABLE):
        return []
    selected = f"SELECT from_partition, engine FROM {TABLE} WHERE pipeline = ? ORDER BY from_partition"
    return [Assignment(*row) for row in warehouse.rows(con, selected, [pipeline.name])]


def owner(con: Connection, pipeline: Pipeline, partition: Partition) -> str:
    """The orchestrator that a partition belongs to; empty when the pipeline was never handed over."""
    before = [each for each in of_pipeline(con, pipeline) if each.from_partition <= partition.key]
    return before[-1].engine if before else ""


def refuse_another(con: Connection, pipeline: Pipeline, partition: Partition, run: Run) -> None:
    """Raise PartitionElsewhere for a run of another orchestrator; within the transaction that claims the partition.

    No hand-over takes place until that transaction has ended.
    """
    _lock(con, pipeline, "_shared")
    belongs_to = owner(con, pipeline, partition)
    if run.engine and belongs_to not in ("", run.engine):
        raise PartitionElsewhere(
            f"{pipeline.name} {partition} belongs to {belongs_to}, to which it was handed over, and this run is of "
            f"{run.engine}: it has published nothing"
        )


def hand_over(con: Connection, pipeline: Pipeline, to: str, before: str) -> Assignment:
    """Give an orchestrator all partitions from the first one that no run has claimed or published.

    before: the orchestrator that has them, if none was noted yet. In one transaction, which changes nothing when the
    orchestrator has them already, so it may be repeated after a crash. Returns the assignment.
    """
    publications.prepare(con)
    with warehouse.transaction(con, lock=TABLE):
        warehouse.run(con, f"CREATE TABLE IF NOT EXISTS {TABLE} ({COLUMNS})")
    with warehouse.transaction(con):
        _lock(con, pipeline)
        known = of_pipeline(con, pipeline)
        if known and known[-1].engine == to:
            return known[-1]
        if not known:
            _assign(con, pipeline, Assignment("", before))
        first = max(_first_free(con, pipeline), known[-1].from_partition if known else "")
        _assign(con, pipeline, Assignment(first, to))
        return Assignment(first, to)


def _first_free(con: Connection, pipeline: Pipeline) -> str:
    """Key of the first partition after all that were claimed or published; empty when none was."""
    tables = (publications.CLAIMS, publications.PUBLISHED)
    keys = [f"SELECT max(partition) FROM {table} WHERE pipeline = '{pipeline.name}'" for table in tables]
    taken = max((key or "" for (key,) in warehouse.rows(con, " UNION ALL ".join(keys))), default="")
    return pipeline.calendar.following(pipeline.partition(taken)).key if taken else ""


def _assign(con: Connection, pipeline: Pipeline, assignment: Assignment) -> None:
    key = [pipeline.name, assignment.from_partition]
    warehouse.run(con, f"DELETE FROM {TABLE} WHERE pipeline = ? AND from_partition = ?", key)
    now = datetime.now(UTC).replace(tzinfo=None)
    warehouse.run(con, f"INSERT INTO {TABLE} VALUES (?, ?, ?, ?)", [*key, assignment.engine, now])


def _lock(con: Connection, pipeline: Pipeline, kind: str = "") -> None:
    """Until the transaction ends: claims take it together, a hand-over alone. A DuckDB file has one writer anyway."""
    if con.name == "postgres":
        name = f"hand over {pipeline.name}"
        warehouse.run(con, f"SELECT pg_advisory_xact_lock{kind}(hashtextextended('{name}', 0))")
