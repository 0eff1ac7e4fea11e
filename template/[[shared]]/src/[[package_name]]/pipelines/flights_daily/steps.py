"""The steps of flights_daily, in order: wait for input, extract, transform, check, publish.

This is the one place with I/O. Each orchestrator calls these functions and adds only what is its own: schedule,
retries, time-outs. A step hands nothing over but its staging table, so steps may run in different processes.
"""

from __future__ import annotations

import time
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from ...platform import config, warehouse
from ...platform.errors import ContractError, InputError, InputNotReady
from ...platform.steps import step

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import polars as pl
    import pyarrow as pa
    from ibis.backends.sql import SQLBackend

PIPELINE = "flights_daily"
PARTITION_COLUMN = "flight_date"
PUBLISHED_TABLES = ("fact_flights", "daily_carrier_performance", "daily_route_volume")
QUARANTINE = "fact_flights_quarantine"
STAGED = ("raw", "broken", "typed", "rejected")
CHECK_ROWS_AT_ONCE = 100_000
LONGEST_LINE = 2_000


def landing_folder(day: date) -> Path:
    return config.load().landing / day.isoformat()


def input_ready(day: date) -> bool:
    """Whether the day's input is complete: its folder holds ``_SUCCESS``."""
    return (landing_folder(day) / "_SUCCESS").exists()


def wait_for_input(day: date, timeout_seconds: float | None = None) -> None:
    """Return when the day's input is complete.

    Raises InputNotReady after that time, by default ``input_wait.timeout_seconds``. An engine that can wait without
    holding a worker asks `input_ready` by itself, and calls this when the answer is yes.
    """
    wait = config.load().for_pipeline(PIPELINE).input_wait
    with step(PIPELINE, "wait_for_input", day) as report:
        deadline = time.monotonic() + (wait.timeout_seconds if timeout_seconds is None else timeout_seconds)
        while not input_ready(day):
            if time.monotonic() >= deadline:
                raise InputNotReady(f"no input: {_shown(landing_folder(day) / '_SUCCESS')} has not arrived")
            time.sleep(min(wait.poll_seconds, max(0.0, deadline - time.monotonic())))
        report.detail = _shown(landing_folder(day))


def extract(day: date) -> dict[str, int]:
    """Load the day's file as text into staging; a line that has not the right number of fields is set aside.

    Returns rows by kind: read (lines of the file), quarantined. Raises InputError when the file is missing, empty, not
    UTF-8 text or has another header.
    """
    source = landing_folder(day) / "flights.csv"
    with step(PIPELINE, "extract", day) as report, warehouse.connect() as con:
        _check_header(source)
        lines, broken = _load_text(con, source, day)
        report.rows = {"read": lines + broken, "quarantined": broken}
    return report.rows


def transform(day: date) -> dict[str, int]:
    """Type the extracted text. Returns rows by kind: typed."""
    with step(PIPELINE, "transform", day) as report, warehouse.connect() as con:
        _name_staged(con, day, "raw")
        report.rows = {"typed": warehouse.stage(con, _name(day, "typed"), _tables()["typed"])}
    return report.rows


def check(day: date) -> dict[str, int]:
    """Check the typed rows against the contract and set aside those that break it.

    Returns rows by kind: kept, quarantined. Raises ContractError when more than ``quality.max_quarantined_share`` of
    the rows would go to quarantine, or the number kept is outside the contract's bounds.
    """
    with step(PIPELINE, "check", day) as report, warehouse.connect() as con:
        typed, broken = (warehouse.count_staged(con, _name(day, part)) for part in ("typed", "broken"))
        rejected = warehouse.stage(con, _name(day, "rejected"), _rejected(con, day, typed))
        report.rows = {"kept": typed - rejected, "quarantined": rejected + broken}
        _enforce(con, day, report.rows)
    return report.rows


def publish(day: date) -> dict[str, int]:
    """Replace the day's partition in every published table and in the quarantine, in one transaction.

    Returns the rows in each table's new partition. Doing it again changes nothing.
    """
    with step(PIPELINE, "publish", day) as report, warehouse.connect() as con:
        _name_staged(con, day, *STAGED)
        tables = {name: _tables()[name] for name in (*PUBLISHED_TABLES, QUARANTINE)}
        rows = warehouse.replace_partition(con, PARTITION_COLUMN, day, tables)
        report.rows = {name: rows[name] for name in PUBLISHED_TABLES}
        warehouse.drop_staged(con, *(_name(day, part) for part in STAGED))
    return report.rows


@lru_cache(maxsize=1)
def _tables() -> dict[str, ir.Table]:
    """What is staged and published, as expressions over `STAGED` by these names: the same for every day."""
    import ibis  # takes seconds to load

    from . import transform as business

    row = {"partition_date": "date", "source_row": "int64"}
    raw = ibis.table({**row, **dict.fromkeys(business.SOURCE_COLUMNS, "string")}, name="raw")
    broken = ibis.table({**row, "reason": "string", "record": "string"}, name="broken")
    rejected = ibis.table({**row, "reason": "string"}, name="rejected")
    typed = business.fact_flights(raw)
    staged = ibis.table(typed.schema(), name="typed")
    kept = staged.anti_join(rejected, "source_row").drop("partition_date", "source_row", "unreadable")
    return {
        "typed": typed,
        "staged": staged,
        "fact_flights": kept,
        "daily_carrier_performance": business.daily_carrier_performance(kept),
        "daily_route_volume": business.daily_route_volume(kept),
        QUARANTINE: business.quarantine(raw, rejected, broken),
    }


