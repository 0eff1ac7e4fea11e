"""Batch ETL: what all pipelines of this shape do alike, from a file that lands to tables that are published.

wait for input → extract (the file as text) → transform (typed rows) → check (against the contract) → publish (one
transaction). A step hands nothing over but its staging table, so steps may run in different processes.

A pipeline's own code is named by convention: ``transform.py`` has a function named like each table of the declaration.
That of the first table types the extracted text; the others are made of the rows that the check has kept.
``contract.py`` has
``CONTRACTS``, a dataframely schema for each table.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING

from . import publications, steps, warehouse
from .errors import ContractError, InputNotReady
from .runs import current_run

if TYPE_CHECKING:
    from types import ModuleType

    import ibis.expr.types as ir
    import polars as pl
    import pyarrow as pa
    from ibis.backends.sql import SQLBackend

    from .partitions import Partition
    from .pipelines import Pipeline
    from .sources import Source

STEPS = ("wait_for_input", "extract", "transform", "check", "publish")
STAGED = ("raw", "broken", "typed", "rejected")
# Columns that platform code adds to the rows of a file, and takes away again before they are published.
ROW = {"partition_date": "date", "partition_start": "timestamp", "source_row": "int64"}
UNREADABLE = "unreadable"
CHECK_ROWS_AT_ONCE = 100_000


class BatchEtl:
    """The steps of one pipeline. source: where the rows of a partition come from."""

    def __init__(self, pipeline: Pipeline, source: Source) -> None:
        self.pipeline, self.source = pipeline, source
        self.quarantine = f"{pipeline.tables[0]}_quarantine"

    def input_ready(self, partition: Partition) -> bool:
        """Whether the partition's input is complete."""
        return self.source.is_ready(self.pipeline, partition)

    def wait_for_input(self, partition: Partition, timeout_seconds: float | None = None) -> dict[str, int]:
        """Return when the partition's input is complete.

        Raises InputNotReady after that time, by default ``input_wait.timeout_seconds``. An engine that can wait without
        holding a worker asks `input_ready` itself, and calls this when the answer is yes.
        """
        wait = self.pipeline.settings.input_wait
        with steps.step(self.pipeline, "wait_for_input", partition) as report:
            deadline = time.monotonic() + (wait.timeout_seconds if timeout_seconds is None else timeout_seconds)
            while not self.input_ready(partition):
                if time.monotonic() >= deadline:
                    marker = self.source.describe(self.pipeline, partition, marker=True)
                    raise InputNotReady(f"no input: {marker} has not arrived")
                time.sleep(min(wait.poll_seconds, max(0.0, deadline - time.monotonic())))
            report.detail = self.source.describe(self.pipeline, partition)
        return report.rows

    def extract(self, partition: Partition) -> dict[str, int]:
        """Load the partition's rows as text into staging; lines that cannot be split into fields are set aside.

        Returns rows by kind: read (lines of the file), quarantined. Raises InputError when the input is not what the
        source says.
        """
        with self._work("extract", partition, first=True) as (report, con):
            names = [self._staging(partition, part) for part in ("raw", "broken")]
            lines, broken = self.source.load(con, self.pipeline, partition, *names)
            report.rows = {"read": lines + broken, "quarantined": broken}
        return report.rows

    def transform(self, partition: Partition) -> dict[str, int]:
        """Type the extracted text. Returns rows by kind: typed."""
        with self._work("transform", partition) as (report, con):
            self._name_staged(con, partition, "raw")
            report.rows = {"typed": warehouse.stage(con, self._staging(partition, "typed"), self._tables["typed"])}
        return report.rows

    def check(self, partition: Partition) -> dict[str, int]:
        """Check the typed rows against the contract and set aside those that break it.

        Returns rows by kind: kept, quarantined. Raises ContractError when more than ``quality.max_quarantined_share``
        of the rows would go to quarantine, or the number kept is not between ``min_rows`` and ``max_rows``.
        """
        with self._work("check", partition) as (report, con):
            typed, broken = (
                warehouse.count_staged(con, self._staging(partition, part)) for part in ("typed", "broken")
            )
            self._name_staged(con, partition, "typed")
            rejected = warehouse.stage(con, self._staging(partition, "rejected"), self._rejected(con, partition, typed))
            report.rows = {"kept": typed - rejected, "quarantined": rejected + broken}
            self._enforce(con, partition, report.rows)
        return report.rows

    def publish(self, partition: Partition) -> dict[str, int]:
        """Replace the partition in every published table and in the quarantine, in one transaction.

        Returns the rows in each table's new partition. Another time changes nothing.
        """
        with self._work("publish", partition) as (report, con):
            self._name_staged(con, partition, *STAGED)
            tables = {name: self._tables[name] for name in (*self.pipeline.tables, self.quarantine)}

            def record(rows):
                report.rows = {name: rows[name] for name in self.pipeline.tables}
                publications.record(con, self.pipeline, partition, current_run(), report.rows)

            warehouse.replace_partition(con, self.pipeline.partition_column, partition, tables, record)
            warehouse.drop_staged(con, *(self._staging(partition, part) for part in STAGED))
        return report.rows

    @contextmanager
    def _work(
        self, name: str, partition: Partition, *, first: bool = False
    ) -> Iterator[tuple[steps.StepReport, SQLBackend]]:
        with (
            steps.step(self.pipeline, name, partition) as report,
            warehouse.connect() as con,
            publications.held(con, self.pipeline, partition, name, first=first),
        ):
            yield report, con

    @cached_property
    def _business(self) -> ModuleType:
        return import_module(f"{self.pipeline.module}.transform")

    @cached_property
    def _contract(self) -> type:
        return import_module(f"{self.pipeline.module}.contract").CONTRACTS[self.pipeline.tables[0]]

    @cached_property
    def _tables(self) -> dict[str, ir.Table]:
        """What is staged and published, as expressions over `STAGED` by these names: the same for every partition."""
        import ibis  # takes seconds to load

        raw = ibis.table({**ROW, **dict.fromkeys(self.source.columns, "string")}, name="raw")
        broken = ibis.table({**ROW, "reason": "string", "record": "string"}, name="broken")
        rejected = ibis.table({"source_row": "int64", "reason": "string"}, name="rejected")
        first, *others = self.pipeline.tables
        typed = getattr(self._business, first)(raw)
        staged = ibis.table(typed.schema(), name="typed")
        kept = staged.anti_join(rejected, "source_row").drop(*(name for name in (*ROW, UNREADABLE) if name in typed))
        made = {name: getattr(self._business, name)(kept) for name in others}
        aside = self._set_aside(raw, rejected, broken, typed)
        return {"typed": typed, "staged": staged, first: kept, **made, self.quarantine: aside}

    def _set_aside(self, raw: ir.Table, rejected: ir.Table, broken: ir.Table, typed: ir.Table) -> ir.Table:
        """Rows that are not published: the partition column, source_row, reason, and the text they came as."""
        import ibis

        text = ibis.literal(",").join([raw[name].fill_null("") for name in self.source.columns])
        columns = [*ROW, "reason", "record"]
        failed = raw.select(*ROW, record=text).join(rejected, "source_row").select(columns)
        both = failed.union(broken.select(columns))
        column = self.pipeline.partition_column
        if not column:
            return both.drop("partition_date", "partition_start")
        dated = ("partition_date", "partition_start")
        own, other = dated if typed.schema()[column].is_date() else reversed(dated)
        return both.drop(other).rename({column: own})

    def _rejected(self, con: SQLBackend, partition: Partition, rows: int) -> pa.RecordBatchReader:
        """(source_row, reason) of the rows that break the contract, of so many typed rows."""
        import pyarrow as pa

        schema = pa.schema({"source_row": pa.int64(), "reason": pa.string()})
        pieces = warehouse.batches(con, self._tables["staged"], rows, "source_row", CHECK_ROWS_AT_ONCE)
        # Collected before they are written: a DuckDB connection cannot read for one statement while it runs another.
        broken = [_broken_rules(self._contract, piece) for piece in pieces]
        more = [*self._of_another_partition(con, partition)]
        if len(broken) > 1:  # each piece was checked alone
            more += self._not_unique(con)
        if more:
            import polars as pl

            broken.append(pl.DataFrame(more, schema={"source_row": pl.Int64, "reason": pl.String}, orient="row"))
        return pa.RecordBatchReader.from_batches(schema, _one_a_row(broken).to_arrow().cast(schema).to_batches())

    def _of_another_partition(self, con: SQLBackend, partition: Partition) -> list[tuple[int, str]]:
        column = self.pipeline.partition_column
        if not column:
            return []
        inside = partition.predicate(column, self._tables["staged"].schema()[column].is_date())
        selected = f"SELECT source_row, 'row_is_of_another_partition' FROM typed WHERE NOT ({inside})"
        return warehouse.rows(con, selected)

    def _not_unique(self, con: SQLBackend) -> list[tuple[int, str]]:
        keys = ", ".join(f'"{name}"' for name in self._contract.primary_key())
        if not keys:
            return []
        counted = f"SELECT source_row, count(*) OVER (PARTITION BY {keys}) AS copies FROM typed"
        return warehouse.rows(con, f"SELECT source_row, 'primary_key' FROM ({counted}) AS c WHERE copies > 1")

    def _enforce(self, con: SQLBackend, partition: Partition, rows: dict[str, int]) -> None:
        quality, kept, quarantined = self.pipeline.settings.quality, rows["kept"], rows["quarantined"]
        share = quarantined / (kept + quarantined) if quarantined else 0.0
        if share > quality.max_quarantined_share:
            most = self._most_frequent_reason(con, partition)
            raise ContractError(
                f"{quarantined:,} of {kept + quarantined:,} rows break the contract ({share:.1%}, at most "
                f"{quality.max_quarantined_share:.1%} allowed){most}; nothing was published"
            )
        if kept < quality.min_rows or (quality.max_rows is not None and kept > quality.max_rows):
            limits = (
                f"at least {quality.min_rows:,}"
                if quality.max_rows is None
                else (f"{quality.min_rows:,} to {quality.max_rows:,}")
            )
            raise ContractError(f"{kept:,} rows are left and [quality] asks for {limits}; nothing was published")

    def _most_frequent_reason(self, con: SQLBackend, partition: Partition) -> str:
        table = f'{warehouse.STAGING}."{self._staging(partition, "rejected")}"'
        counted = f"SELECT reason FROM {table} GROUP BY reason ORDER BY count(*) DESC, reason LIMIT 1"
        return "".join(f", most often: {reason}" for (reason,) in warehouse.rows(con, counted))

    def _name_staged(self, con: SQLBackend, partition: Partition, *parts: str) -> None:
        warehouse.name_staged(con, **{part: self._staging(partition, part) for part in parts})

    def _staging(self, partition: Partition, part: str) -> str:
        return warehouse.staging_name(self.pipeline.name, partition, part)


def _broken_rules(contract: type, piece: pa.Table) -> pl.DataFrame:
    """(source_row, reason) of the rows in a piece that break a rule of the contract."""
    import polars as pl

    # Without casts: a type that differs from the contract's is an error of `transform`, not of a row.
    _, failures = contract.filter(pl.from_arrow(piece))
    if not len(failures):
        return pl.DataFrame(schema={"source_row": pl.Int64, "reason": pl.String})
    details = failures.details()
    rules = [name for name in details.columns if name not in piece.column_names]
    broken = [pl.when(pl.col(name) == "invalid").then(pl.lit(name.replace("|", ": "))) for name in rules]
    return details.select("source_row", reason=pl.concat_str(broken, separator=", ", ignore_nulls=True))


def _one_a_row(broken: list[pl.DataFrame]) -> pl.DataFrame:
    """The reasons of each row in one."""
    import polars as pl

    return (
        pl.concat(broken)
        .unique(maintain_order=True)
        .group_by("source_row", maintain_order=True)
        .agg(pl.col("reason").str.join(", "))
    )
