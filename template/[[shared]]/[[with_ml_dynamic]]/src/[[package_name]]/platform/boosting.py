"""Gradient boosting by LightGBM: a model that tells two classes of rows apart, from numbers and categories.

The same rows in the same order give the same model, on every machine of one kind: one thread and a fixed seed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import lightgbm
    import numpy as np
    import pandas as pd

FIXED = {
    "objective": "binary",
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "seed": 0,
    "verbose": -1,
}


@dataclass(frozen=True)
class Boosting:
    """How a model is trained and asked.

    numbers, categories: columns that it learns from. target: the column that is 1 or 0. parameters: LightGBM's own,
    beside `FIXED`. rounds: how many trees it has.
    """

    numbers: Sequence[str]
    categories: Sequence[str]
    target: str
    parameters: Mapping[str, Any]
    rounds: int

    def train(self, rows: pd.DataFrame) -> lightgbm.Booster:
        """A model of these rows: columns of ``numbers``, ``categories`` and ``target``."""
        import lightgbm

        data = lightgbm.Dataset(self._features(rows), rows[self.target])
        return lightgbm.train({**FIXED, **self.parameters}, data, num_boost_round=self.rounds)

    def predict(self, model: lightgbm.Booster, rows: pd.DataFrame) -> np.ndarray:
        """How likely the target of each row is 1, from 0 to 1. A category that the model has not seen has no effect of
        its own."""
        return model.predict(self._features(rows))

    @staticmethod
    def text(model: lightgbm.Booster) -> str:
        """All of the model as text: equal models have the same."""
        return model.model_to_string()

    @staticmethod
    def importance(model: lightgbm.Booster) -> dict[str, float]:
        """The share that each feature has in what the model gains, the largest first."""
        gains = dict(zip(model.feature_name(), model.feature_importance("gain").tolist(), strict=True))
        total = sum(gains.values()) or 1.0
        return {name: gain / total for name, gain in sorted(gains.items(), key=lambda pair: -pair[1])}

    def _features(self, rows: pd.DataFrame) -> pd.DataFrame:
        import pandas as pd

        numbers = {name: pd.to_numeric(rows[name]).astype(float) for name in self.numbers}
        texts = {name: pd.Categorical(rows[name], categories=sorted(rows[name].unique())) for name in self.categories}
        return pd.DataFrame({**numbers, **texts}, index=rows.index)
