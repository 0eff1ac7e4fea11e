"""Steps of a run: what each one logs and measures, and what it tells those who watch (the terminal of `make run`).

A step's name is the same in every orchestrator, so logs, alerts and runbooks are too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import date

from structlog.contextvars import bound_contextvars

from . import config, logging, masking, metrics, secrets, warehouse
from .errors import InputNotReady, PermanentError, SecretsUnavailable


@dataclass(frozen=True)
class Run:
    """The engine's run that a step belongs to. attempt: of this step, from 1. url: where the engine shows the run."""

    id: str = ""
    attempt: int = 1
    url: str = ""


@dataclass
class StepReport:
    """One step of one run. seconds: wall time. rows: by what became of them (read, kept, quarantined, table names).

    error: class of the error that ended it, empty when it did not fail.
    """

    pipeline: str
    partition: date
    step: str
    seconds: float = 0.0
    rows: dict[str, int] = field(default_factory=dict)
    detail: str = ""
    failed: bool = False
    error: str = ""


# Errors whose message is a sentence of ours.
EXPECTED = (PermanentError, InputNotReady, SecretsUnavailable, warehouse.WarehouseError)
Watcher = Callable[[StepReport], None]
watchers: list[Watcher] = []
_run: ContextVar[Run | None] = ContextVar("run", default=None)


@contextmanager
def run_context(run_id: str, attempt: int = 1, run_url: str = "") -> Iterator[Run]:
    """Engines wrap each call of a step in this: its logs, metrics and alerts then name the run and the attempt."""
    run = Run(run_id, attempt, run_url)
    token = _run.set(run)
    try:
        with bound_contextvars(run_id=run_id, attempt=attempt):
            yield run
    finally:
        _run.reset(token)


def current_run() -> Run:
    return _run.get() or Run()


@contextmanager
def step(pipeline: str, name: str, partition: date) -> Iterator[StepReport]:
    """Run the body as one step: bind its context to the logs, time it, report how it ended.

    Secrets that the configuration refers to are read first, so a missing one ends a run at its first step.
    """
    settings = config.load()
    logging.configure(settings)
    report = StepReport(pipeline, partition, name)
    context = {"env": settings.env, "pipeline": pipeline, "step": name, "partition": partition.isoformat()}
    log = logging.get_logger().bind(**context)
    start = time.perf_counter()
    with bound_contextvars(**context):
        try:
            secrets.verify(settings)
            yield report
        except BaseException as error:  # engines end a step at its time-out with one that is no Exception
            masking.scrub(error)
            report.failed, report.error = True, type(error).__name__
            report.detail = masking.mask(str(error) if isinstance(error, EXPECTED) else f"{report.error}: {error}")
            log.warning("step failed", error=report.error, reason=masking.mask(str(error)))
            raise
        else:
            log.info("step finished", seconds=round(time.perf_counter() - start, 3), **report.rows)
        finally:
            report.seconds = time.perf_counter() - start
            metrics.record(report, settings)
            for watch in watchers:
                watch(report)
