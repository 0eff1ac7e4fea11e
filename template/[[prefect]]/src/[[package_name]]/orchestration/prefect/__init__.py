"""Prefect as an orchestrator of this project: a deployment for each pipeline, a server, a worker, and operations."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from ..services import Services, port

if TYPE_CHECKING:
    from ...platform.decisions import Request
    from ...platform.partitions import Partition
    from ...platform.pipelines import Pipeline
    from ..engine import InProcess, RunState


class Prefect:
    """The interface of `orchestration.engine`. Methods import Prefect, which takes seconds, when they need it."""

    id = "prefect"
    title = "Prefect"
    definition = "flows/{name}.py"
    health = "/api/health"
    ui = "/"
    worker = "worker"
    server = "server"
    peak_mb = 1500

    @property
    def port(self) -> int:
        return port(self.id, 4200)

    def in_process(self) -> AbstractContextManager[InProcess]:
        from . import in_process

        self._name_server()
        return in_process.running()

    def backfill(self, pipeline: Pipeline, partitions: Sequence[Partition]) -> Iterator[RunState]:
        self._name_server()
        from . import backfill

        return backfill.run(pipeline, partitions)

    def runs(self, pipeline: Pipeline, limit: int) -> list[RunState]:
        """As in the interface. Raises ConfigError while there is no server to ask."""
        from ...platform.errors import ConfigError

        if not self._name_server():
            raise ConfigError("Prefect's server, which knows the runs, is not up; start it with: make up")
        from . import runs

        return runs.newest(pipeline, limit)

    def decided(self, request: Request) -> None:
        """As in the interface. Raises ConfigError while there is no server that keeps the run."""
        from ...platform.errors import ConfigError

        if not self._name_server():
            raise ConfigError("Prefect's server, which keeps the run, is not up")
        from . import approvals

        approvals.resume(request)

    def as_made(self, folder: Path) -> dict[str, str]:
        """As in the interface: of what deploy/local/prefect.env sets, for Prefect 3.9."""
        return {
            "PREFECT_WORKER_QUERY_SECONDS": "10",
            "PREFECT_CLIENT_MAX_RETRIES": "5",
            "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.memory",
        }

    def problems(self) -> list[str]:
        from . import setup

        return setup.SET_UP.problems(Services(self))

    def _name_server(self) -> bool:
        """Let Prefect, which reads the variable when it is imported, use the server of `make up` where that is up."""
        services = Services(self)
        if "PREFECT_API_URL" not in os.environ and services.are_up():
            os.environ["PREFECT_API_URL"] = f"{services.url}/api"
        return "PREFECT_API_URL" in os.environ


ENGINE = Prefect()
