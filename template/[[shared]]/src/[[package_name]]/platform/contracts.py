"""Contracts: what each column of a table may hold, and the rules between columns.

A contract is a class with a `Column` for each column and a `Rule` for what one column alone cannot say. All of it
becomes one query, which the warehouse answers where the rows are.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import warehouse
from .errors import ContractError

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis.common.deferred import Deferred
    from ibis.expr.schema import Schema

    from . import config
    from .warehouse import Connection


@dataclass(frozen=True)
class Column:
    """type: as Ibis names it: string, int32, int64, float64, decimal(18, 2), date, timestamp or boolean.

    key: the columns so marked together differ in every row; none of them is null. min, max: both are allowed values.
    allowed: all values there may be. regex: what the text contains; ``^`` and ``$`` make it the whole text.
    """

    type: str
    nullable: bool = False
    key: bool = False
    min: Any = None
    max: Any = None
    allowed: Collection[Any] = ()
    regex: str = ""

    def checks(self, value: ir.Value) -> Iterator[tuple[str, ir.BooleanValue]]:
        """Each limit by name, as a condition that is true of a good value."""
        if self.key or not self.nullable:
            yield "nullability", value.notnull()
        if self.min is not None:
            yield "min", value >= self.min
        if self.max is not None:
            yield "max", value <= self.max
        if self.allowed:
            yield "allowed", value.isin(list(self.allowed))
        if self.regex:
            yield "regex", value.re_search(self.regex)


@dataclass(frozen=True)
class Rule:
    """A condition that is true of a good row: ``Rule(_.departed <= _.flights)``, or a function that takes the table."""

    check: Deferred | Callable[[ir.Table], ir.BooleanValue]


class Contract:
    """The base of all contracts. A row breaks a rule when it is false; what cannot be decided, for a null, is kept.

    It has no attributes of its own, so that a column may have any name.
    """


def columns(contract: type[Contract]) -> dict[str, Column]:
    """The columns of a contract by name, those of its bases first."""
    return _members(contract, Column)


def differences(contract: type[Contract], schema: Schema) -> list[str]:
    """What a table of this schema has otherwise than the contract, in words; more columns are no difference."""
    import ibis.expr.datatypes as dt

    wanted = {name: column.type for name, column in columns(contract).items()}
    missing = [f"{name} is missing" for name in wanted if name not in schema]
    return missing + [
        f"{name} is {schema[name]} instead of {kind}"
        for name, kind in wanted.items()
        if name in schema and type(schema[name]) is not type(dt.dtype(kind))
    ]


def broken(contract: type[Contract], rows: ir.Table, keep: Sequence[str] = ()) -> ir.Table:
    """The rows that break the contract: the columns ``keep``, and ``reason``, the names of the broken rules."""
    import ibis

    own = columns(contract)
    checks = {f"{name}: {limit}": check for name, each in own.items() for limit, check in each.checks(rows[name])}
    checks |= {name: rows.bind(rule.check)[0] for name, rule in _members(contract, Rule).items()}
    keys = [name for name, column in own.items() if column.key]
    reason = _names(checks)
    if not keys:
        checked = rows.select(*keep, reason=reason)
        return checked.filter(checked.reason != "")
    # Grouped beside the rows and not with a window over them: only keys that occur twice are then kept in memory.
    counted = rows.group_by(keys).agg(copies=rows.count())
    twice = counted.filter(counted.copies > 1)
    checked = rows.select(*dict.fromkeys((*keep, *keys)), reason=reason).left_join(twice, keys)
    both = [checked.reason.nullif(""), ibis.cases((checked.copies.notnull(), "primary_key"))]
    checked = checked.select(*keep, reason=ibis.literal(", ").join(both))
    return checked.filter(checked.reason != "")


def refuse_broken(
    con: Connection, own: Mapping[str, type[Contract]], tables: Mapping[str, ir.Table], outcome: str
) -> None:
    """Raise ContractError when rows of a table would break its contract. outcome: what was not done then."""
    for name, rows in tables.items():
        if reasons := warehouse.rows(con, warehouse.to_sql(con, broken(own[name], rows))):
            rules = ", ".join(sorted({reason for (reason,) in reasons}))
            raise ContractError(f"{len(reasons)} rows of {name} would break the contract ({rules}); {outcome}")


def refuse_share(quality: config.Quality, bad: int, of_all: int, words: str, detail: Callable[[], str] = str) -> None:
    """Raise ContractError when more rows are bad than [quality] allows. words: which, and why. detail: says more."""
    share, most = bad / of_all if bad else 0.0, quality.max_quarantined_share
    if share > most:
        allowed = f"{share:.1%}, at most {most:.1%} allowed"
        raise ContractError(f"{bad:,} of {of_all:,} {words} ({allowed}){detail()}; nothing was published")


def refuse_number(quality: config.Quality, kept: int) -> None:
    """Raise ContractError when [quality] asks for more or fewer rows than are left."""
    least, most = quality.min_rows, quality.max_rows
    if kept < least or (most is not None and kept > most):
        limits = f"at least {least:,}" if most is None else f"{least:,} to {most:,}"
        raise ContractError(f"{kept:,} rows are left and [quality] asks for {limits}; nothing was published")


def _members(contract: type[Contract], kind: type) -> dict[str, Any]:
    bases = reversed(contract.__mro__)
    return {name: each for base in bases for name, each in vars(base).items() if isinstance(each, kind)}


def _names(checks: Mapping[str, ir.BooleanValue]) -> ir.StringValue:
    """The names of the checks that are false, empty when there are none."""
    import ibis

    return ibis.literal(", ").join([ibis.cases((~check, name)) for name, check in checks.items()])


class CheckedRow(Contract):
    """The base of contracts of rows that are checked before they are published.

    source_row: its number in the input. unreadable: names of columns whose text could not be typed.
    of_another_partition: added by the check.
    """

    source_row = Column("int64")
    unreadable = Column("string", nullable=True)

    every_value_was_readable = Rule(lambda row: row.unreadable.isnull())
    row_is_of_another_partition = Rule(lambda row: ~row.of_another_partition)
