"""Business logic of flights_daily: tables in, tables out, on whatever backend holds them.

No orchestrator, no clock, no environment and no I/O in here: the tables are handed in, and hold one day or many.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import ibis
from ibis import _

if TYPE_CHECKING:
    from collections.abc import Iterable

    import ibis.expr.types as ir

NOT_AVAILABLE = "NA"
# fmt: off
SOURCE_COLUMNS = (
    "year", "month", "day", "dep_time", "sched_dep_time", "dep_delay", "arr_time", "sched_arr_time", "arr_delay",
    "carrier", "flight", "tailnum", "origin", "dest", "air_time", "distance", "hour", "minute", "time_hour",
)
# fmt: on

NUMBERS = ("year", "month", "day", "flight", "minute", "dep_delay", "arr_delay", "air_time", "distance")
CLOCK_TIMES = ("dep_time", "sched_dep_time", "arr_time", "sched_arr_time")

# At most nine digits: what matches is sure to fit a 32-bit integer, on every backend.
WHOLE_NUMBER = r"^-?[0-9]{1,9}$"
UTC_INSTANT = r"^.{10}T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z$"
CLOCK_TIME = r"^([01]?[0-9]|2[0-3])?[0-5]?[0-9]$|^2400$"


def _given(text: ir.StringColumn) -> ir.StringColumn:
    return text.nullif(NOT_AVAILABLE)


# A cast stands inside its case, so that a text of another form gives null and not an error; "NA" is one of them.
def _whole_number(text: ir.StringColumn) -> ir.IntegerColumn:
    return ibis.cases((text.re_search(WHOLE_NUMBER), text.cast("int32")))


def _clock_time(text: ir.StringColumn) -> ir.StringColumn:
    four_digits = ("000" + text).right(4)
    return ibis.cases((text.re_search(CLOCK_TIME), four_digits.re_replace("(..)(..)", r"\1:\2")))


def _utc_instant(text: ir.StringColumn, local_date: ir.DateColumn) -> ir.TimestampColumn:
    # West of Greenwich a local day ends on the next day in UTC; any other date is wrong, or none at all.
    dates = [(local_date + ibis.interval(days=days)).strftime("%Y-%m-%d") for days in (0, 1)]
    of_the_day = text.startswith(dates[0]) | text.startswith(dates[1])
    return ibis.cases((of_the_day & text.re_search(UTC_INSTANT), text.cast("timestamp")))


def fact_flights(raw: ir.Table) -> ir.Table:
    """Typed flights with UTC instants, one row per flight of the source files, of one day or many.

    raw: text columns as in ``SOURCE_COLUMNS`` ("NA" is missing), ``partition_date``, the local day the file stands for,
    and ``source_row``, the row's number in that file.
    Returns the columns of ``contract.Flight``. Delays and air time in minutes, distance in miles, instants in UTC
    without zone, clock times local to their airport. ``flight_date`` is null in a row of another day than its file's,
    ``unreadable`` lists values that could not be typed.
    """
    typed = {name: _whole_number(raw[name]) for name in NUMBERS}
    typed |= {name: _clock_time(raw[name]) for name in CLOCK_TIMES}
    typed |= {"time_hour": _utc_instant(raw.time_hour, raw.partition_date)}
    read = raw.mutate(**{f"{name}_value": value for name, value in typed.items()})
    flights = read.mutate(
        scheduled_departure_utc=_.time_hour_value + _.minute_value.as_interval("m"),
        of_this_day=(_.year_value == _.partition_date.year())
        & (_.month_value == _.partition_date.month())
        & (_.day_value == _.partition_date.day()),
        unreadable=_unreadable(read, typed.keys()),
    )
    return flights.select(
        partition_date=_.partition_date,
        source_row=_.source_row,
        flight_key=_flight_key(flights),
        flight_date=ibis.cases((_.of_this_day, _.partition_date)),
        carrier=_given(_.carrier),
        flight_number=_.flight_value,
        tail_number=_given(_.tailnum),
        origin=_given(_.origin),
        destination=_given(_.dest),
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
        cancelled=_given(_.dep_time).isnull(),
        unreadable=_.unreadable,
    )


def _flight_key(flights: ir.Table) -> ir.StringColumn:
    day, departs = flights.partition_date.cast("string"), flights.sched_dep_time.lpad(4, "0")
    return day + "-" + flights.carrier + "-" + flights.flight + "-" + flights.origin + "-" + departs


def _unreadable(read: ir.Table, names: Iterable[str]) -> ir.StringColumn:
    """Names of the columns whose text is there but could not be typed, null where there are none."""
    found = [ibis.cases(((read[name] != NOT_AVAILABLE) & read[f"{name}_value"].isnull(), name)) for name in names]
    return ibis.literal(" ").join(found).nullif("")


DAY_AND_CARRIER = ["flight_date", "carrier"]


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
    percentiles = _percentiles(flights, 90, p90_dep_delay_min="dep_delay_min", p90_arr_delay_min="arr_delay_min")
    return figures.left_join(percentiles, DAY_AND_CARRIER).select(
        *DAY_AND_CARRIER,
        "flights",
        "cancelled",
        "departed",
        "mean_dep_delay_min",
        "p90_dep_delay_min",
        "mean_arr_delay_min",
        "p90_arr_delay_min",
    )


def _percentiles(flights: ir.Table, percent: int, **delays: str) -> ir.Table:
    """Interpolated percentiles of columns of whole minutes, by the name each gets: one row per day and carrier.

    They are found by counting flights per minute of delay: a database's own function keeps every value in memory.
    Places are in hundredths, so that whole numbers are divided once: 78.8 does not become 78.80000000000011.
    """
    columns = [
        flights.select(*DAY_AND_CARRIER, name=ibis.literal(name), minute=flights[delay])
        for name, delay in delays.items()
    ]
    minutes = ibis.union(*columns)
    of_one = [*DAY_AND_CARRIER, "name"]
    counted = minutes.filter(_.minute.notnull()).group_by(*of_one, "minute").agg(flights=_.count())
    ranked = counted.mutate(
        up_to=_.flights.sum().over(ibis.cumulative_window(group_by=of_one, order_by="minute")),
        place=percent * (_.flights.sum().over(ibis.window(group_by=of_one)) - 1).cast("int64"),
    )
    found = ranked.group_by(of_one).agg(
        below=_.minute.min(where=_.up_to > _.place // 100),
        above=_.minute.min(where=_.up_to > (_.place + 99) // 100),
        part=(_.place % 100).max(),
    )
    value = (found.below * 100 + found.part * (found.above - found.below)) / 100
    return found.group_by(DAY_AND_CARRIER).agg(**{name: value.max(where=found["name"] == name) for name in delays})


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


def quarantine(raw: ir.Table, rejected: ir.Table, broken: ir.Table) -> ir.Table:
    """Rows that were not published, with the reason and the text they came as.

    raw: as for `fact_flights`. rejected: partition_date, source_row, reason. broken: partition_date, source_row (here
    the line), reason, record.
    Returns flight_date, source_row, reason, record.
    """
    columns = ["partition_date", "source_row", "reason", "record"]
    text = ibis.literal(",").join([raw[name].fill_null("") for name in SOURCE_COLUMNS])
    lines = raw.select("partition_date", "source_row", record=text)
    failed = lines.join(rejected, ["partition_date", "source_row"]).select(columns)
    return failed.union(broken.select(columns)).rename(flight_date="partition_date")
