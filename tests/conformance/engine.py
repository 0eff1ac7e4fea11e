"""What the suite asks of an orchestrator: to be driven as its users drive it, and seen through its own API."""

from __future__ import annotations

import abc
import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import ClassVar, Literal

import psycopg
from projects import Project

State = Literal["queued", "waiting", "running", "success", "failed"]
Day = date | str  # or the key of another partition, such as 2013-01


@dataclass
class Attempt:
    """One attempt of a step: when it began and ended (seconds since 1970), and how."""

    began: float
    ended: float | None
    state: str


@dataclass
class Run:
    """A run as the engine's API tells it. state: one word for all engines; attempts: by step, in order."""

    id: str
    state: State
    attempts: dict[str, list[Attempt]] = field(default_factory=dict)


class Engine(abc.ABC):
    """One orchestrator of a rendered project, started by its `make up` on PostgreSQL.

    name: its id. pipeline: the one whose runs it starts. roles: what `kill` can end. waits_as: states of a run whose
    input is late. doubled: the service of which a second one takes over when the first dies, by its name in
    deploy/local; empty where there can be only one. Subclasses live beside this file, one module an engine.
    """

    name: ClassVar[str]
    roles: ClassVar[tuple[str, ...]]
    waits_as: ClassVar[tuple[State, ...]] = ("waiting", "queued")
    doubled: ClassVar[str] = ""

    def __init__(self, project: Project, port: int, variables: dict[str, str], pipeline: str = "flights_daily") -> None:
        self.project, self.port, self.variables, self.pipeline = project, port, variables, pipeline

    def make(self, *arguments: str, timeout: float = 300, **variables: str):
        """`make` with the suite's environment, this engine and its port."""
        own = [f"ORCHESTRATOR={self.name}", f"{self.name.upper()}_PORT={self.port}", "ENV=conformance"]
        return self.project.make(*arguments, *own, timeout=timeout, **{**self.variables, **variables})

    def up(self, **variables: str) -> None:
        done = self.make("up", **variables)
        assert done.returncode == 0, done.stdout + done.stderr

    def in_production(self) -> dict[str, str]:
        """Variables with which services notice each other's death as fast as the files for production have it."""
        return {}

    def down(self) -> None:
        done = self.make("down")
        assert done.returncode == 0, done.stdout + done.stderr

    @property
    def supervisor(self) -> int:
        """Id of the process that keeps the services."""
        return int((self.project.folder / "var" / "conformance" / self.name / "supervisord.pid").read_text())

    @abc.abstractmethod
    def trigger(self, day: Day) -> str:
        """Request a run of the partition through the API, without waiting; returns its id."""

    @abc.abstractmethod
    def run(self, run_id: str) -> Run:
        """The run as it stands."""

    @abc.abstractmethod
    def runs_of(self, day: Day) -> list[Run]:
        """All runs of that partition, the oldest first."""

    @abc.abstractmethod
    def places_taken(self) -> int:
        """How many places of workers are taken now: tasks or runs that execute, not those that wait or are queued."""

    @abc.abstractmethod
    def pids(self, role: str) -> list[int]:
        """Processes of a role (one of ``roles``), the ones that `kill -9` is for."""

    @abc.abstractmethod
    def metadata(self, run_id: str) -> str:
        """All that the API tells of a run (parameters, tags, results, logs, events), as text."""

    @abc.abstractmethod
    def pipelines(self) -> set[str]:
        """Names of the pipelines that it could run now."""

    @abc.abstractmethod
    def ticks(self, after: datetime, count: int, cron: str, timezone: str) -> list[tuple[datetime, date]]:
        """The next ticks of such a schedule by the engine's own reckoning, each with the day its run processes."""

    def with_schedule(self, command: Sequence[str | Path], cron: str, timezone: str) -> str:
        """What a command prints in the project when the sample has this schedule."""
        environment = {
            **{name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"},
            **self.variables,
            "APP_ROOT": str(self.project.folder),
            "APP_ENV": "conformance",
            "APP_PIPELINES__FLIGHTS_DAILY__SCHEDULE__CRON": cron,
            "APP_PIPELINES__FLIGHTS_DAILY__SCHEDULE__TIMEZONE": timezone,
            f"{self.name.upper()}_PORT": str(self.port),
        }
        done = subprocess.run(
            command, cwd=self.project.folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def files_of(self, run_id: str) -> list[Path]:
        """Files and folders that are named after the run."""
        return list((self.project.folder / "var" / "conformance").rglob(f"*{run_id}*"))

    def wait(self, run_id: str, *states: State, seconds: float) -> Run:
        """The run, as soon as it is in one of these states; fails when it ends in another, or takes longer."""
        end = time.monotonic() + seconds
        while (found := self.run(run_id)).state not in states:
            assert found.state not in ("success", "failed"), f"{self.name} {run_id} has ended as {found}, not {states}"
            assert time.monotonic() < end, f"{self.name} {run_id} is {found} after {seconds:g} s, not {states}"
            time.sleep(0.5)
        return found

    def wait_for_processes(self, seconds: float) -> None:
        """Until those of all runs are gone: only then has everything they printed come to a file."""
        end = time.monotonic() + seconds
        while left := self.pids("run"):
            assert time.monotonic() < end, f"{left} go on after {seconds:g} s"
            time.sleep(0.2)

    def log_text(self) -> str:
        """All that its services and tasks have written to files; supervisord, which keeps them, is none of them."""
        files = sorted((self.project.folder / "var" / "conformance").rglob("*.log"))
        return "\n".join(file.read_text(errors="replace") for file in files if file.name != "supervisord.log")


class EngineWithRecords(Engine):
    """An engine whose records are in a database, so that a test can make a run old."""

    @abc.abstractmethod
    def age(self, run_id: str, days: int) -> None:
        """Move what the orchestrator recorded of the run that far into the past."""

    @abc.abstractmethod
    def look_for_old_history(self) -> None:
        """Bring the orchestrator's next look for old history forward; it does not wait for it."""

    def in_records(self, statement: str, *values: object) -> None:
        """Execute the statement in the orchestrator's own database."""
        with psycopg.connect(self.variables["ENGINE_DATABASE_URL"], autocommit=True) as con:
            con.execute(statement, values)
