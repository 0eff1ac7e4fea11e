"""The steps of late_arrivals, which each orchestrator calls. What a step does is in `platform.ml_dynamic`.

`train` and `score` take the airport as well; without one they work on each in turn.
"""

from ...platform.ml_dynamic import MlDynamic
from ...platform.providers import Provided
from . import PIPELINE

COLUMNS = (
    "scheduled_departure_local",
    "carrier",
    "flight_number",
    "origin",
    "destination",
    "departure_hour",
    "flights_in_hour",
    "dep_delay_min",
    "arr_delay_min",
    "distance_mi",
)

models = MlDynamic(PIPELINE, {"departures": Provided("departures", COLUMNS)}, item="origin")

input_ready = models.input_ready
wait_for_input = models.wait_for_input
prepare = models.prepare
train = models.train
score = models.score
publish = models.publish
