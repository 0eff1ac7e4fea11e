"""The model of an airport: how likely a flight arrives more than 15 minutes late. Gradient boosting, by LightGBM.

No orchestrator, no clock and no I/O in here. For another library, write `train`, `predict`, `text` and `importance` as
functions of your own; MLflow must be able to keep the model.
"""

from ...platform.boosting import Boosting

NUMBERS = ("hour", "distance", "weekday", "temp", "wind_speed", "precip", "visib")
CATEGORIES = ("carrier", "dest")
TARGET = "late"
ORDER = ("flight_date", "sched_dep_time", "carrier", "flight")  # the order of the rows; together, they name one
SEASONAL = ("temp", "wind_speed", "precip", "visib")  # their drift is measured, but stops nothing: seasons change
TRAINED_SHARE = 0.78  # of the month's days, the first ones; the model is judged by, and scores, the flights after them
FLAVOR = "lightgbm"  # how MLflow keeps it
REQUIREMENTS = ("lightgbm", "pandas")
ROUNDS = 100
PARAMETERS = {"learning_rate": 0.08, "num_leaves": 15}

boosting = Boosting(NUMBERS, CATEGORIES, TARGET, PARAMETERS, ROUNDS)

train = boosting.train
predict = boosting.predict
text = boosting.text
importance = boosting.importance
