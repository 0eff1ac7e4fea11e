"""The contracts of the published tables: types, ranges, nullability, uniqueness.

Rows are checked as flights, before anything is published; one that breaks a rule goes to the quarantine table with the
rule's name as its reason. The other tables are made of the rows that are left, and the unit tests hold them to theirs.
"""

from __future__ import annotations

from ibis import _

from ...platform import reading
from ...platform.contracts import CheckedRow, Column, Contract, Rule

CLOCK_TIME = r"^\d{2}:\d{2}$"
LOCAL_TIME_ZONE = "America/New_York"


class Flight(CheckedRow):
    """One row per flight out of New York. Delays in minutes, distance in miles, instants in UTC."""

    flight_key = Column("string", key=True)
    flight_date = Column("date", nullable=True)
    carrier = Column("string", regex=r"^[0-9A-Z]{2}$")
    flight_number = Column("int32", min=1, max=9999)
    tail_number = Column("string", nullable=True, regex=r"^[0-9A-Z]{5,6}$")
    origin = Column("string", regex=r"^(EWR|JFK|LGA)$")
    destination = Column("string", regex=r"^[A-Z]{3}$")
    scheduled_departure_utc = Column("timestamp")
    departure_utc = Column("timestamp", nullable=True)
    scheduled_departure_local = Column("string", regex=CLOCK_TIME)
    departure_local = Column("string", nullable=True, regex=CLOCK_TIME)
    scheduled_arrival_local = Column("string", regex=CLOCK_TIME)
    arrival_local = Column("string", nullable=True, regex=CLOCK_TIME)
    dep_delay_min = Column("int32", nullable=True, min=-120, max=2000)
    arr_delay_min = Column("int32", nullable=True, min=-180, max=2000)
    air_time_min = Column("int32", nullable=True, min=1, max=1200)
    distance_mi = Column("int32", min=1, max=12_000)
    cancelled = Column("boolean")

    flight_is_of_this_day = Rule(_.flight_date.notnull())
    utc_and_local_departure_agree = Rule(
        reading.local_time(_.scheduled_departure_utc, LOCAL_TIME_ZONE).strftime("%Y-%m-%d %H:%M")
        == _.flight_date.strftime("%Y-%m-%d ") + _.scheduled_departure_local
    )
    departed_flights_have_a_delay_and_cancelled_ones_none = Rule(_.cancelled == _.dep_delay_min.isnull())


class DailyCarrierPerformance(Contract):
    """One row per day and carrier. Delays in minutes, null for a carrier that did not fly that day."""

    flight_date = Column("date", key=True)
    carrier = Column("string", key=True, regex=r"^[0-9A-Z]{2}$")
    flights = Column("int64", min=1)
    cancelled = Column("int64", min=0)
    departed = Column("int64", min=0)
    mean_dep_delay_min = Column("float64", nullable=True, min=-120, max=2000)
    p90_dep_delay_min = Column("float64", nullable=True, min=-120, max=2000)
    mean_arr_delay_min = Column("float64", nullable=True, min=-180, max=2000)
    p90_arr_delay_min = Column("float64", nullable=True, min=-180, max=2000)

    flights_departed_or_were_cancelled = Rule(_.flights == _.departed + _.cancelled)


class DailyRouteVolume(Contract):
    """One row per day and route. Distance in miles."""

    flight_date = Column("date", key=True)
    origin = Column("string", key=True, regex=r"^(EWR|JFK|LGA)$")
    destination = Column("string", key=True, regex=r"^[A-Z]{3}$")
    flights = Column("int64", min=1)
    cancelled = Column("int64", min=0)
    distance_mi = Column("int32", min=1, max=12_000)


CONTRACTS = {
    "fact_flights": Flight,
    "daily_carrier_performance": DailyCarrierPerformance,
    "daily_route_volume": DailyRouteVolume,
}
