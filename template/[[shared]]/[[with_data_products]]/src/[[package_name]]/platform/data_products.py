"""Data products: what all pipelines of this shape do alike, from files that land to tables that others build on.

wait for input → load (the files as text) → build (dbt: models, and tests of their rows) → publish (one transaction)

dbt builds into a schema of its own, where nobody reads. Only what has passed every test is copied into the published
tables, one partition of all of them in one transaction; when a test fails, the tables stay as they were.
`pipelines/<name>/dbt/` holds the models, which get these variables:

| variable | what it is |
|---|---|
| `partition_key` | the partition's key; landed rows have it in the column of this name |
| `in_partition` | a condition in SQL, true of the partition's rows in the published tables |
| `partition_start` | the partition's first moment, in the type of the partition column |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING

from . import (
    config,
    contracts,
    dbt,
    late_input,
    lineage,
    logging,
    openlineage,
    publications,
    steps,
    warehouse,
)
from .batch_etl import BatchEtl
from .errors import PermanentError
from .partitions import Grain, Partition
from .runs import current_run
from .sources import name as quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .pipelines import Pipeline
    from .sources import Source
    from .warehouse import Connection

STEPS = ("wait_for_input", "load", "build", "publish")
REFERENCE = Partition("reference", Grain.NONE)  # its folder in landing
ROW = {"partition_key": "text", "source_row": "bigint", "loaded_at": "timestamp"}  # columns before those of the file
BUILT = "built_partitions"


class DataProducts:
    """The steps of one pipeline.

    landed: sources of rows by the name of their table, a file for each partition. reference: the same of what has no
    partitions and is replaced as a whole by each run; its files are in landing's folder ``reference``.
    by_instant: whether the partition column is a timestamp in UTC; otherwise it is a local date.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        landed: Mapping[str, Source],
        reference: Mapping[str, Source] | None = None,
        by_instant: bool = False,
    ) -> None:
        self.pipeline, self.landed, self.reference, self.by_instant = pipeline, landed, reference or {}, by_instant
        self.quarantine = f"{pipeline.tables[0]}_quarantine"
        waiting = BatchEtl(pipeline, next(iter(landed.values())))
        self.input_ready, self.wait_for_input = waiting.input_ready, waiting.wait_for_input

    @property
    def columns(self) -> dict[str, list[str]]:
        """The columns of each landed table."""
        return {name: [*ROW, *source.columns] for name, source in {**self.landed, **self.reference}.items()}

    def load(self, partition: Partition) -> dict[str, int]:
        """Load the partition's files as text. Lines that cannot be split into fields are set aside.

        Returns rows by kind: read, quarantined. Raises InputError when a file is not what its source says,
        ContractError when too many lines are broken.
        """
        with (
            steps.step(self.pipeline, "load", partition) as report,
            warehouse.connect() as con,
            publications.held(con, self.pipeline, partition, "load", first=True),
        ):
            late_input.note(con, self.pipeline, partition)
            read = broken = 0
            for name, source in {**self.landed, **self.reference}.items():
                place = partition if name in self.landed else REFERENCE
                staged = [
                    warehouse.staging_name(self.pipeline.name, partition, f"{name}_{part}")
                    for part in ("raw", "broken")
                ]
                rows, set_aside = source.load(con, self.pipeline, place, *staged)
                if name in self.landed:
                    read, broken = read + rows + set_aside, broken + set_aside
                self._land(con, partition, name, source.columns, *staged)
                warehouse.drop_staged(con, *staged)
            report.rows = {"read": read, "quarantined": broken}
            contracts.refuse_share(self.pipeline.settings.quality, broken, read, "lines cannot be read")
        return report.rows

    def build(
        self, partition: Partition, watch: dbt.Watcher | None = None, run: dbt.Runner | None = None
    ) -> dict[str, int]:
        """Build the partition's models and test their rows.

        watch: gets each model and test when it starts and when it has ended. run: what runs dbt, where an engine does
        that itself. Returns rows by kind: kept and quarantined of the first table, and how many
        models and tests there were. Raises ContractError when a test fails or [quality] is not met.
        """
        with (
            steps.step(self.pipeline, "build", partition) as report,
            publications.held_apart(self.pipeline, partition, "build"),
        ):
            self._note(partition, built=False)
            with self._alone():
                nodes = dbt.build(self.pipeline, self.variables(partition), watch, run)
            counts = {kind: sum(node.kind == kind for node in nodes) for kind in ("model", "test")}
            report.rows = self._counted(partition) | {"models": counts["model"], "tests": counts["test"]}
            self._enforce(report.rows)
            self._note(partition, built=True)
            lineage.record(self.pipeline)
            openlineage.built(self.pipeline, partition)
            warned = [node.name for node in nodes if node.status == "warn"]
            if warned:
                logging.get_logger().warning("tests warn", tests=warned)
        return report.rows

    def publish(self, partition: Partition) -> dict[str, int]:
        """Replace the partition in every published table and in the quarantine, in one transaction.

        Returns the rows in each table's new partition. Another time changes nothing.
        """
        with steps.work(self.pipeline, "publish", partition) as (report, con):
            self._refuse_unbuilt(con, partition)
            tables = [*self.pipeline.tables, *([self.quarantine] if self._has_quarantine else [])]
            with warehouse.transaction(con, lock=" ".join(sorted(tables))):
                written = {name: self._replace(con, partition, name) for name in tables}
                report.rows = {name: written[name] for name in self.pipeline.tables}
                publications.record(con, self.pipeline, partition, current_run(), report.rows)
        return report.rows

    def variables(self, partition: Partition) -> dict[str, str]:
        """What the models know of the partition."""
        start = "NULL"
        if partition.start:
            utc = partition.start.astimezone(UTC)
            start = f"TIMESTAMP '{utc:%Y-%m-%d %H:%M:%S}'" if self.by_instant else f"DATE '{partition.first_date}'"
        inside = partition.predicate(self.pipeline.partition_column, not self.by_instant)
        return {"partition_key": partition.key, "in_partition": inside, "partition_start": start}

    @cached_property
    def _has_quarantine(self) -> bool:
        return any(dbt.folder(self.pipeline).glob(f"models/**/{self.quarantine}.sql"))

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One dbt at a time in this warehouse, over all machines: its models are one set of tables."""
        with ExitStack() as opened:
            if not config.load().warehouse.is_file:
                con = opened.enter_context(warehouse.connect())
                name = dbt.models_schema(self.pipeline)
                warehouse.run(con, f"SELECT pg_advisory_lock(hashtextextended('{name}', 0))")  # until it is closed
            yield

    def _land(
        self, con: Connection, partition: Partition, name: str, columns: Sequence[str], raw: str, broken: str
    ) -> None:
        """Replace the partition's rows in a landed table with those of a file."""
        schema = dbt.landed_schema(self.pipeline)
        table, lines = f'{schema}."{name}"', f'{schema}."{dbt.BROKEN}"'
        wanted = {**ROW, **dict.fromkeys(columns, "text")}
        named = ", ".join(quoted(each) for each in columns)
        with warehouse.transaction(con, lock=schema):
            warehouse.run(con, f"CREATE SCHEMA IF NOT EXISTS {schema}")
            for each, kinds in (
                (table, wanted),
                (lines, {**ROW, **dict.fromkeys(("file", "reason", "record"), "text")}),
            ):
                described = ", ".join(f"{quoted(column)} {kind}" for column, kind in kinds.items())
                warehouse.run(con, f"CREATE TABLE IF NOT EXISTS {each} ({described})")
            there = warehouse.columns(con, table.replace('"', ""))
            for column in [each for each in wanted if each not in there]:
                warehouse.run(con, f"ALTER TABLE {table} ADD COLUMN {quoted(column)} {wanted[column]}")
            # Written out, as the names of columns may hold anything.
            key, now = f"'{partition.key}'", f"TIMESTAMP '{datetime.now(UTC):%Y-%m-%d %H:%M:%S}'"
            warehouse.run(
                con, f"DELETE FROM {table}" + ("" if name in self.reference else f" WHERE partition_key = {key}")
            )
            warehouse.run(con, f"DELETE FROM {lines} WHERE partition_key = {key} AND file = '{name}'")
            head = f"INSERT INTO {table} (partition_key, source_row, loaded_at, {named})"
            rows = f'SELECT {key}, source_row, {now}, {named} FROM {warehouse.STAGING}."{raw}"'
            warehouse.run(con, f"{head} {rows}")
            head = f"INSERT INTO {lines} SELECT {key}, source_row, {now}, '{name}', reason, record"
            warehouse.run(con, f'{head} FROM {warehouse.STAGING}."{broken}"')

    def _note(self, partition: Partition, built: bool) -> None:
        """Note that this run has built the partition and every test has passed, or that this is not so yet."""
        table, run = f"{dbt.landed_schema(self.pipeline)}.{BUILT}", " ".join(current_run().owner)
        with warehouse.connect() as con:
            warehouse.run(con, f"CREATE TABLE IF NOT EXISTS {table} (partition_key text, run text)")
            warehouse.run(con, f"DELETE FROM {table} WHERE partition_key = ?", [partition.key])
            if built:
                warehouse.run(con, f"INSERT INTO {table} VALUES (?, ?)", [partition.key, run])

    def _refuse_unbuilt(self, con: Connection, partition: Partition) -> None:
        table, run = f"{dbt.landed_schema(self.pipeline)}.{BUILT}", " ".join(current_run().owner)
        selected = f"SELECT 1 FROM {table} WHERE partition_key = ? AND run = ?"
        if not (warehouse.columns(con, table) and warehouse.rows(con, selected, [partition.key, run])):
            raise PermanentError(
                f"{self.pipeline.name} {partition} was not built by this run, or a test has failed; nothing was "
                "published: run it again from its first step"
            )

    def _counted(self, partition: Partition) -> dict[str, int]:
        inside = self.variables(partition)["in_partition"]
        names = {"kept": self.pipeline.tables[0], **({"quarantined": self.quarantine} if self._has_quarantine else {})}
        with warehouse.connect() as con:
            counted = {
                kind: warehouse.rows(
                    con, f'SELECT count(*) FROM {dbt.models_schema(self.pipeline)}."{name}" WHERE {inside}'
                )[0][0]
                for kind, name in names.items()
                if warehouse.has(con, f"{dbt.models_schema(self.pipeline)}.{name}")
            }
        return {"kept": 0, "quarantined": 0} | counted

    def _enforce(self, rows: Mapping[str, int]) -> None:
        quality, kept, quarantined = self.pipeline.settings.quality, rows["kept"], rows["quarantined"]
        contracts.refuse_share(quality, quarantined, kept + quarantined, "rows break a rule")
        contracts.refuse_number(quality, kept)

    def _replace(self, con: Connection, partition: Partition, name: str) -> int:
        """Replace the partition in one published table. Returns its rows."""
        source = f"{dbt.models_schema(self.pipeline)}.{name}"
        given = warehouse.columns(con, source)
        if not given:
            raise PermanentError(
                f"dbt has no model {name}, which is one of the tables that {self.pipeline.name} publishes"
            )
        warehouse.run(con, f'CREATE TABLE IF NOT EXISTS "{name}" AS SELECT * FROM {source} WHERE false')
        there = warehouse.columns(con, name)
        if lost := [column for column in there if column not in given]:
            raise PermanentError(
                f"{name} is published with {', '.join(lost)}, which its model lacks now: "
                "give the model a new version, or drop the columns from the published table"
            )
        for column in [each for each in given if each not in there]:
            warehouse.run(con, f'ALTER TABLE "{name}" ADD COLUMN "{column}" {given[column]}')
        inside = self.variables(partition)["in_partition"]
        named = ", ".join(f'"{column}"' for column in given)
        warehouse.run(con, f'DELETE FROM "{name}" WHERE {inside}')
        warehouse.run(con, f'INSERT INTO "{name}" ({named}) SELECT {named} FROM {source} WHERE {inside}')
        return warehouse.rows(con, f'SELECT count(*) FROM "{name}" WHERE {inside}')[0][0]
