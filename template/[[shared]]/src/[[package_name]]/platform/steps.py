"""Steps of a run: what each one logs and measures, and what it tells those who watch (the terminal of `make run`).

A step's name is the same in every orchestrator, so logs, alerts and runbooks are too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from structlog.contextvars import bound_contextvars

from . import (
    config,
    history,
    logging,
    masking,
    metrics,
    notices,
    openlineage,
    publications,
    secrets,
    telemetry,
    warehouse,
)
from .errors import (
    InputNotReady,
    PartitionBusy,
    PartitionElsewhere,
    PermanentError,
    SecretsUnavailable,
    SourceUnavailable,
)
from .runs import current_run

if TYPE_CHECKING:
    from .partitions import Partition
    from .pipelines import Pipeline
    from .warehouse import Connection


@dataclass
class StepReport:
    """One step of one run. seconds: wall time. rows: by what became of them (read, kept, quarantined, table names).

    error: class of the error that ended it, empty when it did not fail.
    """

    pipeline: Pipeline
    partition: Partition
    step: str
    seconds: float = 0.0
    rows: dict[str, int] = field(default_factory=dict)
    detail: str = ""
    failed: bool = False
    error: str = ""

    @property
    def publishes(self) -> bool:
        """Whether this is the step that publishes: its rows are counted by table."""
        return self.step == self.pipeline.steps[-1]


# Errors whose message is a sentence of ours.
EXPECTED = (
    PermanentError,
    InputNotReady,
    PartitionBusy,
    SourceUnavailable,
    SecretsUnavailable,
    warehouse.WarehouseError,
)
Watcher = Callable[[StepReport], None]
watchers: list[Watcher] = []


@contextmanager
def step(pipeline: Pipeline, name: str, partition: Partition) -> Iterator[StepReport]:
    """Run the body as one step: bind its context to the logs, time it, report how it ended.

    Secrets that the configuration refers to are read first, so a missing one ends a run at its first step.
    """
    settings = config.load()
    logging.configure(settings)
    report = StepReport(pipeline, partition, name)
    context = {"env": settings.env, "pipeline": pipeline.name, "step": name, "partition": partition.key}
    log = logging.get_logger().bind(**context)
    start = time.perf_counter()
    run = current_run()
    with (
        bound_contextvars(**context),
        telemetry.span(settings, run.id, {**context, "run_id": run.id, "attempt": run.attempt}) as seen,
    ):
        try:
            secrets.verify(settings)
            if name == pipeline.steps[0] and run.attempt == 1:
                openlineage.started(pipeline, partition)
            yield report
        except BaseException as error:  # engines end a step at its time-out with one that is no Exception
            masking.scrub(error)
            report.failed, report.error = True, type(error).__name__
            report.detail = masking.mask(str(error) if isinstance(error, EXPECTED) else f"{report.error}: {error}")
            log.warning("step failed", error=report.error, reason=masking.mask(str(error)))
            if run.is_last(error, settings.for_step(pipeline.name, name).retries.attempts):
                openlineage.failed(pipeline.name, partition.key, run, report.detail)
            raise
        else:
            detail = {"detail": masking.mask(report.detail)} if report.detail else {}
            log.info("step finished", seconds=round(time.perf_counter() - start, 3), **report.rows, **detail)
            if report.publishes:
                openlineage.completed(pipeline, partition, report.rows)
        finally:
            report.seconds = time.perf_counter() - start
            seen.update({f"rows.{kind}": rows for kind, rows in report.rows.items()})
            if report.error != PartitionElsewhere.__name__:  # nothing has failed then, and nobody needs an alert
                metrics.record(report, settings)
                history.record_step(report, settings)
            if report.publishes and not report.failed:
                notices.send(report, settings)
            for watch in watchers:
                watch(report)


@contextmanager
def work(
    pipeline: Pipeline, name: str, partition: Partition, *, first: bool = False
) -> Iterator[tuple[StepReport, Connection]]:
    """Run the body as one step that holds the partition, on a connection to the warehouse.

    first: whether a run may begin with this step. Raises PartitionBusy while another run holds the partition.
    """
    with (
        step(pipeline, name, partition) as report,
        warehouse.connect() as con,
        publications.held(con, pipeline, partition, name, first=first),
    ):
        yield report, con
