"""late_arrivals: how likely a flight that has left arrives late, by a model for each airport of a day's departures."""

from ...platform.ml_dynamic import MAPPED, STEPS
from ...platform.partitions import Grain
from ...platform.pipelines import Pipeline

PIPELINE = Pipeline(
    name="late_arrivals",
    shape="ml_dynamic",
    grain=Grain.DAY,
    steps=STEPS,
    mapped_steps=MAPPED,
    tables=("late_arrivals", "late_arrivals_models"),
    partition_column="day",
)
