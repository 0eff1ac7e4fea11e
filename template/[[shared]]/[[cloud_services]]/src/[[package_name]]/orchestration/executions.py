"""Executions on this machine of orchestrators that run in their cloud alone: a file each, and one page that shows them.

An emulator runs the definition as it is deployed, in the process of the command, and forgets all of it at its end. What
ran stays in var/<env>/executions/<orchestrator>/<execution>.json: states, times, attempts and exit codes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import psutil

from ..platform import alerts, config, errors, files, masking, retention
from ..platform.runs import Run
from .engine import RunState

if TYPE_CHECKING:
    from ..platform.partitions import Partition
    from ..platform.pipelines import Pipeline

OUTCOMES = {
    errors.OK: "done",
    errors.USAGE: "wrong usage",
    errors.BAD_ROWS: "bad rows",
    errors.NO_INPUT: "not there yet",
    errors.TRANSIENT: "may pass",
    errors.NOT_APPROVED: "not approved",
    errors.CONFIGURATION: "configuration",
    errors.KILLED: "killed",
    errors.TERMINATED: "ended",
}


@dataclass
class State:
    """A state of the definition that was entered. outcome: ``succeeded``, ``failed`` or, before it has ended, empty."""

    name: str
    started: str
    ended: str = ""
    outcome: str = ""


@dataclass
class Attempt:
    """A container of a step. exit_code: None until it has ended; see `errors`. error: class of the step's error."""

    step: str
    number: int
    started: str
    ended: str = ""
    exit_code: int | None = None
    error: str = ""
    reason: str = ""

    @property
    def outcome(self) -> str:
        """What the exit code says."""
        return "" if self.exit_code is None else OUTCOMES.get(self.exit_code, "failed")


@dataclass
class Execution:
    """state: as in `RunState`. Times are ISO 8601, in UTC. process: that of the command that runs it."""

    engine: str
    id: str
    pipeline: str
    partition: str
    started: str
    state: str = "running"
    ended: str = ""
    reason: str = ""
    process: str = field(default_factory=lambda: _process(os.getpid()))
    states: list[State] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)

    def write(self) -> Path:
        """Write the file, whole or not at all. Only one process writes the file of an execution."""
        folder = config.load().state / "executions" / self.engine
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{self.id}.json"
        text = json.dumps(asdict(self), indent=2, ensure_ascii=False)
        files.replace(file, masking.mask(text) + "\n", durable=False)
        return file

    def note_state(self, name: str, outcome: str) -> None:
        """Note that a state of the definition was entered, which has no outcome yet, or how it ended."""
        if outcome:
            state = next(each for each in reversed(self.states) if each.name == name)
            state.ended, state.outcome = now(), outcome
        else:
            self.states.append(State(name, now()))
        self.write()

    @contextmanager
    def recorded(self, stop: Callable[[], None]) -> Iterator[None]:
        """Write the file before and after the body, which succeeds unless it fails. stop: ends what still runs then."""
        self.write()
        try:
            yield
            if self.state == "running":
                self.state = "success"
        except BaseException as error:
            if self.state == "running":
                words = "see the log" if isinstance(error, Exception) else "the command was interrupted"
                self.state, self.reason = "failed", f"{type(error).__name__}: {words}"
            raise
        finally:
            stop()
            self.ended = now()
            self.write()

    def fail(self, step: str, error: str, reason: str) -> None:
        """Note that the definition has failed, and send the alert. step: that has failed, empty when none has.

        error, reason: its class and a sentence, where the log of the step says none.
        """
        last = self.attempts[-1] if self.attempts else None
        self.state, self.reason = "failed", last.reason if step and last and last.reason else reason
        known, run = (last.error if last else "") or error, Run(self.id, engine=self.engine)
        alerts.report(
            alerts.Incident(
                "failed", self.pipeline, self.partition, step=step, error=known, reason=self.reason, run=run
            )
        )

    def run_state(self) -> RunState:
        """The execution as the project's commands show it."""
        started, ended = _moment(self.started), _moment(self.ended)
        return RunState(self.id, self.pipeline, self.partition, self.state, started, ended, self.reason)

    @property
    def seconds(self) -> float | None:
        return self.run_state().seconds


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def read(engine: str = "", pipeline: str = "") -> list[Execution]:
    """Executions of this environment that are kept, the newest first; only of that orchestrator or pipeline."""
    known = []
    for file in (config.load().state / "executions").glob(f"{engine or '*'}/*.json"):
        with suppress(OSError, ValueError, TypeError, KeyError):  # removed meanwhile, or of another version
            given = json.loads(file.read_text(encoding="utf-8"))
            if given["state"] == "running" and _process(int(given["process"].split()[0])) != given["process"]:
                given |= {"state": "failed", "reason": "the command that ran it was ended"}
            given["states"] = [State(**each) for each in given["states"]]
            given["attempts"] = [Attempt(**each) for each in given["attempts"]]
            known.append(Execution(**given))
    wanted = [each for each in known if pipeline in ("", each.pipeline)]
    return sorted(wanted, key=lambda each: (each.started, each.id), reverse=True)


def newest(engine: str, pipeline: str, limit: int) -> list[RunState]:
    """The newest executions of a pipeline that this machine knows."""
    return [each.run_state() for each in read(engine, pipeline)[:limit]]


@contextmanager
def ended_by_interrupt(pipeline: Pipeline, partitions: Sequence[Partition]) -> Iterator[None]:
    """For a backfill within the command. Raises PermanentError when the body is interrupted, which ends what runs."""
    try:
        yield
    except KeyboardInterrupt:
        again = f"make backfill PIPELINE={pipeline.name} FROM={partitions[0]} TO={partitions[-1]} ONLY_MISSING=1"
        raise errors.PermanentError(f"interrupted, which ends what runs; to continue: {again}") from None


def home(engine: str) -> Path:
    """The folder for what an orchestrator keeps on this machine."""
    folder = config.load().state / engine
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def open_log(engine: str) -> AbstractContextManager[TextIO]:
    """The log of the containers that an orchestrator starts on this machine."""
    return files.open_log(home(engine) / "run.log")


def write_page() -> Path:
    """Write the page of all executions, and remove what is older than ``[retention] days``. Returns its path."""
    import jinja2

    settings = config.load()
    folder = settings.state / "executions"
    folder.mkdir(parents=True, exist_ok=True)
    if before := retention.oldest(settings):
        retention.remove_files(folder, before)
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    template = environment.from_string(Path(__file__).with_name("executions.html").read_text(encoding="utf-8"))
    page = folder / "index.html"
    shown: Iterable[Execution] = read()
    text = template.render(env=settings.env, executions=shown, written=datetime.now(UTC))
    files.replace(page, text, durable=False)
    return page


def _process(pid: int) -> str:
    """A process by its number and start, as numbers are used again; empty when it is gone."""
    try:
        return f"{pid} {psutil.Process(pid).create_time():.2f}"
    except psutil.NoSuchProcess:
        return ""


def _moment(text: str) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
