"""Sources: where the rows of a partition come from. Each loads them as text into staging, and says when they are there.

Files are read by DuckDB, whatever the warehouse is: it streams, and it keeps the lines that it cannot split into
fields.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from . import landing, warehouse
from .errors import InputError

if TYPE_CHECKING:
    from .partitions import Partition
    from .pipelines import Pipeline
    from .warehouse import Connection

LONGEST_LINE = 100_000


class Source(Protocol):
    """columns: names of the columns, all text."""

    columns: Sequence[str]

    def is_ready(self, pipeline: Pipeline, partition: Partition) -> bool:
        """Whether the partition's rows are complete."""

    def describe(self, pipeline: Pipeline, partition: Partition, marker: bool = False) -> str:
        """The place the rows come from, or, with ``marker``, what says that they are complete; for messages."""

    def load(self, con: Connection, pipeline: Pipeline, partition: Partition, raw: str, broken: str) -> tuple[int, int]:
        """Stage the rows under these two names: all columns as text, and (reason, record) of what cannot be split.

        Each has the columns partition_date, partition_start, in UTC, and source_row, from 1. Returns the number of
        each. Raises InputError.
        """


class LandingFile:
    """A file in the partition's landing folder, complete once the folder holds the marker.

    file: its name, or a pattern such as ``access-*.csv``: then all that match are read side by side, as one table in
    the order of their names. All must be as the source says.
    """

    file: str

    def is_ready(self, pipeline: Pipeline, partition: Partition) -> bool:
        return landing.of(pipeline).is_complete(partition)

    def describe(self, pipeline: Pipeline, partition: Partition, marker: bool = False) -> str:
        place = landing.of(pipeline)
        return place.shown(partition, place.marker if marker else "")

    @contextmanager
    def files(self, pipeline: Pipeline, partition: Partition) -> Iterator[dict[str, Path]]:
        """The files on this machine, by the names that messages show."""
        place = landing.of(pipeline)
        if not any(sign in self.file for sign in "*?["):
            with place.file(partition, self.file) as path:
                yield {place.shown(partition, self.file): path}
            return
        with place.files(partition, self.file) as paths:
            yield {place.shown(partition, each): path for each, path in paths.items()}


@dataclass(frozen=True)
class Csv(LandingFile):
    """Delimited text with a header, in UTF-8. quote: the quoting character, empty when a quote is like any other."""

    file: str
    columns: Sequence[str]
    delimiter: str = ","
    quote: str = '"'

    def load(self, con: Connection, pipeline: Pipeline, partition: Partition, raw: str, broken: str) -> tuple[int, int]:
        shown = landing.of(pipeline).shown(partition, self.file)
        with self.files(pipeline, partition) as paths, reading(shown):
            for each, path in paths.items():
                self._check_header(path, each)
            reason = (
                "min(error_message)" if len(paths) == 1 else "parse_filename(file_path) || ': ' || min(error_message)"
            )
            columns = ", ".join(f"{text(each)}: 'VARCHAR'" for each in self.columns)
            options = f"delim = {text(self.delimiter)}, quote = {text(self.quote)}, escape = {text(self.quote)}"
            with warehouse.file_reader(con) as reader:
                lines = warehouse.stage_query(
                    con,
                    raw,
                    reader,
                    f"SELECT {row(partition, 'row_number() OVER ()')}, * FROM read_csv({listed(paths.values())}, "
                    f"auto_detect = false, header = true, {options}, store_rejects = true, rejects_limit = 0, "
                    f"columns = {{{columns}}})",
                )
                rejects = warehouse.stage_query(
                    con,
                    broken,
                    reader,
                    f"SELECT {row(partition, 'line::BIGINT')}, {reason} AS reason, min(csv_line) AS record "
                    "FROM reject_errors JOIN reject_scans USING (scan_id, file_id) "
                    "GROUP BY file_path, line ORDER BY file_path, line",
                )
        return lines, rejects

    def _check_header(self, path: Path, shown: str) -> None:
        import csv

        try:
            with path.open(encoding="utf-8", newline="") as file:
                line = file.readline(LONGEST_LINE)
        except UnicodeDecodeError:
            raise InputError(f"{shown} is not UTF-8 text") from None
        if not line.strip():
            raise InputError(f"{shown} is empty")
        quoting = {"quotechar": self.quote} if self.quote else {"quoting": csv.QUOTE_NONE}
        _compare(
            shown, next(csv.reader([line.removeprefix("\ufeff")], delimiter=self.delimiter, **quoting)), self.columns
        )


