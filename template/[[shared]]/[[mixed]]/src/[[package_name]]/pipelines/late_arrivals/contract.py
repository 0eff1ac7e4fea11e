"""The contracts of the published tables. They are checked before anything is published."""

from __future__ import annotations

from ...platform.contracts import Column, Contract

AIRPORT = r"^[A-Z]{3}$"


class Score(Contract):
    """One row per flight that was scored: one that left after those that the day's models were trained on."""

    day = Column("date", key=True)
    origin = Column("string", key=True, regex=AIRPORT)
    sched_dep_time = Column("string", key=True)
    carrier = Column("string", key=True)
    flight = Column("int32", key=True)
    dest = Column("string", key=True, regex=AIRPORT)
    late_probability = Column("float64", min=0, max=1)
    model = Column("string")
    model_month = Column("string")  # the partition that the model was trained on


class Model(Contract):
    """One row per airport: what became of the model that was trained on the day."""

    day = Column("date", key=True)
    origin = Column("string", key=True, regex=AIRPORT)
    verdict = Column("string", allowed=("promoted", "rejected"))
    reason = Column("string", nullable=True)
    model = Column("string")
    trained_rows = Column("int64", min=1)
    tested_rows = Column("int64", min=1)
    late_share = Column("float64", min=0, max=1)
    auc = Column("float64", min=0, max=1)
    average_precision = Column("float64", min=0, max=1)
    champion_month = Column("string", nullable=True)
    champion_auc = Column("float64", nullable=True, min=0, max=1)
    drift = Column("float64", nullable=True, min=0)
    drift_feature = Column("string", nullable=True)


CONTRACTS = {"late_arrivals": Score, "late_arrivals_models": Model}
