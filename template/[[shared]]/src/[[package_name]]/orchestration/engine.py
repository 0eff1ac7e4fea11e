"""The interface of an orchestrator, for the commands and for the tests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from ..platform.decisions import Request
from ..platform.partitions import Partition
from ..platform.pipelines import Pipeline


@dataclass(frozen=True)
class RunState:
    """A run as its engine knows it. state: ``queued``, ``running``, ``waiting``, ``success``, ``failed``, or
    ``skipped`` when the partition belongs to another orchestrator, so that the run has published nothing.

    reason: why it failed or was skipped, as far as the engine knows. url: where the engine shows it. Times are in UTC.
    """

    id: str
    pipeline: str
    partition: str
    state: str
    started: datetime | None = None
    ended: datetime | None = None
    reason: str = ""
    url: str = ""

    @property
    def seconds(self) -> float | None:
        """How long it took, None when it has not ended."""
        return (self.ended - self.started).total_seconds() if self.started and self.ended else None


class InProcess(Protocol):
    """Runs partitions in this process, without services; see `Engine.in_process`."""

    def __call__(self, pipeline: Pipeline, partition: Partition) -> bool:
        """Run a partition through the engine; true when it succeeded. May raise an error of the platform's own."""


class Engine(Protocol):
    """id: as in ORCHESTRATOR. title: for people. definition: the thin file of a pipeline, with {package} and {name}.

    port: of the server on this machine; 0 for an orchestrator that has none, as it runs in its cloud alone. health:
    path that answers 200 when the server is ready. ui: path to look at. worker, server: the services, by their names in
    deploy/local/<id>.conf, that run steps and that start runs. peak_mb: about what services and runs take at their
    highest, in MB. An orchestrator without a server lacks all of these but the port.
    """

    id: str
    title: str
    definition: str
    port: int
    health: str
    ui: str
    worker: str
    server: str
    peak_mb: int

    def in_process(self) -> AbstractContextManager[InProcess]:
        """What runs partitions in this process; entering it loads the engine."""

    def backfill(self, pipeline: Pipeline, partitions: Sequence[Partition]) -> Iterator[RunState]:
        """Run partitions on the services that are up, by the engine's own backfill: each run once it has ended.

        When this is interrupted the runs go on. Raises an error of the platform's own when the engine refuses.
        """

    def runs(self, pipeline: Pipeline, limit: int) -> list[RunState]:
        """The newest runs of a pipeline that the engine knows of, the newest first."""

    def decided(self, request: Request) -> None:
        """Let the run that waits for a person's decision go on, now that the request is decided.

        Does nothing when it has gone on already. Raises ConfigError when the services that must know are not up.
        """

    def as_made(self, folder: Path) -> dict[str, str]:
        """Variables that give the services the settings of their makers where this project has others.

        For `make trial`. folder: for files that these need; it does not exist yet. An orchestrator without such
        settings lacks this.
        """

    def problems(self) -> list[str]:
        """Why the services that are up cannot run the project's pipelines, a sentence each; empty when they can."""
