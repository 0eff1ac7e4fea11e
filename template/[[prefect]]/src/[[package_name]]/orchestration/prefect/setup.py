"""What `make up` does between starting Prefect's server and its worker, and how the others learn that it is done.

Work pool, limits and deployments as configured; what was interrupted starts again, what was missed does not.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ..setup import SetUp
from . import server

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient


SET_UP = SetUp("Prefect", "PREFECT_HOME", "deploys the pipelines")


def run() -> int:
    """Set up, and note the outcome for the other services. Returns the exit code."""
    from ...platform import logging

    logging.configure()
    if "PREFECT_API_KEY" not in os.environ:  # Prefect Cloud is there
        server.wait_until_up(os.environ["PREFECT_API_URL"])
    return SET_UP.run(_set_up)


def _set_up() -> list[str]:
    from prefect.client.orchestration import get_client

    from . import deployments

    with get_client(sync_client=True) as client:
        deployments.set_limits(client)
        deployments.free_places(client)
        problems = deployments.deploy(client)
        _restart_interrupted_runs(client)
        _drop_overdue_runs(client)
    return problems


def _restart_interrupted_runs(client: SyncPrefectClient) -> None:
    """Schedule the runs again that were in progress when the worker stopped; nothing else would notice them."""
    from prefect.states import AwaitingRetry

    from . import runs

    for run in list(runs.matching(client, {"state": {"name": {"any_": ["Running", "Pending", "Submitting"]}}})):
        if run.deployment_id:
            again = AwaitingRetry(message="interrupted when the worker was stopped")
            client.set_flow_run_state(run.id, again, force=True)


def _drop_overdue_runs(client: SyncPrefectClient) -> None:
    """Delete scheduled runs that came due while nothing ran here; the worker would start them all at once."""
    from . import runs

    for run in list(runs.matching(client, {"state": {"name": {"any_": ["Scheduled", "Late"]}}})):
        if run.auto_scheduled and run.expected_start_time < datetime.now(UTC):
            client.delete_flow_run(run.id)
