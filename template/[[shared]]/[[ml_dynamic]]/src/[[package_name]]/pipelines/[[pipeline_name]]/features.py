"""Features: a row for each flight that has arrived, with the weather of its airport in the hour it was to leave.

Tables in, tables out; no orchestrator, no clock and no I/O in here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...platform import reading

if TYPE_CHECKING:
    import ibis.expr.types as ir

MISSING = "NA"
LATE_MINUTES = 15


def features(flights: ir.Table, weather: ir.Table) -> ir.Table:
    """The features of a month's flights.

    flights, weather: columns of ``steps.SOURCES`` as text; flights also has ``partition_date``, the month's first day.
    Returns flight_date, origin, carrier, flight, dest, sched_dep_time (local, as 1305), hour, weekday (0 is Monday),
    distance (miles), temp (degrees Fahrenheit), wind_speed (mph), precip (inches), visib (miles); late: 1 where it
    arrived more than 15 minutes late, else 0. Weather is null where nobody measured it. A flight that did not arrive
    has no row. unreadable: names of columns whose text has another form, null in a good row.
    """
    typed = {
        "day": reading.integer(flights.day),
        "sched_dep_time": reading.integer(flights.sched_dep_time),
        "flight": reading.integer(flights.flight),
        "distance": reading.decimal(flights.distance),
        "arr_delay": reading.decimal(reading.given(flights.arr_delay, MISSING)),
    }
    left = flights.select(
        partition_date=flights.partition_date,
        origin=flights.origin,
        carrier=flights.carrier,
        dest=flights.dest,
        unreadable=reading.unreadable(flights, typed, MISSING),
        **typed,
    )
    left = left.filter(left.arr_delay.notnull() | left.unreadable.notnull())
    left = left.mutate(
        hour=(left.sched_dep_time / 100).floor().cast("int32"),
        flight_date=left.partition_date + (left.day - 1).as_interval("D"),
    )
    joined = left.left_join(_by_hour(weather), ["origin", "day", "hour"])
    return joined.select(
        flight_date=joined.flight_date.cast("date"),
        **{name: joined[name] for name in ("origin", "carrier", "flight", "dest", "sched_dep_time", "hour")},
        weekday=joined.flight_date.cast("date").day_of_week.index().cast("int32"),
        **{name: joined[name] for name in ("distance", "temp", "wind_speed", "precip", "visib")},
        late=(joined.arr_delay > LATE_MINUTES).cast("int32"),
        unreadable=joined.unreadable,
    )


def _by_hour(weather: ir.Table) -> ir.Table:
    """A row for each airport, day and hour: where the file has two, as when clocks change, their mean."""
    measured = ("temp", "wind_speed", "precip", "visib")
    typed = weather.select(
        origin=weather.origin,
        day=reading.integer(weather.day),
        hour=reading.integer(weather.hour),
        **{name: reading.decimal(reading.given(weather[name], MISSING)) for name in measured},
    )
    return typed.group_by("origin", "day", "hour").agg(**{name: typed[name].mean() for name in measured})
