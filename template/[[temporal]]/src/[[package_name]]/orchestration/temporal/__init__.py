"""Temporal as an orchestrator of this project: a workflow and a schedule for each pipeline, a server, and a worker."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from ..services import Services, port

if TYPE_CHECKING:
    from ...platform.decisions import Request
    from ...platform.partitions import Partition
    from ...platform.pipelines import Pipeline
    from ..engine import InProcess, RunState


class Temporal:
    """The interface of `orchestration.engine`. Methods import Temporal's SDK when they need it.

    port: of the UI. The server itself answers a thousand below, as `temporal server start-dev` counts.
    """

    id = "temporal"
    title = "Temporal"
    definition = "workflows/{name}.py"
    health = "/healthz"
    ui = "/"
    worker = "worker"
    server = "server"
    peak_mb = 700

    @property
    def port(self) -> int:
        return port(self.id, 8233)

    def in_process(self) -> AbstractContextManager[InProcess]:
        from . import in_process

        return in_process.running(Services(self))

    def backfill(self, pipeline: Pipeline, partitions: Sequence[Partition]) -> Iterator[RunState]:
        from . import backfill

        return backfill.run(pipeline, partitions)

    def runs(self, pipeline: Pipeline, limit: int) -> list[RunState]:
        """As in the interface. Raises ConfigError while there is no server to ask."""
        from ...platform.errors import ConfigError
        from . import connection, runs

        if not connection.settings().address and not Services(self).are_up():
            raise ConfigError("Temporal's server, which knows the runs, is not up; start it with: make up")
        return runs.newest(pipeline, limit)

    def decided(self, request: Request) -> None:
        """As in the interface. Raises ConfigError while there is no server that keeps the run."""
        import asyncio

        from ...platform.errors import ConfigError
        from . import approvals, connection

        if not connection.settings().address and not Services(self).are_up():
            raise ConfigError("Temporal's server, which keeps the run, is not up")
        asyncio.run(approvals.tell(request))

    def problems(self) -> list[str]:
        from . import setup

        return setup.SET_UP.problems(Services(self))


ENGINE = Temporal()
