"""The run that a step belongs to, as its engine knows it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from structlog.contextvars import bound_contextvars

from .errors import is_transient


@dataclass(frozen=True)
class Run:
    """engine: the orchestrator's id. attempt: of this step, from 1. url: where the engine shows the run.

    root: the first run, where an engine repeats a run under another id. one_process: whether a single process runs all
    steps of the run. progress: what an earlier attempt of this step noted last, where the engine keeps it, else None.
    """

    id: str = ""
    attempt: int = 1
    url: str = ""
    engine: str = ""
    root: str = ""
    one_process: bool = False
    progress: Any = None

    @property
    def owner(self) -> tuple[str, str]:
        """What is the same in all steps and repetitions of the run."""
        return self.engine, self.root or self.id

    def is_last(self, error: BaseException, retries: int) -> bool:
        """Whether the step is not tried again after this error. retries: after the first attempt."""
        return self.attempt > retries or not is_transient(error)


_current: ContextVar[Run | None] = ContextVar("run", default=None)
_keep: ContextVar[Callable[[Any], None] | None] = ContextVar("keep", default=None)


@contextmanager
def run_context(run: Run) -> Iterator[Run]:
    """Engines wrap each call of a step in this: its logs, metrics and alerts then name the run and the attempt."""
    token = _current.set(run)
    try:
        with bound_contextvars(run_id=run.id, attempt=run.attempt):
            yield run
    finally:
        _current.reset(token)


def current_run() -> Run:
    return _current.get() or Run()


def note_progress(value: Any) -> None:
    """Note how far the current step is: its next attempt finds the value in ``current_run().progress``.

    value: what JSON can hold, small. An engine that keeps it may lose the last seconds, and others keep nothing, so a
    step must be able to begin from the start. Raises TypeError for a value that JSON cannot hold.
    """
    noted = json.loads(json.dumps(value))
    if keep := _keep.get():
        keep(noted)


@contextmanager
def progress_kept(keep: Callable[[Any], None]) -> Iterator[None]:
    """Engines that keep the progress of a step wrap its call in this. keep: takes each value, and returns at once."""
    token = _keep.set(keep)
    try:
        yield
    finally:
        _keep.reset(token)
