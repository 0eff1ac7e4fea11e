"""flights_daily: flights out of New York, one partition a day, from CSV files to published tables."""

from ...platform.batch_etl import STEPS
from ...platform.partitions import Grain
from ...platform.pipelines import Pipeline

PIPELINE = Pipeline(
    name="flights_daily",
    shape="batch_etl",
    grain=Grain.DAY,
    steps=STEPS,
    tables=("fact_flights", "daily_carrier_performance", "daily_route_volume"),
    partition_column="flight_date",
)
