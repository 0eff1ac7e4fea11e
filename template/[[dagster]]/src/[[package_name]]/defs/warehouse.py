"""The warehouse as a resource, wired once for all assets: it runs a step of a pipeline for the partition at hand."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date

import dagster as dg

from ..platform import config
from ..platform import warehouse as connections
from ..platform.errors import ContractError, PermanentError

ROW_COUNT = "dagster/partition_row_count"  # the metadata key the UI plots
INTERRUPTED = "interrupted"

Context = dg.AssetExecutionContext | dg.AssetCheckExecutionContext


class StepTimeout(Exception):
    """A step ran longer than ``step_timeout_seconds``: it is ended, and retried as other passing failures are."""


class Warehouse(dg.ConfigurableResource):
    """Runs steps against the warehouse. Rows stay in it from step to step, so no IO manager carries them."""

    location: str
    step_timeout_seconds: float

    def run(self, step: Callable[[date], dict[str, int]], context: Context) -> dict[str, int]:
        """Run a step for the partition of this run. Returns its rows by kind.

        Raises ContractError, for a check to report, and Failure, which is not retried, for any other error that a
        retry cannot mend, and when the run is told to stop.
        """
        try:
            with _time_limit(self.step_timeout_seconds):
                return step(date.fromisoformat(context.partition_key))
        except ContractError:
            raise
        except (PermanentError, config.ConfigError) as error:
            raise dg.Failure(str(error), allow_retries=False) from error
        except dg.DagsterExecutionInterruptedError as stop:
            raise dg.Failure(INTERRUPTED, allow_retries=False) from stop


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
    settings = config.load()
    warehouse = Warehouse(location=connections.describe(settings), step_timeout_seconds=settings.step_timeout_seconds)
    return dg.Definitions(resources={"warehouse": warehouse})
