"""Figures that models are judged by: how well they tell two classes apart, and how far data has drifted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

BINS = 10
LEAST_SHARE = 1e-4  # a bin that is empty in one of the two counts as this much, so that the index stays finite


def auc(scores: np.ndarray, positives: np.ndarray, negatives: np.ndarray) -> float:
    """The share of pairs of a positive and a negative case in which the positive one scores higher; 0.5 is a coin.

    scores: of each row. positives, negatives: how many cases of each kind the row stands for. There must be both.
    """
    import numpy as np

    _, place = np.unique(scores, return_inverse=True)
    by_place = [np.bincount(place, weights=each) for each in (positives, negatives)]
    below = np.cumsum(by_place[1]) - by_place[1]
    return float((by_place[0] * (below + by_place[1] / 2)).sum() / (positives.sum() * negatives.sum()))


def average_precision(scores: np.ndarray, positives: np.ndarray) -> float:
    """The precision at each score that finds more positive cases, weighted by how many; the share of them is a coin.

    scores: of each case. positives: 1 where it is positive, else 0. There must be one.
    """
    import numpy as np

    different, place = np.unique(-scores, return_inverse=True)  # the highest score first
    hits = np.cumsum(np.bincount(place, weights=positives, minlength=len(different)))
    seen = np.cumsum(np.bincount(place, minlength=len(different)))
    return float((np.diff(hits, prepend=0.0) * hits / seen).sum() / positives.sum())


def profile(values: Sequence[Any]) -> dict[str, Any]:
    """How the values of a feature are distributed: shares by bin of numbers, or by value; missing ones do not count.

    It holds only what JSON holds. Numbers of few different values count by value.
    """
    import numpy as np

    given = [each for each in values if not _is_missing(each)]
    if given and isinstance(given[0], (int, float)) and len(set(given)) > BINS:
        edges = np.unique(np.quantile(np.asarray(given, dtype=float), np.linspace(0, 1, BINS + 1)))[1:-1].tolist()
        return {"edges": edges, "shares": _by_bin(given, edges)}
    return {"values": _by_value(given)}


def stability_index(reference: Mapping[str, Any], values: Sequence[Any]) -> float:
    """The population stability index of a feature against its `profile`: 0 is the same, above 0.25 usually a shift."""
    from math import log

    given = [each for each in values if not _is_missing(each)]
    if not given:
        return 0.0
    if "edges" in reference:
        pairs = list(zip(reference["shares"], _by_bin(given, reference["edges"]), strict=True))
    else:
        before, now = reference["values"], _by_value(given)
        pairs = [(before.get(each, 0.0), now.get(each, 0.0)) for each in sorted(before.keys() | now.keys())]
    floored = [(max(one, LEAST_SHARE), max(other, LEAST_SHARE)) for one, other in pairs]
    return sum((other - one) * log(other / one) for one, other in floored)


def _is_missing(value: Any) -> bool:
    return value is None or value != value  # NaN


def _by_bin(given: Sequence[float], edges: Sequence[float]) -> list[float]:
    import numpy as np

    counts = np.bincount(np.searchsorted(edges, np.asarray(given, dtype=float), side="right"), minlength=len(edges) + 1)
    return (counts / len(given)).tolist()


def _by_value(given: Sequence[Any]) -> dict[str, float]:
    from collections import Counter

    return {str(each): count / len(given) for each, count in sorted(Counter(given).items())}
