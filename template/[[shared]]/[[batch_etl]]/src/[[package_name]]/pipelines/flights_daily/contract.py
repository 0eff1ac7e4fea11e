"""The contracts of the published tables: types, ranges, nullability, uniqueness.

Rows are checked as flights, before anything is published; one that breaks a rule goes to the quarantine table with the
rule's name as its reason. The other tables are made of the rows that are left, and the unit tests hold them to theirs.
"""

from __future__ import annotations

import dataframely as dy
import polars as pl

from ...platform.contracts import CheckedRow

CLOCK_TIME = r"^\d{2}:\d{2}$"
LOCAL_TIME_ZONE = "America/New_York"


class Flight(CheckedRow):
    """One row per flight out of New York. Delays in minutes, distance in miles, instants in UTC."""

    flight_key = dy.String(primary_key=True)
    flight_date = dy.Date(nullable=True)
    carrier = dy.String(regex=r"^[0-9A-Z]{2}$")
    flight_number = dy.Int32(min=1, max=9999)
    tail_number = dy.String(nullable=True, regex=r"^[0-9A-Z]{5,6}$")
    origin = dy.String(regex=r"^(EWR|JFK|LGA)$")
    destination = dy.String(regex=r"^[A-Z]{3}$")
    scheduled_departure_utc = dy.Datetime()
    departure_utc = dy.Datetime(nullable=True)
    scheduled_departure_local = dy.String(regex=CLOCK_TIME)
    departure_local = dy.String(nullable=True, regex=CLOCK_TIME)
    scheduled_arrival_local = dy.String(regex=CLOCK_TIME)
    arrival_local = dy.String(nullable=True, regex=CLOCK_TIME)
    dep_delay_min = dy.Int32(nullable=True, min=-120, max=2000)
    arr_delay_min = dy.Int32(nullable=True, min=-180, max=2000)
    air_time_min = dy.Int32(nullable=True, min=1, max=1200)
    distance_mi = dy.Int32(min=1, max=12_000)
    cancelled = dy.Bool()

    @dy.rule()
    def flight_is_of_this_day(cls) -> pl.Expr:
        return cls.flight_date.col.is_not_null()

    @dy.rule()
    def utc_and_local_departure_agree(cls) -> pl.Expr:
        local = cls.scheduled_departure_utc.col.dt.replace_time_zone("UTC").dt.convert_time_zone(LOCAL_TIME_ZONE)
        return (local.dt.date() == cls.flight_date.col) & (
            local.dt.strftime("%H:%M") == cls.scheduled_departure_local.col
        )

    @dy.rule()
    def departed_flights_have_a_delay_and_cancelled_ones_none(cls) -> pl.Expr:
        return cls.cancelled.col == cls.dep_delay_min.col.is_null()


class DailyCarrierPerformance(dy.Schema):
    """One row per day and carrier. Delays in minutes, null for a carrier that did not fly that day."""

    flight_date = dy.Date(primary_key=True)
    carrier = dy.String(primary_key=True, regex=r"^[0-9A-Z]{2}$")
    flights = dy.Int64(min=1)
    cancelled = dy.Int64(min=0)
    departed = dy.Int64(min=0)
    mean_dep_delay_min = dy.Float64(nullable=True, min=-120, max=2000)
    p90_dep_delay_min = dy.Float64(nullable=True, min=-120, max=2000)
    mean_arr_delay_min = dy.Float64(nullable=True, min=-180, max=2000)
    p90_arr_delay_min = dy.Float64(nullable=True, min=-180, max=2000)

    @dy.rule()
    def flights_departed_or_were_cancelled(cls) -> pl.Expr:
        return cls.flights.col == cls.departed.col + cls.cancelled.col


class DailyRouteVolume(dy.Schema):
    """One row per day and route. Distance in miles."""

    flight_date = dy.Date(primary_key=True)
    origin = dy.String(primary_key=True, regex=r"^(EWR|JFK|LGA)$")
    destination = dy.String(primary_key=True, regex=r"^[A-Z]{3}$")
    flights = dy.Int64(min=1)
    cancelled = dy.Int64(min=0)
    distance_mi = dy.Int32(min=1, max=12_000)


CONTRACTS = {
    "fact_flights": Flight,
    "daily_carrier_performance": DailyCarrierPerformance,
    "daily_route_volume": DailyRouteVolume,
}
