"""Aggregates that databases compute differently, or only in memory, written once for all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ibis
from ibis import _

if TYPE_CHECKING:
    from collections.abc import Sequence

    import ibis.expr.types as ir


def percentiles(table: ir.Table, by: Sequence[str], percent: int, **columns: str) -> ir.Table:
    """Interpolated percentiles of columns of whole numbers, by the name each gets: one row per group.

    They are read off the number of rows per value, as a database's own function keeps every value in memory. Places are
    in hundredths, so that whole numbers are divided once: 78.8 does not become 78.80000000000011.
    """
    values = ibis.union(
        *(table.select(*by, name=ibis.literal(name), value=table[column]) for name, column in columns.items())
    )
    of_one = [*by, "name"]
    counted = values.filter(_.value.notnull()).group_by(*of_one, "value").agg(rows=_.count())
    ranked = counted.mutate(
        up_to=_.rows.sum().over(ibis.cumulative_window(group_by=of_one, order_by="value")),
        place=percent * (_.rows.sum().over(ibis.window(group_by=of_one)) - 1).cast("int64"),
    )
    ends = ranked.group_by(of_one).agg(
        below=_.value.min(where=_.up_to > _.place // 100),
        above=_.value.min(where=_.up_to > (_.place + 99) // 100),
        part=(_.place % 100).max(),
    )
    result = (ends.below * 100 + ends.part * (ends.above - ends.below)) / 100
    return ends.group_by(by).agg(**{name: result.max(where=ends["name"] == name) for name in columns})