@dataclass(frozen=True)
class Parquet(LandingFile):
    """A Parquet file; its values are read as text."""

    file: str
    columns: Sequence[str]
    reader = "read_parquet"

    def load(self, con: Connection, pipeline: Pipeline, partition: Partition, raw: str, broken: str) -> tuple[int, int]:
        shown = landing.of(pipeline).shown(partition, self.file)
        with self.files(pipeline, partition) as paths, reading(shown):
            scan = f"{self.reader}({listed(paths.values())})"
            with warehouse.file_reader(con) as reader:
                reader.execute("SET TimeZone = 'UTC'")  # of instants as text
                for each, path in paths.items():
                    described = reader.execute(f"DESCRIBE SELECT * FROM {self.reader}({listed([path])})").fetchall()
                    _compare(each, [name for name, *_ in described], self.columns)
                columns = ", ".join(f"{name(each)}::VARCHAR AS {name(each)}" for each in self.columns)
                query = f"SELECT {row(partition, 'row_number() OVER ()')}, {columns} FROM {scan}"
                lines = warehouse.stage_query(con, raw, reader, query)
                warehouse.stage_query(con, broken, reader, nothing(partition))
        return lines, 0


@dataclass(frozen=True)
class Json(Parquet):
    """JSON: one object a line, or one array of objects; its values are read as text."""

    reader = "read_json_auto"


@contextmanager
def reading(shown: str) -> Iterator[None]:
    """The body reads an input of this name; what cannot be read ends in InputError."""
    import duckdb

    try:
        yield
    except (duckdb.InvalidInputException, duckdb.IOException, duckdb.ConversionException) as error:
        raise InputError(f"{shown} cannot be read: {str(error).splitlines()[0]}") from None


def _compare(shown: str, given: Sequence[str], wanted: Sequence[str]) -> None:
    if list(given) == list(wanted):
        return
    missing = [name for name in wanted if name not in given]
    unknown = [name for name in given if name not in wanted]
    differences = {"missing": missing, "unknown": unknown}
    shown_differences = [f"{word}: {', '.join(names)[:200]}" for word, names in differences.items() if names]
    raise InputError(f"{shown} has another header ({'; '.join(shown_differences) or 'columns in another order'})")


def row(partition: Partition, number: str) -> str:
    """The columns that name a row, for a SELECT."""
    if partition.start is None:
        return f"NULL::DATE AS partition_date, NULL::TIMESTAMP AS partition_start, {number} AS source_row"
    start = partition.start.astimezone(UTC)
    return (
        f"DATE '{partition.first_date}' AS partition_date, TIMESTAMP '{start:%Y-%m-%d %H:%M:%S}' AS partition_start, "
        f"{number} AS source_row"
    )


def stage_rows(
    con: Connection,
    partition: Partition,
    columns: Sequence[str],
    rows: Iterable[Sequence[str | None]],
    raw: str,
    broken: str,
) -> int:
    """Stage rows of text under these two names, the second one empty; see `Source.load`. Returns their number."""
    with tempfile.TemporaryDirectory(prefix="rows-") as folder:
        file = Path(folder) / "rows.ndjson"
        with file.open("w", encoding="utf-8") as lines:
            for each in rows:
                lines.write(json.dumps(list(each)) + "\n")
        listed = ", ".join(f"v[{number}] AS {name(each)}" for number, each in enumerate(columns, start=1))
        options = "format = 'newline_delimited', records = false, columns = {'v': 'VARCHAR[]'}"
        scan = f"read_json({text(str(file))}, {options})"
        with warehouse.file_reader(con) as reader:
            selected = f"SELECT {row(partition, 'row_number() OVER ()')}, {listed} FROM {scan}"
            count = warehouse.stage_query(con, raw, reader, selected)
            warehouse.stage_query(con, broken, reader, nothing(partition))
    return count


def nothing(partition: Partition) -> str:
    """A query for no broken rows, for sources that have none."""
    return f"SELECT {row(partition, '0::BIGINT')}, '' AS reason, '' AS record WHERE false"


def listed(paths: Iterable[Path]) -> str:
    """Files as a literal of SQL."""
    return f"[{', '.join(text(str(path)) for path in paths)}]"


def text(value: str) -> str:
    """A value as a literal of SQL."""
    return "'" + value.replace("'", "''") + "'"


def name(value: str) -> str:
    """The name of a column in SQL."""
    return '"' + value.replace('"', '""') + '"'
