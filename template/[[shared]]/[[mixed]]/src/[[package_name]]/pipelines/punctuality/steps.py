"""The steps of punctuality, which each orchestrator calls. What a step does is in `platform.data_products`.

A step that this pipeline does in its own way becomes a function here, which takes the partition and returns its rows.
"""

from ...platform.data_products import DataProducts
from ...platform.providers import Provided
from . import PIPELINE

COLUMNS = (
    "flight_key",
    "flight_date",
    "carrier",
    "flight_number",
    "origin",
    "destination",
    "scheduled_departure_local",
    "dep_delay_min",
    "arr_delay_min",
    "distance_mi",
    "cancelled",
)

products = DataProducts(PIPELINE, landed={"flights": Provided("flights", COLUMNS)})

input_ready = products.input_ready
wait_for_input = products.wait_for_input
load = products.load
build = products.build
publish = products.publish
