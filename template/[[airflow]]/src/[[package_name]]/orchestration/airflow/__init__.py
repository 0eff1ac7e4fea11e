"""Apache Airflow. The DAGs are in dags/, one thin file a pipeline; `policies` is what they take from the configuration.

Importing this package loads nothing of Airflow, which reads its variables as soon as it is imported.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from ...platform.decisions import Request
from ...platform.partitions import Partition
from ...platform.pipelines import Pipeline
from ..engine import InProcess, RunState
from ..services import port


class Airflow:
    """See `engine.Engine`."""

    id = "airflow"
    title = "Apache Airflow"
    definition = "dags/{name}.py"
    health = "/api/v2/monitor/health"  # answers once the DAGs have been read
    ui = "/dags"
    worker = "scheduler"
    server = "scheduler"
    peak_mb = 1200

    @property
    def port(self) -> int:
        return port(self.id, 8080)

    def in_process(self) -> AbstractContextManager[InProcess]:
        from .in_process import in_process

        return in_process(self)

    def backfill(self, pipeline: Pipeline, partitions: Sequence[Partition]) -> Iterator[RunState]:
        from . import backfill
        from .api import connect

        with connect(self) as api:
            yield from backfill.run(api, pipeline, partitions)

    def runs(self, pipeline: Pipeline, limit: int) -> list[RunState]:
        from .api import connect

        with connect(self) as api:
            return api.newest(pipeline, limit)

    def decided(self, request: Request) -> None:
        from .api import connect

        with connect(self) as api:
            api.answer(request)

    def as_made(self, folder: Path) -> dict[str, str]:
        """As in the interface: of what deploy/local/airflow.env sets, for Airflow 3.3."""
        return {
            "AIRFLOW__CORE__PARALLELISM": "32",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "300",
            "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "300",
            "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "5",
        }

    def problems(self) -> list[str]:
        from .api import connect

        with connect(self) as api:
            return api.problems()


ENGINE = Airflow()
