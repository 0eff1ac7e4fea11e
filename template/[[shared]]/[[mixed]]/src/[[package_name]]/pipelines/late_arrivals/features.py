"""Features: a row for each flight that has left and arrived. Tables in, tables out; no orchestrator, no I/O in here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...platform import reading

if TYPE_CHECKING:
    import ibis.expr.types as ir

LATE_MINUTES = 15


def features(departures: ir.Table) -> ir.Table:
    """The features of a day's departures.

    departures: columns of ``steps.COLUMNS`` as text.
    Returns origin, carrier, flight, dest, sched_dep_time (local, as 13:05), hour, traffic (flights that were to leave
    the airport in this hour), distance (miles), dep_delay (minutes); late: 1 where it arrived more than 15 minutes
    late, else 0. A flight that did not arrive has no row. unreadable: names of columns whose text has another form.
    """
    typed = {
        "flight": reading.integer(departures.flight_number),
        "hour": reading.integer(departures.departure_hour),
        "traffic": reading.integer(departures.flights_in_hour),
        "distance": reading.decimal(departures.distance_mi),
        "dep_delay": reading.decimal(departures.dep_delay_min),
        "arr_delay": reading.decimal(departures.arr_delay_min),
    }
    rows = departures.select(
        origin=departures.origin,
        carrier=departures.carrier,
        dest=departures.destination,
        sched_dep_time=departures.scheduled_departure_local,
        arrived=departures.arr_delay_min.notnull(),
        **typed,
    )
    rows = rows.filter(rows.arrived)
    wrong = rows.flight.isnull() | rows.hour.isnull() | rows.dep_delay.isnull() | rows.arr_delay.isnull()
    return rows.select(
        **{name: rows[name] for name in ("origin", "carrier", "flight", "dest", "sched_dep_time", "hour")},
        **{name: rows[name] for name in ("traffic", "distance", "dep_delay")},
        late=(rows.arr_delay > LATE_MINUTES).cast("int32"),
        unreadable=wrong.ifelse("a number", None),
    )
