"""The interface of `orchestration.engine`, for orchestrators that run in their cloud, and here within a command."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..platform.decisions import Request
    from ..platform.partitions import Partition
    from ..platform.pipelines import Pipeline
    from .engine import InProcess, RunState


class CloudService:
    """What these orchestrators do alike. A method imports the module of the orchestrator's package that it needs.

    runs: ``opened`` gives what runs partitions in this process. callbacks: ``decided`` calls the run that waits.
    checks: ``problems`` of the definitions. An orchestrator that does one of these otherwise has a method of its own.
    """

    id: str
    title: str
    definition: str
    port = 0

    @contextmanager
    def in_process(self) -> Iterator[InProcess]:
        with self._module("runs").opened() as run:
            yield lambda pipeline, partition: run(pipeline, partition).state == "success"

    def backfill(self, pipeline: Pipeline, partitions: Sequence[Partition]) -> Iterator[RunState]:
        """Run the partitions one after the other: what runs them is part of the command.

        Raises PermanentError when it is interrupted, which ends the run.
        """
        from . import executions

        with self._module("runs").opened() as run, executions.ended_by_interrupt(pipeline, partitions):
            for partition in partitions:
                yield run(pipeline, partition)

    def runs(self, pipeline: Pipeline, limit: int) -> list[RunState]:
        """The newest executions on this machine; the cloud's own pages show those in the cloud."""
        from . import executions

        return executions.newest(self.id, pipeline.name, limit)

    def decided(self, request: Request) -> None:
        """Call the run that waits in the cloud. One on this machine needs no call."""
        self._module("callbacks").decided(request)

    def problems(self) -> list[str]:
        """What is wrong with the definitions, a sentence each."""
        return self._module("checks").problems()

    def _module(self, name: str) -> ModuleType:
        return import_module(f"{type(self).__module__}.{name}")
