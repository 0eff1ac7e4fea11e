"""Business logic of flights_daily: tables in, tables out, on any backend.

No orchestrator, no clock, no environment and no I/O in here: the tables are handed in, and hold one day or many.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import ibis
from ibis import _

from ...platform import reading
from ...platform.aggregates import percentiles

if TYPE_CHECKING:
    import ibis.expr.types as ir

MISSING = "NA"
NUMBERS = ("year", "month", "day", "flight", "minute", "dep_delay", "arr_delay", "air_time", "distance")
CLOCK_TIMES = ("dep_time", "sched_dep_time", "arr_time", "sched_arr_time")
CLOCK_TIME = r"^([01]?[0-9]|2[0-3])?[0-5]?[0-9]$|^2400$"
DAY_AND_CARRIER = ["flight_date", "carrier"]


def _clock_time(text: ir.StringColumn) -> ir.StringColumn:
    four_digits = ("000" + text).right(4)
    return ibis.cases((text.re_search(CLOCK_TIME), four_digits.left(2) + ":" + four_digits.right(2)))


def _utc_instant(text: ir.StringColumn, local_date: ir.DateColumn) -> ir.TimestampColumn:
    # West of Greenwich a local day ends on the next day in UTC; any other date is wrong. Without a Z it is not UTC.
    dates = [date.strftime("%Y-%m-%d") for date in (local_date, local_date + ibis.interval(days=1))]
    of_the_day = text.startswith(dates[0]) | text.startswith(dates[1])
    return ibis.cases((of_the_day & text.endswith("Z"), reading.timestamp(text)))


def fact_flights(raw: ir.Table) -> ir.Table:
    """Typed flights with UTC instants, one row per flight of the source files, of one day or many.

    raw: text columns as in ``steps.COLUMNS`` ("NA" is missing), ``partition_date``, the local day the file stands for,
    and ``source_row``, the row's number in that file.
    Returns the columns of ``contract.Flight``. Delays and air time in minutes, distance in miles, instants in UTC
    without zone, clock times local to their airport. ``flight_date`` is null in a row of another day than its file's.
    """
    typed = {name: reading.integer(raw[name]) for name in NUMBERS}
    typed |= {name: _clock_time(raw[name]) for name in CLOCK_TIMES}
    typed |= {"time_hour": _utc_instant(raw.time_hour, raw.partition_date)}
    read = raw.mutate(**{f"{name}_value": value for name, value in typed.items()})
    flights = read.mutate(
        unreadable=reading.unreadable(read, {name: read[f"{name}_value"] for name in typed}, MISSING),
        scheduled_departure_utc=_.time_hour_value + _.minute_value.as_interval("m"),
        of_this_day=(_.year_value == _.partition_date.year())
        & (_.month_value == _.partition_date.month())
        & (_.day_value == _.partition_date.day()),
    )
    key = [flights.partition_date.cast("string"), flights.carrier, flights.flight, flights.origin]
    key.append(flights.sched_dep_time.lpad(4, "0"))
    return flights.select(
        source_row=_.source_row,
        flight_key=ibis.literal("-").join(key),
        flight_date=ibis.cases((_.of_this_day, _.partition_date)),
        carrier=_.carrier.nullif(MISSING),
        flight_number=_.flight_value,
        tail_number=_.tailnum.nullif(MISSING),
        origin=_.origin.nullif(MISSING),
        destination=_.dest.nullif(MISSING),
        scheduled_departure_utc=_.scheduled_departure_utc,
        departure_utc=_.scheduled_departure_utc + _.dep_delay_value.as_interval("m"),
        scheduled_departure_local=_.sched_dep_time_value,
        departure_local=_.dep_time_value,
        scheduled_arrival_local=_.sched_arr_time_value,
        arrival_local=_.arr_time_value,
        dep_delay_min=_.dep_delay_value,
        arr_delay_min=_.arr_delay_value,
        air_time_min=_.air_time_value,
        distance_mi=_.distance_value,
        cancelled=_.dep_time.nullif(MISSING).isnull(),
        unreadable=_.unreadable,
    )


def daily_carrier_performance(flights: ir.Table) -> ir.Table:
    """Delay and cancellation figures, one row per day and carrier.

    flights: rows of ``fact_flights``; delays in minutes, null where the flight did not depart or not arrive.
    Returns flight_date, carrier, flights, cancelled, departed, and mean and 90th percentile (interpolated) of
    departure and arrival delay in minutes, null for a carrier with no such flight that day.
    """
    figures = flights.group_by(DAY_AND_CARRIER).agg(
        flights=_.count(),
        cancelled=_.count(where=_.cancelled),
        departed=_.count(where=~_.cancelled),
        mean_dep_delay_min=_.dep_delay_min.cast("float64").mean(),
        mean_arr_delay_min=_.arr_delay_min.cast("float64").mean(),
    )
    delays = {"p90_dep_delay_min": "dep_delay_min", "p90_arr_delay_min": "arr_delay_min"}
    return figures.left_join(percentiles(flights, DAY_AND_CARRIER, 90, **delays), DAY_AND_CARRIER).select(
        *(*DAY_AND_CARRIER, "flights", "cancelled", "departed"),
        *("mean_dep_delay_min", "p90_dep_delay_min", "mean_arr_delay_min", "p90_arr_delay_min"),
    )


def daily_route_volume(flights: ir.Table) -> ir.Table:
    """Traffic per day and route.

    flights: rows of ``fact_flights``.
    Returns flight_date, origin, destination, flights, cancelled, distance_mi (of the route, in miles).
    """
    return flights.group_by("flight_date", "origin", "destination").agg(
        flights=_.count(),
        cancelled=_.count(where=_.cancelled),
        distance_mi=_.distance_mi.max(),
    )
