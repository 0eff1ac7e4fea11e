"""The base of all contracts of rows that are checked before they are published."""

from __future__ import annotations

import dataframely as dy
import polars as pl


class CheckedRow(dy.Schema):
    """source_row: its number in the input. unreadable: names of columns whose text could not be typed."""

    source_row = dy.Int64()
    unreadable = dy.String(nullable=True)

    @dy.rule()
    def every_value_was_readable(cls) -> pl.Expr:
        return cls.unreadable.col.is_null()
