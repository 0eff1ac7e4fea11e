"""The model: how likely a departure is more than 15 minutes late, from the hour, the airport and its weather.

A logistic regression, in Python alone. Rows are hours of an airport: how many flights left, and how many of them late.
No orchestrator, no clock and no I/O in here. Replace it by any model that can say what it is in numbers with names.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

FEATURES = ("base", "from_jfk", "from_lga", "hours_since_5", "wind_10_mph", "low_visibility", "precipitation")
TRAINED_SHARE = 0.8  # of the hours, the earliest; the evidence is about the others
ROUNDS = 25
RIDGE = 1e-3  # keeps the weight of a feature that a month hardly has from growing without end

Rows = Mapping[str, Sequence[Any]]


class Hour(NamedTuple):
    """An hour of an airport: its features, the flights that left late, and all flights."""

    features: list[float]
    late: float
    flights: float


def train(rows: Rows) -> dict[str, float]:
    """Weights by feature, fitted to the first part of the month.

    rows: columns of ``steps.COLUMNS``, an hour of an airport in each row.
    """
    hours, weights = _hours(rows)[0], [0.0] * len(FEATURES)
    for _ in range(ROUNDS):  # Newton's method, which ends in a few rounds
        slope = [-RIDGE * weight for weight in weights]
        curve = [[RIDGE if row == column else 0.0 for column in range(len(weights))] for row in range(len(weights))]
        for features, late, flights in hours:
            likely = _likely(features, weights)
            missed, spread = late - flights * likely, flights * likely * (1 - likely)
            for row, value in enumerate(features):
                slope[row] += value * missed
                for column, other in enumerate(features):
                    curve[row][column] += value * other * spread
        step = _solved(curve, slope)
        weights = [weight + change for weight, change in zip(weights, step, strict=True)]
        if max(map(abs, step)) < 1e-10:
            break
    return dict(zip(FEATURES, weights, strict=True))


def evaluate(candidate: Mapping[str, float], current: Mapping[str, float] | None, rows: Rows) -> dict[str, float]:
    """What a decider needs, measured on the flights that the candidate was not trained on.

    current: the model in use, None before the first. Returns flights_trained_on, flights_tested, late_share; auc (how
    well the model tells late flights from others, 0.5 is a coin) and log_loss (how far its probabilities are off, less
    is better) of the candidate, and, as current_auc and current_log_loss, of the model in use.
    """
    trained, tested = _hours(rows)
    flights, late = sum(hour.flights for hour in tested), sum(hour.late for hour in tested)
    evidence = {
        "flights_trained_on": sum(hour.flights for hour in trained),
        "flights_tested": flights,
        "late_share": late / flights,
    }
    for prefix, weights in (("", candidate), ("current_", current)):
        if weights is not None:
            vector = [weights.get(name, 0.0) for name in FEATURES]
            likely = [_likely(hour.features, vector) for hour in tested]
            evidence[f"{prefix}auc"] = _auc(likely, tested)
            evidence[f"{prefix}log_loss"] = _log_loss(likely, tested)
    return evidence


def _hours(rows: Rows) -> tuple[list[Hour], list[Hour]]:
    """The hours to train on, and those to test with."""
    names = ("time_hour", "origin", "hour", "wind_mph", "visibility_mi", "precipitation_in", "flights", "late")
    ordered = sorted(zip(*(rows[name] for name in names), strict=True), key=lambda row: str(row[0]))
    hours = [
        Hour(
            [
                1.0,
                float(origin == "JFK"),
                float(origin == "LGA"),
                float(hour - 5),
                wind / 10,
                float(visibility < 5),
                float(precipitation > 0),
            ],
            float(late),
            float(flights),
        )
        for _, origin, hour, wind, visibility, precipitation, flights, late in ordered
    ]
    first = int(len(hours) * TRAINED_SHARE)
    return hours[:first], hours[first:]


def _likely(features: Sequence[float], weights: Sequence[float]) -> float:
    return 1 / (1 + math.exp(-sum(value * weight for value, weight in zip(features, weights, strict=True))))


def _solved(matrix: list[list[float]], right: list[float]) -> list[float]:
    """The solution of a system of equations whose matrix is symmetric and positive, so that no pivot is needed."""
    rows = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    for pivot, own in enumerate(rows):
        for row in rows[pivot + 1 :]:
            share = row[pivot] / own[pivot]
            row[:] = [value - share * above for value, above in zip(row, own, strict=True)]
    solution = [0.0] * len(rows)
    for place in reversed(range(len(rows))):
        known = sum(rows[place][column] * solution[column] for column in range(place + 1, len(rows)))
        solution[place] = (rows[place][-1] - known) / rows[place][place]
    return solution


def _auc(likely: Sequence[float], hours: Sequence[Hour]) -> float:
    """The share of pairs of a late flight and another one in which the late one was thought likelier."""
    counts: dict[float, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for value, hour in zip(likely, hours, strict=True):
        counts[value][0] += hour.late
        counts[value][1] += hour.flights - hour.late
    right = below = 0.0
    for value in sorted(counts):
        late, other = counts[value]
        right += late * (below + other / 2)
        below += other
    return right / (sum(hour.late for hour in hours) * below)


def _log_loss(likely: Sequence[float], hours: Sequence[Hour]) -> float:
    losses = (
        -hour.late * math.log(value) - (hour.flights - hour.late) * math.log(1 - value)
        for value, hour in zip(likely, hours, strict=True)
    )
    return sum(losses) / sum(hour.flights for hour in hours)
