"""Batch ETL: what all pipelines of this shape do alike, from a file that lands to tables that are published.

wait for input → extract (the file as text) → transform (typed rows) → check (against the contract) → publish (one
transaction). A step hands nothing over but its staging table, so steps may run in different processes.

A pipeline's own code is named by convention: ``transform.py`` has a function named like each table of the declaration.
That of the first table types the extracted text; the others are made of the rows that the check has kept.
``contract.py`` has ``CONTRACTS``, a contract for each table.
"""

from __future__ import annotations

import time
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING

from . import contracts, late_input, publications, steps, warehouse
from .errors import InputNotReady, PermanentError
from .runs import current_run

if TYPE_CHECKING:
    from types import ModuleType

    import ibis.expr.types as ir

    from .partitions import Partition
    from .pipelines import Pipeline
    from .sources import Source
    from .warehouse import Connection

STEPS = ("wait_for_input", "extract", "transform", "check", "publish")
STAGED = ("raw", "broken", "typed", "rejected")
# Columns that platform code adds to the rows of a file, and takes away again before they are published.
ROW = {"partition_date": "date", "partition_start": "timestamp", "source_row": "int64"}
UNREADABLE, UNREADABLE_RULE = "unreadable", "every_value_was_readable"  # a column and a rule of `contracts.CheckedRow`


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
        return self._load(partition, "extract")

    def _load(self, partition: Partition, step: str) -> dict[str, int]:
        with steps.work(self.pipeline, step, partition, first=True) as (report, con):
            late_input.note(con, self.pipeline, partition)
            names = [self._staging(partition, part) for part in ("raw", "broken")]
            lines, broken = self.source.load(con, self.pipeline, partition, *names)
            report.rows = {"read": lines + broken, "quarantined": broken}
        return report.rows

    def transform(self, partition: Partition) -> dict[str, int]:
        """Type the extracted text. Returns rows by kind: typed."""
        with steps.work(self.pipeline, "transform", partition) as (report, con):
            self._name_staged(con, partition, "raw")
            report.rows = {"typed": warehouse.stage(con, self._staging(partition, "typed"), self._tables["typed"])}
        return report.rows

    def check(self, partition: Partition) -> dict[str, int]:
        """Check the typed rows against the contract and set aside those that break it.

        Returns rows by kind: kept, quarantined. Raises ContractError when more than ``quality.max_quarantined_share``
        of the rows would go to quarantine, or the number kept is not between ``min_rows`` and ``max_rows``.
        """
        with steps.work(self.pipeline, "check", partition) as (report, con):
            typed, broken = (
                warehouse.count_staged(con, self._staging(partition, part)) for part in ("typed", "broken")
            )
            warehouse.name_staged(con, checked=self._staging(partition, "typed"), more=self._elsewhere(partition))
            rejected = warehouse.stage(con, self._staging(partition, "rejected"), self._tables["rejected"])
            report.rows = {"kept": typed - rejected, "quarantined": rejected + broken}
            self._enforce(con, partition, report.rows)
        return report.rows

    def publish(self, partition: Partition) -> dict[str, int]:
        """Replace the partition in every published table and in the quarantine, in one transaction.

        Returns the rows in each table's new partition. Another time changes nothing.
        """
        with steps.work(self.pipeline, "publish", partition) as (report, con):
            self._name_checked(con, partition)
            tables = {name: self._tables[name] for name in (*self.pipeline.tables, self.quarantine)}

            def record(rows):
                report.rows = {name: rows[name] for name in self.pipeline.tables}
                publications.record(con, self.pipeline, partition, current_run(), report.rows)

            warehouse.replace_partition(con, self.pipeline.partition_column, partition, tables, record)
            warehouse.drop_staged(con, *self._staged(con, partition))
        return report.rows

    def _staged(self, con: Connection, partition: Partition) -> list[str]:
        """Names of the partition's staging tables."""
        return [self._staging(partition, part) for part in STAGED]

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
        if wrong := contracts.differences(self._contract, typed.schema()):
            raise PermanentError(f"{first} of transform.py is not as its contract says: {', '.join(wrong)}")
        checked = ibis.table({**typed.schema(), "of_another_partition": "boolean"}, name="checked")
        kept = ibis.table(typed.drop(*(name for name in (*ROW, UNREADABLE) if name in typed)).schema(), name="kept")
        made = {name: getattr(self._business, name)(kept) for name in others}
        aside = self._set_aside(raw, rejected, broken, typed)
        broken_rows = contracts.broken(self._contract, checked, keep=["source_row"])
        return {"typed": typed, "rejected": broken_rows, first: kept, **made, self.quarantine: aside}

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

    def _elsewhere(self, partition: Partition) -> str:
        """Of a typed row, as SQL: whether it belongs to another partition."""
        column = self.pipeline.partition_column
        is_date = bool(column) and self._tables["typed"].schema()[column].is_date()
        return f"NOT ({partition.predicate(column, is_date)}) AS of_another_partition"

    def _enforce(self, con: Connection, partition: Partition, rows: dict[str, int]) -> None:
        quality, kept, quarantined = self.pipeline.settings.quality, rows["kept"], rows["quarantined"]
        contracts.refuse_share(
            quality,
            quarantined,
            kept + quarantined,
            "rows break the contract",
            lambda: self._most_frequent_reason(con, partition),
        )
        contracts.refuse_number(quality, kept)

    def _most_frequent_reason(self, con: Connection, partition: Partition) -> str:
        table = f'{warehouse.STAGING}."{self._staging(partition, "rejected")}"'
        counted = "SELECT {0} FROM {1} WHERE {0} IS NOT NULL GROUP BY {0} ORDER BY count(*) DESC, {0} LIMIT 1"
        [(reason,)] = warehouse.rows(con, counted.format("reason", table)) or [("",)]
        if UNREADABLE_RULE in reason:  # say which columns, as a source that has changed the type of one needs mending
            typed = f'{warehouse.STAGING}."{self._staging(partition, "typed")}"'
            [(columns,)] = warehouse.rows(con, counted.format(UNREADABLE, typed))
            reason = f"{reason} ({columns})"
        return f", most often: {reason}" if reason else ""

    def _kept(self, con: Connection) -> str:
        """A query for the typed rows that were not rejected. On most days all are kept, which is cheaper to say."""
        columns = ", ".join(f'"{name}"' for name in self._tables[self.pipeline.tables[0]].columns)
        selected = f"SELECT {columns} FROM typed"
        if warehouse.rows(con, "SELECT 1 FROM rejected LIMIT 1"):
            selected += " WHERE NOT EXISTS (SELECT 1 FROM rejected WHERE rejected.source_row = typed.source_row)"
        return selected

    def _name_checked(self, con: Connection, partition: Partition) -> None:
        """Let the expressions of the published tables read what is staged and checked."""
        self._name_staged(con, partition, *STAGED)
        warehouse.run(con, f"CREATE OR REPLACE TEMP VIEW kept AS {self._kept(con)}")

    def _name_staged(self, con: Connection, partition: Partition, *parts: str) -> None:
        warehouse.name_staged(con, **{part: self._staging(partition, part) for part in parts})

    def _staging(self, partition: Partition, part: str) -> str:
        return warehouse.staging_name(self.pipeline.name, partition, part)
