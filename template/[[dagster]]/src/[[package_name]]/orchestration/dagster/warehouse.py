"""The warehouse as a resource, wired once for all assets: it runs a step of a pipeline for the partition at hand."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg

from ...platform import config
from ...platform import warehouse as connections
from ...platform.errors import ContractError, PartitionElsewhere, is_transient
from ...platform.partitions import ALL, Partition
from ...platform.pipelines import Pipeline
from ...platform.runs import Run, run_context
from .policies import STEP

ROW_COUNT = "dagster/partition_row_count"  # the metadata key the UI plots
INTERRUPTED = "interrupted"
SKIPPED = "skipped"  # the tag of a run whose partition another orchestrator has; it says so
ONE_PROCESS = ("in_process", "execute_in_process_executor")  # executors

Context = dg.AssetExecutionContext | dg.AssetCheckExecutionContext | dg.OpExecutionContext


class StepTimeout(Exception):
    """A step ran longer than its ``timeout_seconds``: it is ended, and retried as other passing failures are."""


class Warehouse(dg.ConfigurableResource):
    """Runs steps against the warehouse. Rows stay in it from step to step, so no IO manager carries them."""

    location: str

    def run(self, pipeline: Pipeline, step: str, context: Context, **options: Any) -> dict[str, int]:
        """Run a step for the partition of this run. options: arguments of the step's function beside the partition.

        Returns its rows by kind. Raises ContractError, for a check to report, and Failure, which names the step and is
        retried only when a retry may help. A run whose partition another orchestrator has ends as canceled.
        """
        seconds = config.load().for_step(pipeline.name, step).timeout_seconds
        function = pipeline.step(step)
        try:
            with run_context(_run(context)), _time_limit(seconds):
                return function(_partition(pipeline, context), **options)
        except ContractError:
            raise
        except PartitionElsewhere as error:
            context.instance.add_run_tags(context.run.run_id, {SKIPPED: str(error)})
            context.instance.report_run_canceling(context.run, message=str(error))
            raise dg.Failure(str(error), {STEP: step}, allow_retries=False) from error
        except dg.DagsterExecutionInterruptedError as stop:
            raise dg.Failure(INTERRUPTED, {STEP: step}, allow_retries=False) from stop
        except Exception as error:
            raise dg.Failure(str(error), {STEP: step}, allow_retries=is_transient(error)) from error

    def check(self, pipeline: Pipeline, step: str, context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        """Run a step that checks rows: its check has failed when the contract is broken."""
        try:
            return dg.AssetCheckResult(passed=True, metadata=self.run(pipeline, step, context))
        except ContractError as broken:
            return dg.AssetCheckResult(passed=False, description=str(broken), metadata={STEP: step})

    def rows(self, pipeline: Pipeline, query: str, context: Context) -> list[tuple[Any, ...]]:
        """Rows of a query over published tables. ``{partition}`` in it is a condition: the rows of this run's."""
        inside = pipeline.code.products.variables(_partition(pipeline, context))["in_partition"]
        with connections.connect() as con:
            return connections.rows(con, query.format(partition=inside))


def run_url(run_id: str) -> str:
    """Where people open a run; DAGSTER_UI is the address of the UI, that of `make up` by default."""
    ui = os.environ.get("DAGSTER_UI") or f"http://127.0.0.1:{os.environ.get('DAGSTER_PORT') or 3000}"
    return f"{ui}/runs/{run_id}"


def _run(context: Context) -> Run:
    run = context.run
    return Run(
        id=run.run_id,
        attempt=context.retry_number + 1,
        url=run_url(run.run_id),
        engine="dagster",
        root=run.root_run_id or run.run_id,
        one_process=context.job_def.executor_def.name in ONE_PROCESS,
    )


def _partition(pipeline: Pipeline, context: Context) -> Partition:
    return pipeline.partition(context.partition_key if context.has_partition_key else ALL)


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """End the body after so many seconds, 0 for no limit: Dagster can limit a run, but not a step."""
    timeout = StepTimeout(f"took longer than {seconds:g} s")
    rung = False

    def end(*_: object) -> None:
        nonlocal rung
        rung = True
        raise timeout

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    except Exception as error:
        if rung:  # a database driver may have made an error of its own of it
            raise timeout from error
        raise
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def resource() -> Warehouse:
    return Warehouse(location=connections.describe(config.load()))
