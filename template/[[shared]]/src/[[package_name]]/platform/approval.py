"""Approval: what all pipelines of this shape do alike, from a file that lands to a model that a person has approved.

wait for input → train (a candidate) → evaluate (the evidence) → request (a decision) → promote (what was approved).
Between request and promote nothing runs; `decisions` has the requests. A step hands over nothing but its staging table,
so steps may run in different processes, and days apart.

A pipeline's own code is in its ``model.py``: ``train(rows)`` gives the candidate's weights by feature, and
``evaluate(candidate, current, rows)`` the evidence by name; current is the model in use, None before the first one.
``contract.py`` has ``CONTRACTS``, a contract for each of the two tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from hashlib import sha256
from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import config, contracts, decisions, landing, late_input, publications, steps, warehouse
from .batch_etl import BatchEtl
from .errors import InputError, NotApproved
from .runs import current_run

if TYPE_CHECKING:
    from types import ModuleType

    import ibis.expr.types as ir
    import numpy as np

    from .partitions import Partition
    from .pipelines import Pipeline
    from .sources import Csv
    from .warehouse import Connection

STEPS = ("wait_for_input", "train", "evaluate", "request", "promote")
HELD_STEP = "promote"
DIGEST = "model"  # the evidence that says which candidate it is about
Weights = dict[str, float]


class Approval:
    """The steps of one pipeline. source: the file that a partition's rows come from; its columns are numbers or text.

    The first published table holds the promoted weights of a partition, the second one the evidence they were approved
    on, with the request and who decided it.
    """

    def __init__(self, pipeline: Pipeline, source: Csv) -> None:
        self.pipeline, self.source = pipeline, source
        waiting = BatchEtl(pipeline, source)
        self.input_ready, self.wait_for_input = waiting.input_ready, waiting.wait_for_input

    def train(self, partition: Partition) -> dict[str, int]:
        """Train a candidate on the partition. Returns rows by kind: read.

        Raises DecisionPending while people are asked about another run's candidate, which this one would replace.
        """
        with steps.work(self.pipeline, "train", partition, first=True) as (report, con):
            decisions.refuse_while_pending(self.pipeline, partition)
            late_input.note(con, self.pipeline, partition)
            rows = self._rows(partition)
            self._stage(con, partition, "candidate", "feature", self._model.train(rows))
            report.rows = {"read": len(next(iter(rows.values())))}
        return report.rows

    def evaluate(self, partition: Partition) -> dict[str, int]:
        """Compare the candidate with the model in use. Returns rows by kind: read."""
        with steps.work(self.pipeline, "evaluate", partition) as (report, con):
            rows, candidate = self._rows(partition), self._staged(con, partition, "candidate")
            evidence = self._model.evaluate(candidate, self._current(con), rows)
            self._stage(con, partition, "evidence", "name", evidence)
            report.rows = {"read": len(next(iter(rows.values())))}
            report.detail = ", ".join(f"{name} {decisions.number(value)}" for name, value in evidence.items())
        return report.rows

    def request(self, partition: Partition, *, waits: bool = False) -> dict[str, int]:
        """Ask people to decide about the candidate, on the evidence. Returns no rows.

        waits: whether the run goes on by itself after the decision; otherwise the command that decides promotes. Raises
        ContractError when what would be promoted breaks its contract.
        """
        with steps.work(self.pipeline, "request", partition) as (report, con):
            candidate = self._staged(con, partition, "candidate")
            evidence = self._staged(con, partition, "evidence")
            self._check(con, partition)
            evidence = {**evidence, DIGEST: _digest(candidate)}
            asked = decisions.ask(self.pipeline, partition, evidence, waits=waits)
            report.detail = f"{asked.id} {asked}; answer with make approvals"
        with warehouse.connect() as con:  # nothing works on the partition while people decide
            publications.release(con, self.pipeline, partition, current_run())
        return report.rows

    def promote(self, partition: Partition) -> dict[str, int]:
        """Publish the candidate that was approved, in one transaction. Returns the rows in each table's new partition.

        Raises NotApproved when nobody has approved it, or when it is not the candidate that was approved.
        """
        with steps.work(self.pipeline, "promote", partition, first=True) as (report, con):
            approval = decisions.approved(self.pipeline, partition)
            if approval.evidence[DIGEST] != _digest(self._staged(con, partition, "candidate")):
                raise NotApproved(
                    f"the candidate of {self.pipeline.name} {partition} is not the one that {approval.id} approved: "
                    "run it again from its first step, and ask again"
                )

            def record(rows: Mapping[str, int]) -> None:
                report.rows = dict(rows)
                publications.record(con, self.pipeline, partition, current_run(), report.rows)

            tables = self._tables(con, partition, request=approval.id, approved_by=approval.decided_by)
            warehouse.replace_partition(con, self.pipeline.partition_column, partition, tables, record)
            report.detail = f"{approval.id} {approval}"
        return report.rows

    @cached_property
    def _model(self) -> ModuleType:
        return import_module(f"{self.pipeline.module}.model")

    def _rows(self, partition: Partition) -> dict[str, np.ndarray]:
        """The columns of the partition's file by name."""
        import duckdb

        place, name = landing.of(self.pipeline), self.source.file
        settings = config.load().warehouse
        with (
            place.file(partition, name) as path,
            duckdb.connect(config={"memory_limit": settings.memory_limit, "threads": settings.threads}) as reader,
        ):
            try:
                rows = reader.read_csv(str(path), header=True, sep=self.source.delimiter).fetchnumpy()
            except duckdb.Error as error:
                reason = str(error).splitlines()[0]
                raise InputError(f"{place.shown(partition, name)} cannot be read as a table: {reason}") from None
        missing = [column for column in self.source.columns if column not in rows]
        if missing:
            raise InputError(f"{place.shown(partition, name)} lacks the columns {', '.join(missing)}")
        if not len(rows[self.source.columns[0]]):
            raise InputError(f"{place.shown(partition, name)} holds no rows")
        return rows

    def _stage(self, con: Connection, partition: Partition, part: str, key: str, values: Mapping[str, float]) -> None:
        name = self._name(partition, part)
        warehouse.run(con, f"CREATE SCHEMA IF NOT EXISTS {warehouse.STAGING}")
        warehouse.drop_staged(con, name)
        warehouse.run(con, f'CREATE TABLE {warehouse.STAGING}."{name}" ({key} text, value double precision)')
        for each, value in values.items():
            warehouse.run(con, f'INSERT INTO {warehouse.STAGING}."{name}" VALUES (?, ?)', [each, value])

    def _staged(self, con: Connection, partition: Partition, part: str) -> Weights:
        name = f'{warehouse.STAGING}."{self._name(partition, part)}"'
        if not warehouse.has(con, name.replace('"', "")):
            raise NotApproved(f"{self.pipeline.name} {partition} has no {part}: run it from its first step")
        return dict(warehouse.rows(con, f"SELECT * FROM {name}"))

    def _current(self, con: Connection) -> Weights | None:
        """The model in use: that of the newest partition that was promoted."""
        table, column = self.pipeline.tables[0], self.pipeline.partition_column
        if table not in warehouse.published(con):
            return None
        newest = f' WHERE "{column}" = (SELECT max("{column}") FROM "{table}")' if column else ""
        return dict(warehouse.rows(con, f'SELECT feature, weight FROM "{table}"{newest}')) or None

    def _check(self, con: Connection, partition: Partition) -> None:
        """Raise ContractError when the rows of a published table would break its contract."""
        own = import_module(f"{self.pipeline.module}.contract").CONTRACTS
        tables = self._tables(con, partition, request="-", approved_by="-")  # not known yet
        contracts.refuse_broken(con, own, tables, "nobody was asked")

    def _tables(self, con: Connection, partition: Partition, **decided: str) -> dict[str, ir.Table]:
        """The rows of each published table. decided: the request, and who approved it."""
        import ibis

        weights, evidence = self.pipeline.tables
        warehouse.name_staged(con, **{part: self._name(partition, part) for part in ("candidate", "evidence")})
        dated = self._dated(partition)
        candidate = ibis.table({"feature": "string", "value": "float64"}, name="candidate")
        measured = ibis.table({"name": "string", "value": "float64"}, name="evidence")
        return {
            weights: candidate.select(**dated, feature=candidate.feature, weight=candidate.value),
            evidence: measured.select(
                **dated,
                name=measured.name,
                value=measured.value,
                **{name: ibis.literal(value) for name, value in decided.items()},
            ),
        }

    def _dated(self, partition: Partition) -> dict[str, Any]:
        import ibis

        if not self.pipeline.partition_column:
            return {}
        return {self.pipeline.partition_column: ibis.literal(partition.column_value)}

    def _name(self, partition: Partition, part: str) -> str:
        return warehouse.staging_name(self.pipeline.name, partition, part)


def _digest(weights: Weights) -> str:
    """A short name of a candidate: another one has another name."""
    return sha256(repr(sorted(weights.items())).encode()).hexdigest()[:12]
