"""Typing text on any backend: a value of another form becomes null and never an error, so that its row can be set
aside.

missing: the text that stands for no value, besides the empty one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import ibis

if TYPE_CHECKING:
    import ibis.expr.types as ir

# At most nine digits for 32 bits and eighteen for 64: what matches is sure to fit, on every backend.
INTEGER, LONG = r"^-?[0-9]{1,9}$", r"^-?[0-9]{1,18}$"
DECIMAL = r"^-?([0-9]{1,15}\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]{1,2})?$"
# No day that the calendar lacks, as a database ends a statement at one: there is no year 0, and no 30th of February.
YEAR = "([0-9]{3}[1-9]|[0-9]{2}[1-9]0|[0-9][1-9]00|[1-9]000)"
LEAP_YEAR = "([0-9]{2}(0[48]|[2468][048]|[13579][26])|(0[48]|[2468][048]|[13579][26])00)"
DAYS = "(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])|(0[13-9]|1[0-2])-(29|30)|(0[13578]|1[02])-31"
DATE = rf"^({YEAR}-({DAYS})|{LEAP_YEAR}-02-29)$"
CLOCK = r"([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]+)?)?"
TIMESTAMP = rf"{DATE[:-1]}[T ]{CLOCK}(Z|[+]00(:?00)?)?$"
TRUE, FALSE = ("true", "t", "yes", "y", "1"), ("false", "f", "no", "n", "0")


def given(text: ir.StringColumn, missing: str = "") -> ir.StringColumn:
    """The text, null where no value is given."""
    return text.nullif(missing).nullif("")


# A cast stands inside its case, so that it never sees a text of another form.
def _cast(text: ir.StringColumn, form: str, kind: str) -> ir.Column:
    return ibis.cases((text.re_search(form), text.cast(kind)))


def integer(text: ir.StringColumn) -> ir.IntegerColumn:
    """A whole number of 32 bits."""
    return _cast(text, INTEGER, "int32")


def long(text: ir.StringColumn) -> ir.IntegerColumn:
    """A whole number of 64 bits."""
    return _cast(text, LONG, "int64")


def decimal(text: ir.StringColumn) -> ir.FloatingColumn:
    return _cast(text, DECIMAL, "float64")


def date(text: ir.StringColumn) -> ir.DateColumn:
    """A date as 2013-01-31; the 30th of February is not one."""
    return _cast(text, DATE, "date")


def timestamp(text: ir.StringColumn) -> ir.TimestampColumn:
    """An instant in UTC, as 2013-01-31T05:00:00Z, or with +00, or without either."""
    return ibis.cases((text.re_search(TIMESTAMP), text.re_replace("(Z|[+]00(:?00)?)$", "").cast("timestamp")))


def boolean(text: ir.StringColumn) -> ir.BooleanColumn:
    lower = text.lower()
    return ibis.cases((lower.isin(TRUE), True), (lower.isin(FALSE), False))


def unreadable(raw: ir.Table, typed: Mapping[str, ir.Column], missing: str = "") -> ir.StringColumn:
    """Names of the columns whose text is given but could not be typed, null where there are none.

    typed: the typed value of each column of ``raw``.
    """
    absent = list(dict.fromkeys((missing, "")))  # a list is cheaper to plan than `given`; a null is in none either
    matches = [ibis.cases((raw[name].notin(absent) & value.isnull(), name)) for name, value in typed.items()]
    return ibis.literal(" ").join(matches).nullif("")


def local_time(instant: ir.TimestampColumn, zone: str) -> ir.TimestampColumn:
    """What clocks in this time zone show at an instant; both are timestamps without zone, the instant in UTC."""
    return _in_zone(zone, _with_zone("UTC", instant))


# Both databases have one function of this name for the two ways.
@ibis.udf.scalar.builtin(name="timezone", signature=(("string", "timestamp"), "timestamp('UTC')"))
def _with_zone(zone: str, local: ir.TimestampColumn) -> ir.TimestampColumn: ...


@ibis.udf.scalar.builtin(name="timezone", signature=(("string", "timestamp('UTC')"), "timestamp"))
def _in_zone(zone: str, instant: ir.TimestampColumn) -> ir.TimestampColumn: ...
