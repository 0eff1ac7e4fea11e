"""flights_daily: flights out of New York as data products, one partition a day, by the models in `dbt/`."""

from ...platform.data_products import STEPS
from ...platform.partitions import Grain
from ...platform.pipelines import Pipeline

PIPELINE = Pipeline(
    name="flights_daily",
    shape="data_products",
    grain=Grain.DAY,
    steps=STEPS,
    tables=("fct_flights", "airport_daily", "carrier_daily_v1", "carrier_daily_v2"),
    partition_column="flight_date",
)
