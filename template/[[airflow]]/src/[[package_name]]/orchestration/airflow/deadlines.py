"""What the SLA of a run counts from: when the run is queued.

Airflow's own `DeadlineReference.DAGRUN_QUEUED_AT` means the same, but up to 3.3.2 a run that has it cannot be cleared
while its deadline is ahead: the server answers 500 (apache/airflow issue 70368).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from airflow.sdk.definitions.deadline import BaseDeadlineReference  # airflow.sdk has it since 3.3.2


class RunQueuedAt(BaseDeadlineReference):
    """A run that is cleared keeps the deadline it had. `plugins/` makes it known to the services."""

    required_kwargs: ClassVar[set[str]] = {"dag_id", "run_id"}

    def _evaluate_with(self, *, session: Any, dag_id: str, run_id: str, **_: Any) -> datetime | None:
        from airflow.models import DagRun  # only the services have it
        from sqlalchemy import select

        chosen = select(DagRun.queued_at).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id)
        return session.scalar(chosen)
