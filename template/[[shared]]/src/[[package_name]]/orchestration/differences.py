"""How two tables of attached DuckDB files differ: rows that only one has, and values by column.

Rows are matched by the columns that tell them apart, and numbers may differ by a tolerance. Where no columns tell the
rows apart, whole rows are counted, with decimals rounded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import duckdb

from ..platform.errors import ConfigError

DECIMAL_PLACES = 9  # sums of floating-point numbers depend on the order of the rows
DECIMALS = ("DOUBLE", "FLOAT")
SIGNED = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")
INTEGERS = (*SIGNED, *(f"U{kind}" for kind in SIGNED))
TOLERANCE = re.compile(
    r"(?:(?:(?P<table>\w+)\.)?(?P<column>\w+)=)?(?P<number>\d+(?:\.\d*)?(?:e-?\d+)?)(?P<share>%)?", re.IGNORECASE
)


@dataclass(frozen=True)
class Tolerance:
    """How far numbers may be apart: by this much, or by this share of the larger one. Empty names: any column."""

    number: float = 10**-DECIMAL_PLACES
    is_share: bool = False
    table: str = ""
    column: str = ""

    def __str__(self) -> str:
        where = ".".join(name for name in (self.table, self.column) if name)
        number = f"{self.number * 100:g}%" if self.is_share else f"{self.number:g}"
        return f"{where}={number}" if where else number

    def allows(self, one: str, other: str) -> str:
        """SQL: whether these two values are close enough."""
        limit = f"{self.number!r} * greatest(abs({one}), abs({other}))" if self.is_share else repr(self.number)
        return f"abs({one} - {other}) <= {limit}"


def tolerances(text: str) -> list[Tolerance]:
    """Read ``0.01``, ``0.1%``, ``column=0.01`` and ``table.column=1``, separated by spaces or commas.

    Raises ConfigError.
    """
    read = []
    for word in text.replace(",", " ").split():
        match = TOLERANCE.fullmatch(word)
        if not match:
            raise ConfigError(
                f"TOLERANCE={word} is not understood: write a number such as 0.01, a share such as 0.1%, or one for a "
                "column such as mean_delay=0.01 or daily_delays.mean_delay=0.01, with spaces between several"
            )
        number = float(match["number"]) / (100 if match["share"] else 1)
        read.append(Tolerance(number, bool(match["share"]), match["table"] or "", match["column"] or ""))
    return read


@dataclass(frozen=True)
class Column:
    """A column in which matched rows differ. largest: the largest difference of numbers. example: a row, and both
    values."""

    name: str
    rows: int
    partitions: list[str]
    largest: float | None
    example: str


@dataclass(frozen=True)
class Difference:
    """Between a table of two orchestrators. only_first, only_other: rows; lacking: columns that one of them lacks."""

    only_first: int = 0
    only_other: int = 0
    lacking: list[str] = field(default_factory=list)
    columns: list[Column] = field(default_factory=list)
    changed: int = 0  # matched rows in which any column differs

    @property
    def rows(self) -> int:
        return self.only_first + self.only_other + self.changed


def rows(con: duckdb.DuckDBPyConnection, database: str, table: str) -> int | None:
    """None when there is no such table."""
    try:
        return con.execute(f'SELECT count(*) FROM "{database}".main."{table}"').fetchone()[0]
    except duckdb.CatalogException:
        return None


def between(
    con: duckdb.DuckDBPyConnection,
    first: str,
    other: str,
    table: str,
    partition_column: str = "",
    allowed: Sequence[Tolerance] = (),
) -> Difference:
    """Compare the table of two attached databases."""
    one, two = (columns(con, database, table) for database in (first, other))
    shared = [name for name in one if name in two]
    missing = sorted(one.keys() ^ two.keys())
    keys = _keys(con, [first, other], table, shared, one, partition_column)
    if not keys:
        only_first, only_other = _whole_rows(con, first, other, table, one, shared)
        return Difference(only_first, only_other, missing)
    # Marked, as a column of the key may be null in a row that is there.
    sides = [f'(SELECT *, true AS is_there FROM "{database}".main."{table}")' for database in (first, other)]
    same = " AND ".join(f"a.{_quoted(key)} IS NOT DISTINCT FROM b.{_quoted(key)}" for key in keys)
    joined, both = f"{sides[0]} AS a FULL JOIN {sides[1]} AS b ON {same}", "a.is_there AND b.is_there"
    unlike = {
        name: _unlike(name, one[name], two[name], _tolerance(allowed, table, name))
        for name in shared
        if name not in keys
    }
    counts = [f"count(*) FILTER (WHERE {side}.is_there IS NULL)" for side in "ba"]
    counts += [f"count(*) FILTER (WHERE {both} AND ({' OR '.join(unlike.values()) or 'false'}))"]
    counts += [f"count(*) FILTER (WHERE {both} AND {condition})" for condition in unlike.values()]
    only_first, only_other, changed, *by_column = con.execute(f"SELECT {', '.join(counts)} FROM {joined}").fetchone()
    differing = [
        _column(con, joined, f"{both} AND {unlike[name]}", name, count, keys, partition_column, one[name], two[name])
        for name, count in zip(unlike, by_column, strict=True)
        if count
    ]
    return Difference(only_first, only_other, missing, differing, changed)


def check(numbers: Mapping[str, Mapping[str, bool] | None], allowed: Sequence[Tolerance]) -> None:
    """Raise ConfigError when a tolerance names a table or a column that is not there, or that has no numbers.

    numbers: of each table its columns, and whether they hold numbers; None where the columns are not known.
    """
    for each in allowed:
        if each.table and each.table not in numbers:
            raise ConfigError(f"TOLERANCE names the table {each.table}: use one of {', '.join(numbers)}")
        concerned = [numbers[table] for table in ([each.table] if each.table else numbers)]
        if not each.column or None in concerned:
            continue
        matches = [known[each.column] for known in concerned if each.column in known]
        if not matches:
            raise ConfigError(f"TOLERANCE names the column {each.column}, which no published table has")
        if not any(matches):
            raise ConfigError(f"TOLERANCE names the column {each.column}, which has no numbers")


def numbers(con: duckdb.DuckDBPyConnection, database: str, tables: Sequence[str]) -> dict[str, dict[str, bool]]:
    """Of each of these tables that is there, its columns, and whether they hold numbers."""
    return {
        table: {name: _is_number(kind) for name, kind in columns(con, database, table).items()}
        for table in tables
        if rows(con, database, table) is not None
    }


def columns(con: duckdb.DuckDBPyConnection, database: str, table: str) -> dict[str, str]:
    """Type by name, in the order of the table."""
    return {name: kind for name, kind, *_ in con.execute(f'DESCRIBE "{database}".main."{table}"').fetchall()}


def _keys(
    con: duckdb.DuckDBPyConnection,
    databases: Sequence[str],
    table: str,
    shared: Sequence[str],
    kinds: dict[str, str],
    partition_column: str,
) -> list[str]:
    """The partition and the first columns that together tell all rows of both apart; empty when none do."""
    usable = [name for name in shared if kinds[name] not in DECIMALS]
    usable.sort(key=lambda name: name != partition_column)
    for count in range(1, len(usable) + 1):
        names = ", ".join(map(_quoted, usable[:count]))
        repeated = f'SELECT 1 FROM "{{}}".main."{table}" GROUP BY {names} HAVING count(*) > 1 LIMIT 1'
        if not any(con.execute(repeated.format(database)).fetchone() for database in databases):
            return usable[:count]
    return []


def _whole_rows(
    con: duckdb.DuckDBPyConnection, first: str, other: str, table: str, kinds: dict[str, str], shared: Sequence[str]
) -> tuple[int, int]:
    """Rows that only the first has, and rows that only the other has; each counted as often as it occurs."""
    names = ", ".join(
        f"round({_quoted(name)}, {DECIMAL_PLACES})" if kinds[name] in DECIMALS else _quoted(name) for name in shared
    )
    one, two = (f'(SELECT {names} FROM "{database}".main."{table}")' for database in (first, other))
    only = "SELECT count(*) FROM ({} EXCEPT ALL {})"
    return tuple(con.execute(only.format(*pair)).fetchone()[0] for pair in ((one, two), (two, one)))


def _unlike(name: str, kind: str, other_kind: str, tolerance: Tolerance) -> str:
    """SQL: whether the values of a column differ. Values of different types are compared as text."""
    one, two = f"a.{_quoted(name)}", f"b.{_quoted(name)}"
    if _is_number(kind) and _is_number(other_kind):
        alike = f"coalesce({tolerance.allows(_exact(one, kind), _exact(two, other_kind))}, false)"
        return f"({one} IS DISTINCT FROM {two} AND NOT {alike})"
    if kind != other_kind:
        return f"(CAST({one} AS VARCHAR) IS DISTINCT FROM CAST({two} AS VARCHAR))"
    return f"({one} IS DISTINCT FROM {two})"


def _column(
    con: duckdb.DuckDBPyConnection,
    joined: str,
    differ: str,
    name: str,
    count: int,
    keys: Sequence[str],
    partition_column: str,
    *kinds: str,
) -> Column:
    one, two = f"a.{_quoted(name)}", f"b.{_quoted(name)}"
    largest = f"max(abs({_exact(one, kinds[0])} - {_exact(two, kinds[1])}))" if all(map(_is_number, kinds)) else "NULL"
    partitions = f"list(DISTINCT CAST(a.{_quoted(partition_column)} AS VARCHAR))" if partition_column in keys else "[]"
    most, where = con.execute(f"SELECT {largest}, {partitions} FROM {joined} WHERE {differ}").fetchone()
    named = [key for key in keys if key != partition_column] or keys
    shown = ", ".join(f"a.{_quoted(key)}" for key in (*named, *keys))
    row = con.execute(f"SELECT {one}, {two}, {shown} FROM {joined} WHERE {differ} ORDER BY {shown} LIMIT 1").fetchone()
    of = ", ".join(f"{key} {value}" for key, value in zip(named, row[2:], strict=False))
    return Column(name, count, sorted(where), None if most is None else float(most), f"{of}: {row[0]}, {row[1]}")


def _tolerance(allowed: Sequence[Tolerance], table: str, column: str) -> Tolerance:
    """The one that names most of the column."""
    matches = [each for each in allowed if each.table in ("", table) and each.column in ("", column)]
    return max(matches, key=lambda each: bool(each.table) + bool(each.column), default=Tolerance())


def _is_number(kind: str) -> bool:
    return kind in (*DECIMALS, *INTEGERS) or kind.startswith("DECIMAL")


def _exact(value: str, kind: str) -> str:
    """SQL: the number in a type in which a difference neither overflows nor is rounded away."""
    return f"CAST({value} AS HUGEINT)" if kind in INTEGERS else value


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
