"""Steps of a run: what each one logs, and what it tells those who watch (the terminal of `make run`).

A step's name is the same in every orchestrator, so logs, alerts and runbooks are too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date

from structlog.contextvars import bound_contextvars

from . import config, logging, secrets, warehouse
from .errors import InputNotReady, PermanentError


@dataclass
class StepReport:
    """One step of one run. seconds: wall time. rows: by what became of them (read, kept, quarantined, table names)."""

    pipeline: str
    partition: date
    step: str
    seconds: float = 0.0
    rows: dict[str, int] = field(default_factory=dict)
    detail: str = ""
    failed: bool = False


# Errors whose message is a sentence of ours.
EXPECTED = (PermanentError, InputNotReady, warehouse.WarehouseError, config.ConfigError, secrets.SecretError)
Watcher = Callable[[StepReport], None]
watchers: list[Watcher] = []


@contextmanager
def step(pipeline: str, name: str, partition: date) -> Iterator[StepReport]:
    """Run the body as one step: bind its context to the logs, time it, report how it ended."""
    settings = config.load()
    logging.configure(settings)
    log = logging.get_logger()
    report = StepReport(pipeline, partition, name)
    context = {"env": settings.env, "pipeline": pipeline, "step": name, "partition": partition.isoformat()}
    start = time.perf_counter()
    with bound_contextvars(**context):
        try:
            yield report
        except Exception as error:
            report.failed = True
            report.detail = str(error) if isinstance(error, EXPECTED) else f"{type(error).__name__}: {error}"
            log.warning("step failed", error=type(error).__name__, reason=str(error), **context)
            raise
        else:
            log.info("step finished", seconds=round(time.perf_counter() - start, 3), **report.rows, **context)
        finally:
            report.seconds = time.perf_counter() - start
            for watch in watchers:
                watch(report)
