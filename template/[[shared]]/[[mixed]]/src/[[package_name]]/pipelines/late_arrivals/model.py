"""The model of an airport: how likely a flight that has left arrives more than 15 minutes late, by LightGBM.

No orchestrator, no clock and no I/O in here. For another library, write `train`, `predict`, `text` and `importance` as
functions of your own; MLflow must be able to keep the model.
"""

from ...platform.boosting import Boosting

NUMBERS = ("hour", "traffic", "distance", "dep_delay")
CATEGORIES = ("carrier", "dest")
TARGET = "late"
ORDER = ("sched_dep_time", "carrier", "flight", "dest")  # the order of the rows; together, they name one
SEASONAL = (*NUMBERS, *CATEGORIES)  # a day has its own weather and its own flights, so their drift stops nothing
TRAINED_SHARE = 0.78  # of the day's departures, the first ones; the model is judged by, and scores, those after them
FLAVOR = "lightgbm"  # how MLflow keeps it
REQUIREMENTS = ("lightgbm", "pandas")
ROUNDS = 50
PARAMETERS = {"learning_rate": 0.08, "num_leaves": 7, "min_data_in_leaf": 5}

boosting = Boosting(NUMBERS, CATEGORIES, TARGET, PARAMETERS, ROUNDS)

train = boosting.train
predict = boosting.predict
text = boosting.text
importance = boosting.importance
