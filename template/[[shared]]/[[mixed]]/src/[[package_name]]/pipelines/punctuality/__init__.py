"""punctuality: marts of the flights that flights_daily publishes, one partition a day, by the models in `dbt/`."""

from ...platform.data_products import STEPS
from ...platform.partitions import Grain
from ...platform.pipelines import Pipeline

PIPELINE = Pipeline(
    name="punctuality",
    shape="data_products",
    grain=Grain.DAY,
    steps=STEPS,
    tables=("fct_departures", "airport_punctuality"),
    partition_column="flight_date",
)
