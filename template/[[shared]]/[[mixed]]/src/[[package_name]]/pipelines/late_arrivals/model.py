"""The model of an airport: how likely a flight that has left arrives more than 15 minutes late, by LightGBM.

No orchestrator, no clock and no I/O in here. The same rows give the same model, on every machine of one kind: one
thread, a fixed seed, and rows in a fixed order. Replace it by any model that MLflow can keep.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import lightgbm
    import numpy as np
    import pandas as pd

NUMBERS = ("hour", "traffic", "distance", "dep_delay")
CATEGORIES = ("carrier", "dest")
TARGET = "late"
ORDER = ("sched_dep_time", "carrier", "flight", "dest")  # the order of the rows; together, they name one
SEASONAL = (*NUMBERS, *CATEGORIES)  # a day has its own weather and its own flights, so their drift stops nothing
TRAINED_SHARE = 0.78  # of the day's departures, the first ones; the model is judged by, and scores, those after them
FLAVOR = "lightgbm"  # how MLflow keeps it
REQUIREMENTS = ("lightgbm", "pandas")
ROUNDS = 50
PARAMETERS = {
    "objective": "binary",
    "learning_rate": 0.08,
    "num_leaves": 7,
    "min_data_in_leaf": 5,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "seed": 0,
    "verbose": -1,
}


def train(rows: pd.DataFrame) -> lightgbm.Booster:
    """A model of these rows: columns NUMBERS, CATEGORIES and TARGET."""
    import lightgbm

    return lightgbm.train(PARAMETERS, lightgbm.Dataset(_features(rows), rows[TARGET]), num_boost_round=ROUNDS)


def predict(model: lightgbm.Booster, rows: pd.DataFrame) -> np.ndarray:
    """How likely each flight is late, from 0 to 1. A carrier or destination that the model has not seen has no effect
    of its own."""
    return model.predict(_features(rows))


def text(model: lightgbm.Booster) -> str:
    """All of the model as text: equal models have the same."""
    return model.model_to_string()


def importance(model: lightgbm.Booster) -> dict[str, float]:
    """The share that each feature has in what the model gains, the largest first."""
    gains = dict(zip(model.feature_name(), model.feature_importance("gain").tolist(), strict=True))
    total = sum(gains.values()) or 1.0
    return {name: gain / total for name, gain in sorted(gains.items(), key=lambda pair: -pair[1])}


def _features(rows: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    numbers = {name: pd.to_numeric(rows[name]).astype(float) for name in NUMBERS}
    texts = {name: pd.Categorical(rows[name], categories=sorted(rows[name].unique())) for name in CATEGORIES}
    return pd.DataFrame({**numbers, **texts}, index=rows.index)
