"""Batch ETL of many files: what lands for a partition, such as the logs of several machines, is read file by file.

wait for input → find (which files there are) → extract, per file → transform (all rows together, typed) → check →
publish

Which files a partition holds is known only when it has landed, so engines map `extract` over what `find` returns. A
file that cannot be read stops no other; `transform` then refuses the partition and says which, as a partition is
published as a whole. Everything else is as in `batch_etl`.
"""

from __future__ import annotations

from contextlib import nullcontext, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from . import config, landing, late_input, masking, publications, sources, steps, warehouse
from .batch_etl import BatchEtl
from .errors import PermanentError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager

    from .partitions import Partition
    from .warehouse import Connection

STEPS = ("wait_for_input", "find", "extract", "transform", "check", "publish")
MAPPED = ("extract",)
PARTS = ("raw", "broken")


def files_of(places: Mapping[str, int]) -> list[str]:
    """The files that `find` returned with their places, in order."""
    return sorted(places, key=places.__getitem__)


class BatchFiles(BatchEtl):
    """The steps of one pipeline. source: a file, whose name is a pattern such as ``access-*.csv``."""

    def find(self, partition: Partition) -> dict[str, int]:
        """Find the partition's files. Returns the place of each in their order, from 1.

        Raises InputError when there is none.
        """
        with steps.work(self.pipeline, "find", partition, first=True) as (report, con):
            late_input.note(con, self.pipeline, partition)
            names = landing.of(self.pipeline).names(partition, self.source.file)
            warehouse.drop_staged(con, *self._staged(con, partition))  # those of a run before
            warehouse.run(con, f"CREATE TABLE {self._files(partition)} (file text, failure text)")
            for name in names:
                warehouse.run(con, f"INSERT INTO {self._files(partition)} VALUES (?, NULL)", [name])
            report.rows = {"files": len(names)}
            report.detail = landing.of(self.pipeline).shown(partition)
        return {name: number for number, name in enumerate(names, start=1)}

    def extract(self, partition: Partition, file: str = "") -> dict[str, int]:
        """Load the file's rows as text into staging; without a file, those of all in turn.

        Returns rows by kind: read (lines of the file), quarantined. Raises InputError when the file is not what the
        source says.
        """
        if not file:
            return self._each(partition)
        with (
            steps.step(self.pipeline, "extract", partition) as report,
            publications.held_apart(self.pipeline, partition, "extract", mapped=True),
        ):
            try:
                with _turn(), warehouse.connect() as con, warehouse.transaction(con):
                    one = replace(self.source, file=_literal(file))
                    lines, broken = one.load(con, self.pipeline, partition, *self._parts(partition, file))
                    warehouse.run(con, f"UPDATE {self._files(partition)} SET failure = '' WHERE file = ?", [file])
            except Exception as error:
                with suppress(Exception), _turn(), warehouse.connect() as con:  # the error itself is what counts
                    words = [masking.mask(str(error)), file]
                    warehouse.run(con, f"UPDATE {self._files(partition)} SET failure = ? WHERE file = ?", words)
                raise
            report.rows = {"read": lines + broken, "quarantined": broken}
            report.detail = file
        return report.rows

    def transform(self, partition: Partition) -> dict[str, int]:
        """Bring the rows of all files together and type them. Returns rows by kind: typed.

        Raises PermanentError when a file was not read.
        """
        with steps.work(self.pipeline, "transform", partition) as (report, con):
            self._gather(con, partition)
            self._name_staged(con, partition, "raw")
            report.rows = {"typed": warehouse.stage(con, self._staging(partition, "typed"), self._tables["typed"])}
        return report.rows

    def _gather(self, con: Connection, partition: Partition) -> None:
        """One table of the rows of all files, and one of the lines that could not be split, numbered throughout."""
        files = self._found(con, partition)
        if missing := {file: failure for file, failure in files.items() if failure != ""}:
            first = [failure or f"{file} was not read" for file, failure in list(missing.items())[:3]]
            more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
            raise PermanentError(
                f"{len(missing)} of {len(files)} files are missing: {'; '.join(first)}{more}; nothing was published"
            )
        for part, columns in (("raw", self.source.columns), ("broken", ("reason", "record"))):
            selected, before = [], 0
            named = ", ".join(sources.name(each) for each in columns)
            if part == "broken":
                named = "{file} || ': ' || reason AS reason, record"
            for file in files:
                staged = self._parts(partition, file)[PARTS.index(part)]
                text = named.format(file=sources.text(file)) if part == "broken" else named
                selected.append(
                    f"SELECT partition_date, partition_start, source_row + {before} AS source_row, {text} "
                    f'FROM {warehouse.STAGING}."{staged}"'
                )
                before += warehouse.count_staged(con, staged)
            whole = self._staging(partition, part)
            warehouse.drop_staged(con, whole)
            warehouse.run(con, f'CREATE TABLE {warehouse.STAGING}."{whole}" AS {" UNION ALL ".join(selected)}')

    def _each(self, partition: Partition) -> dict[str, int]:
        """Each file in turn. One that fails stops no other; the first failure is raised last."""
        with warehouse.connect() as con:
            files = list(self._found(con, partition))
        totals = {"read": 0, "quarantined": 0}
        failures: list[Exception] = []
        for file in files:
            try:
                for kind, count in self.extract(partition, file).items():
                    totals[kind] += count
            except Exception as error:  # noqa: BLE001  raised below
                failures.append(error)
        if failures:
            raise failures[0]
        return totals

    def _found(self, con: Connection, partition: Partition) -> dict[str, str | None]:
        """The files that were found, each with why it could not be read: empty once it was, null before."""
        if not warehouse.has(con, self._files(partition).replace('"', "")):
            raise PermanentError(f"{self.pipeline.name} {partition} has no files yet: run it from its first step")
        return dict(warehouse.rows(con, f"SELECT file, failure FROM {self._files(partition)} ORDER BY file"))

    def _staged(self, con: Connection, partition: Partition) -> list[str]:
        files = self._files(partition).replace('"', "")
        known = self._found(con, partition) if warehouse.has(con, files) else {}
        parts = [name for file in known for name in self._parts(partition, file)]
        return [*super()._staged(con, partition), *parts, files.removeprefix(f"{warehouse.STAGING}.")]

    def _parts(self, partition: Partition, file: str) -> list[str]:
        """Names of the staging tables of one file."""
        return [self._staging(partition, f"{part}{warehouse.letters(file)}") for part in PARTS]

    def _files(self, partition: Partition) -> str:
        return f'{warehouse.STAGING}."{self._staging(partition, "files")}"'


def _turn() -> AbstractContextManager:
    """Threads of a run write a DuckDB file one after the other."""
    return publications.turns if config.load().warehouse.is_file else nullcontext()


def _literal(file: str) -> str:
    """The name of a file as a pattern that matches it alone."""
    return "".join(f"[{sign}]" if sign in "*?[" else sign for sign in file)
