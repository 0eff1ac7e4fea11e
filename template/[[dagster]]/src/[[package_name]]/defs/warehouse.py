"""The warehouse as a resource, wired once for all assets: it runs a step of a pipeline for the partition at hand."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date

import dagster as dg

from ..platform import config, steps
from ..platform import warehouse as connections
from ..platform.errors import ContractError, is_transient

ROW_COUNT = "dagster/partition_row_count"  # the metadata key the UI plots
INTERRUPTED = "interrupted"

Context = dg.AssetExecutionContext | dg.AssetCheckExecutionContext


class StepTimeout(Exception):
    """A step ran longer than its ``timeout_seconds``: it is ended, and retried as other passing failures are."""


class Warehouse(dg.ConfigurableResource):
    """Runs steps against the warehouse. Rows stay in it from step to step, so no IO manager carries them."""

    location: str

    def run(self, pipeline: str, step: Callable[[date], dict[str, int]], context: Context) -> dict[str, int]:
        """Run a step for the partition of this run. Returns its rows by kind.

        Raises ContractError, for a check to report, and Failure, which is not retried, for any other error that a
        retry cannot mend, and when the run is told to stop.
        """
        seconds = config.load().for_step(pipeline, step.__name__).timeout_seconds
        run_id = context.run.run_id
        try:
            with steps.run_context(run_id, context.retry_number + 1, run_url(run_id)), _time_limit(seconds):
                return step(date.fromisoformat(context.partition_key))
        except ContractError:
            raise
        except dg.DagsterExecutionInterruptedError as stop:
            raise dg.Failure(INTERRUPTED, allow_retries=False) from stop
        except Exception as error:
            if is_transient(error):
                raise
            raise dg.Failure(str(error), allow_retries=False) from error


def run_url(run_id: str) -> str:
    """Where people open a run; DAGSTER_UI is the address of the UI, that of `make up` by default."""
    ui = os.environ.get("DAGSTER_UI") or f"http://127.0.0.1:{os.environ.get('DAGSTER_PORT', '3000')}"
    return f"{ui}/runs/{run_id}"


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


@dg.definitions
def resources() -> dg.Definitions:
    return dg.Definitions(resources={"warehouse": Warehouse(location=connections.describe(config.load()))})
