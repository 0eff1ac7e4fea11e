"""What `make up` does between starting Prefect's server and its worker, and how the others learn that it is done.

Work pool, limits and deployments as configured; what was interrupted starts again, what was missed does not.
"""

from __future__ import annotations

import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from . import server

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

    from ..services import Services

ATTEMPTS = 5  # a server that has just started on a busy machine refuses a request now and then
PAUSE_SECONDS = 5
WAIT_SECONDS = 600
TELL_SECONDS = 15


def run() -> int:
    """Set up, and note the outcome in a file. Returns the exit code."""
    from ...platform import logging

    logging.configure()
    log = logging.get_logger()
    server.wait_until_up(os.environ["PREFECT_API_URL"])
    for attempt in range(1, ATTEMPTS + 1):
        try:
            problems = _set_up()
        except Exception as error:  # whatever it was, the services that wait must learn of it
            log.warning("setup failed", attempt=attempt, exc_info=True)
            problem = f"Prefect cannot be set up ({type(error).__name__}: {error}): see setup.log"
            time.sleep(PAUSE_SECONDS)
        else:
            for each in problems:
                log.error(each)
            _note({"is_ready": True, "problems": problems})
            return 0
    _note({"is_ready": False, "problems": [problem]})
    return 1


def wait(supervisor: psutil.Process) -> None:
    """Return when the services that this supervisor keeps have been set up."""
    while not _outcome(supervisor).get("is_ready"):
        time.sleep(0.2)


def problems(services: Services) -> list[str]:
    """Wait until the services are set up, and return why some pipelines cannot run, a sentence each."""
    start = time.monotonic()
    tell_at = start + TELL_SECONDS
    while not (outcome := _outcome(services.supervisor)):
        waited = time.monotonic() - start
        if not services.are_up() and services.supervisor is None:
            return ["Prefect's services have ended"]
        if waited > WAIT_SECONDS:
            return [f"the pipelines are not deployed after {WAIT_SECONDS} s: see {_file().with_name('setup.log')}"]
        if time.monotonic() > tell_at:
            print(f"prefect deploys the pipelines, {waited:.0f} s so far", flush=True)
            tell_at += TELL_SECONDS
        time.sleep(0.2)
    return outcome["problems"]


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


def _note(outcome: dict) -> None:
    """Write the outcome for those who wait, in one piece."""
    draft = _file().with_suffix(".new")
    draft.write_text(json.dumps({"supervisor": _identity(psutil.Process().parent()), **outcome}), encoding="utf-8")
    draft.replace(_file())


def _outcome(supervisor: psutil.Process | None) -> dict:
    """The outcome for the services that this process keeps; empty before there is one."""
    try:
        outcome = json.loads(_file().read_text(encoding="utf-8"))
        return outcome if supervisor and outcome["supervisor"] == _identity(supervisor) else {}
    except (OSError, ValueError, KeyError, TypeError, psutil.Error):  # of an earlier start, or damaged
        return {}


def _identity(process: psutil.Process) -> str:
    return f"{process.pid} {process.create_time():.2f}"


def _file() -> Path:
    return Path(os.environ["PREFECT_HOME"]) / "setup.json"
