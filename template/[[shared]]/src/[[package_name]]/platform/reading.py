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
DATE = r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$"
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
    valid = text.re_search(DATE) & (_day(text) <= _days_in_month(text))
    return ibis.cases((valid, text.cast("date")))


def timestamp(text: ir.StringColumn) -> ir.TimestampColumn:
    """An instant in UTC, as 2013-01-31T05:00:00Z, or with +00, or without either."""
    valid = text.re_search(TIMESTAMP) & (_day(text) <= _days_in_month(text))
    return ibis.cases((valid, text.re_replace("(Z|[+]00(:?00)?)$", "").cast("timestamp")))


def boolean(text: ir.StringColumn) -> ir.BooleanColumn:
    lower = text.lower()
    return ibis.cases((lower.isin(TRUE), True), (lower.isin(FALSE), False))


def unreadable(raw: ir.Table, typed: Mapping[str, ir.Column], missing: str = "") -> ir.StringColumn:
    """Names of the columns whose text is given but could not be typed, null where there are none.

    typed: the typed value of each column of ``raw``.
    """
    matches = [
        ibis.cases((given(raw[name], missing).notnull() & value.isnull(), name)) for name, value in typed.items()
    ]
    return ibis.literal(" ").join(matches).nullif("")


def _part(text: ir.StringColumn, first: int, length: int) -> ir.IntegerColumn:
    part = text.substr(first, length)
    return ibis.cases((part.re_search("^[0-9]+$"), part.cast("int32")))


def _day(text: ir.StringColumn) -> ir.IntegerColumn:
    return _part(text, 8, 2)


def _days_in_month(text: ir.StringColumn) -> ir.IntegerColumn:
    year, month = _part(text, 0, 4), _part(text, 5, 2)
    leap = ((year % 4 == 0) & (year % 100 != 0)) | (year % 400 == 0)
    return ibis.cases((month == 2, leap.ifelse(29, 28)), (month.isin([4, 6, 9, 11]), 30), else_=31)
