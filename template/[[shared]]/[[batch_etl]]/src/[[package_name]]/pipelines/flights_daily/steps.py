"""The steps of flights_daily, which each orchestrator calls. What a step does is in `platform.batch_etl`.

A step that this pipeline does in its own way becomes a function here, which takes the partition and returns its rows.
"""

from ...platform.batch_etl import BatchEtl
from ...platform.sources import Csv
from . import PIPELINE

# fmt: off
COLUMNS = (
    "year", "month", "day", "dep_time", "sched_dep_time", "dep_delay", "arr_time", "sched_arr_time", "arr_delay",
    "carrier", "flight", "tailnum", "origin", "dest", "air_time", "distance", "hour", "minute", "time_hour",
)
# fmt: on

batch = BatchEtl(PIPELINE, Csv("flights.csv", COLUMNS, quote=""))

input_ready = batch.input_ready
wait_for_input = batch.wait_for_input
extract = batch.extract
transform = batch.transform
check = batch.check
publish = batch.publish