def _name_staged(con: SQLBackend, day: date, *parts: str) -> None:
    warehouse.name_staged(con, **{part: _name(day, part) for part in parts})


def _name(day: date, part: str) -> str:
    return warehouse.staging_name(PIPELINE, day, part)


def _shown(path: Path) -> str:
    root = config.load().root
    return str(path.relative_to(root) if path.is_relative_to(root) else path)


def _check_header(source: Path) -> None:
    from .transform import SOURCE_COLUMNS

    if not source.is_file():
        raise InputError(f"{_shown(source)} is missing although _SUCCESS is there")
    try:
        with source.open(encoding="utf-8") as file:
            header = file.readline(LONGEST_LINE).strip()
    except UnicodeDecodeError:
        raise InputError(f"{_shown(source)} is not UTF-8 text") from None
    if not header:
        raise InputError(f"{_shown(source)} is empty")
    found = header.split(",")
    if found != list(SOURCE_COLUMNS):
        missing = [name for name in SOURCE_COLUMNS if name not in found]
        unknown = [name for name in found if name not in SOURCE_COLUMNS]
        differences = {"missing": missing, "unknown": unknown}
        told = [f"{word}: {', '.join(names)[:200]}" for word, names in differences.items() if names]
        raise InputError(f"{_shown(source)} has another header ({'; '.join(told) or 'columns in another order'})")


def _load_text(con: SQLBackend, source: Path, day: date) -> tuple[int, int]:
    """Stage the file's lines as text (``raw``), and those that cannot be split into fields (``broken``).

    Returns the number of each.
    """
    import duckdb

    from .transform import SOURCE_COLUMNS

    columns = ", ".join(f"'{name}': 'VARCHAR'" for name in SOURCE_COLUMNS)
    partition, path = f"DATE '{day.isoformat()}' AS partition_date", str(source).replace("'", "''")
    with warehouse.file_reader(con) as reader:
        try:
            lines = warehouse.stage_query(
                con,
                _name(day, "raw"),
                reader,
                f"SELECT {partition}, row_number() OVER () AS source_row, * FROM read_csv('{path}', "
                "auto_detect = false, header = true, delim = ',', quote = '', escape = '', "
                f"store_rejects = true, rejects_limit = 0, columns = {{{columns}}})",
            )
        except (duckdb.InvalidInputException, duckdb.IOException) as error:
            raise InputError(f"{_shown(source)} cannot be read as CSV: {str(error).splitlines()[0]}") from None
        broken = warehouse.stage_query(
            con,
            _name(day, "broken"),
            reader,
            f"SELECT {partition}, line::BIGINT AS source_row, min(error_message) AS reason, min(csv_line) AS record "
            "FROM reject_errors GROUP BY line ORDER BY line",
        )
    return lines, broken


def _rejected(con: SQLBackend, day: date, rows: int) -> pa.RecordBatchReader:
    """(partition_date, source_row, reason) of the rows that break the contract, of so many typed rows."""
    import pyarrow as pa

    schema = pa.schema({"partition_date": pa.date32(), "source_row": pa.int64(), "reason": pa.string()})
    _name_staged(con, day, "typed")
    pieces = warehouse.batches(con, _tables()["staged"], rows, "flight_number", CHECK_ROWS_AT_ONCE)
    # Collected before they are written: a DuckDB connection cannot read for one statement while it runs another.
    found = [batch for piece in pieces for batch in _broken_rules(piece).to_arrow().cast(schema).to_batches()]
    return pa.RecordBatchReader.from_batches(schema, found)


def _broken_rules(piece: pa.Table) -> pl.DataFrame:
    import polars as pl

    from .contract import Flight

    # Without casts: a type that differs from the contract's is an error of `transform`, not of a row.
    _, failures = Flight.filter(pl.from_arrow(piece))
    if not len(failures):
        return pl.DataFrame(schema={"partition_date": pl.Date, "source_row": pl.Int64, "reason": pl.String})
    details = failures.details()
    rules = [name for name in details.columns if name not in piece.column_names]
    broken = [pl.when(pl.col(name) == "invalid").then(pl.lit(name.replace("|", ": "))) for name in rules]
    reason = pl.concat_str(broken, separator=", ", ignore_nulls=True)
    return details.select("partition_date", "source_row", reason=reason)


def _enforce(con: SQLBackend, day: date, rows: dict[str, int]) -> None:
    from .contract import MAX_ROWS_PER_DAY, MIN_ROWS_PER_DAY

    kept, quarantined = rows["kept"], rows["quarantined"]
    allowed = config.load().for_pipeline(PIPELINE).quality.max_quarantined_share
    share = quarantined / (kept + quarantined) if quarantined else 0.0
    if share > allowed:
        worst = warehouse.staged(con, _name(day, "rejected")).reason.topk(1).execute()
        told = f", most often: {worst.iloc[0, 0]}" if len(worst) else ""
        raise ContractError(
            f"{quarantined:,} of {kept + quarantined:,} rows break the contract "
            f"({share:.1%}, at most {allowed:.1%} allowed){told}; nothing was published"
        )
    if not MIN_ROWS_PER_DAY <= kept <= MAX_ROWS_PER_DAY:
        raise ContractError(
            f"{kept:,} rows, the contract asks for {MIN_ROWS_PER_DAY:,} to {MAX_ROWS_PER_DAY:,} a day; "
            "nothing was published"
        )
