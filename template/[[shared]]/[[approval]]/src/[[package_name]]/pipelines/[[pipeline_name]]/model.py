"""The model: how likely a departure is more than 15 minutes late, from the hour, the airport and its weather.

A logistic regression, in numpy alone. Rows are hours of an airport: how many flights left, and how many of them late.
No orchestrator, no clock and no I/O in here. Replace it by any model that can say what it is in numbers with names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ...platform import evaluation

if TYPE_CHECKING:
    import numpy as np

FEATURES = ("base", "from_jfk", "from_lga", "hours_since_5", "wind_10_mph", "low_visibility", "precipitation")
TRAINED_SHARE = 0.8  # of the hours, the earliest; the evidence is about the others
ROUNDS = 25
RIDGE = 1e-3  # keeps the weight of a feature that a month hardly has from growing without end


def train(rows: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Weights by feature, fitted to the first part of the month.

    rows: columns of ``steps.COLUMNS``, an hour of an airport in each row.
    """
    import numpy as np

    x, late, flights = _prepared(rows, trained=True)
    weights = np.zeros(x.shape[1])
    for _ in range(ROUNDS):  # Newton's method, which ends in a few rounds
        likely = _likely(x, weights)
        slope = x.T @ (late - flights * likely) - RIDGE * weights
        curve = (x * (flights * likely * (1 - likely))[:, None]).T @ x + RIDGE * np.eye(x.shape[1])
        step = np.linalg.solve(curve, slope)
        weights += step
        if np.abs(step).max() < 1e-10:
            break
    return dict(zip(FEATURES, weights.tolist(), strict=True))


def evaluate(
    candidate: Mapping[str, float], current: Mapping[str, float] | None, rows: Mapping[str, np.ndarray]
) -> dict[str, float]:
    """What a decider needs, measured on the flights that the candidate was not trained on.

    current: the model in use, None before the first. Returns flights_trained_on, flights_tested, late_share; auc (how
    well the model tells late flights from others, 0.5 is a coin) and log_loss (how far its probabilities are off, less
    is better) of the candidate, and, as current_auc and current_log_loss, of the model in use.
    """
    trained = _prepared(rows, trained=True)
    x, late, flights = _prepared(rows, trained=False)
    evidence = {
        "flights_trained_on": float(trained[2].sum()),
        "flights_tested": float(flights.sum()),
        "late_share": float(late.sum() / flights.sum()),
    }
    for prefix, weights in (("", candidate), ("current_", current)):
        if weights is not None:
            likely = _likely(x, _vector(weights))
            evidence[f"{prefix}auc"] = evaluation.auc(likely, late, flights - late)
            evidence[f"{prefix}log_loss"] = _log_loss(likely, late, flights)
    return evidence


def _prepared(rows: Mapping[str, np.ndarray], *, trained: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features, late flights and flights of the hours to train on, or of those to test with."""
    import numpy as np

    order = np.argsort(rows["time_hour"].astype(str), kind="stable")
    first = int(len(order) * TRAINED_SHARE)
    chosen = order[:first] if trained else order[first:]
    origin = rows["origin"].astype(str)
    features = [
        np.ones(len(order)),
        origin == "JFK",
        origin == "LGA",
        rows["hour"] - 5,
        rows["wind_mph"] / 10,
        rows["visibility_mi"] < 5,
        rows["precipitation_in"] > 0,
    ]
    x = np.column_stack([np.asarray(feature, dtype=float) for feature in features])
    return x[chosen], rows["late"][chosen].astype(float), rows["flights"][chosen].astype(float)


def _vector(weights: Mapping[str, float]) -> np.ndarray:
    import numpy as np

    return np.array([weights.get(name, 0.0) for name in FEATURES])


def _likely(x: np.ndarray, weights: np.ndarray) -> np.ndarray:
    import numpy as np

    return 1 / (1 + np.exp(-(x @ weights)))


def _log_loss(likely: np.ndarray, late: np.ndarray, flights: np.ndarray) -> float:
    import numpy as np

    return float(-(late * np.log(likely) + (flights - late) * np.log(1 - likely)).sum() / flights.sum())
