"""What `make up` does between starting Temporal's server and its worker, and how the others learn that it is done.

Search attributes, the time that history is kept, and schedules, all as configured.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from ...platform import config
from ...platform.errors import ConfigError

if TYPE_CHECKING:
    from temporalio.client import Client

    from ..services import Services

ATTEMPTS = 20
PAUSE_SECONDS = 1
WAIT_SECONDS = 600
DAY = 86400  # Temporal keeps history for a day at least
FOREVER = 36500 * DAY


def run() -> int:
    """Set up, and note the outcome in a file. Returns the exit code."""
    from ...platform import logging

    log = logging.get_logger()
    for attempt in range(1, ATTEMPTS + 1):
        try:
            problems = asyncio.run(_set_up())
        except Exception as error:  # whatever it was, the services that wait must learn of it
            log.warning("setup failed", attempt=attempt, exc_info=not isinstance(error, ConfigError), reason=str(error))
            problem = f"Temporal cannot be set up ({type(error).__name__}: {error}): see setup.log"
            time.sleep(PAUSE_SECONDS)
        else:
            for each in problems:
                log.error(each)
            _note({"is_ready": True, "problems": problems})
            return 0
    _note({"is_ready": False, "problems": [problem]})
    return 1


async def _set_up() -> list[str]:
    from ...platform import pipelines
    from . import connection, schedules, workflows

    client = await connection.connect()
    await prepare(client)
    loaded, problems = workflows.load_all()
    names = {each.pipeline.name for each in loaded}
    broken = [each.name for each in pipelines.all() if each.name not in names and workflows.has_workflow(each)]
    await schedules.deploy(client, loaded, kept=broken)
    return problems


async def prepare(client: Client) -> None:
    """Register the search attributes; on a server of this machine, set how long history is kept."""
    from . import connection

    await _register_search_attributes(client)
    if not connection.settings().address:
        await _keep_history(client, config.load().retention.days)


async def _register_search_attributes(client: Client) -> None:
    from temporalio.api.enums.v1 import IndexedValueType
    from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
    from temporalio.service import RPCError

    from ...platform import logging
    from . import policies

    wanted = {key.name: IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD for key in policies.SEARCH_ATTRIBUTES}
    try:
        asked = ListSearchAttributesRequest(namespace=client.namespace)
        known = (await client.operator_service.list_search_attributes(asked)).custom_attributes
        missing = {name: kind for name, kind in wanted.items() if name not in known}
        if missing:
            more = AddSearchAttributesRequest(namespace=client.namespace, search_attributes=missing)
            await client.operator_service.add_search_attributes(more)
    except RPCError as error:
        names = ", ".join(wanted)
        log = logging.get_logger()
        log.warning("cannot register search attributes", reason=str(error), remedy=f"register as Keyword: {names}")


async def _keep_history(client: Client, days: float) -> None:
    from google.protobuf.duration_pb2 import Duration
    from temporalio.api.namespace.v1 import NamespaceConfig
    from temporalio.api.workflowservice.v1 import UpdateNamespaceRequest

    seconds = max(int(days * DAY), DAY) if days else FOREVER
    kept = NamespaceConfig(workflow_execution_retention_ttl=Duration(seconds=seconds))
    await client.workflow_service.update_namespace(UpdateNamespaceRequest(namespace=client.namespace, config=kept))


def wait(supervisor: psutil.Process) -> None:
    """Return when the services that this supervisor keeps have been set up."""
    while not _outcome(supervisor).get("is_ready"):
        time.sleep(0.2)


def problems(services: Services) -> list[str]:
    """Wait until the services are set up, and return why some pipelines cannot run, a sentence each."""
    start = time.monotonic()
    while not (outcome := _outcome(services.supervisor)):
        if services.supervisor is None:
            return ["Temporal's services have ended"]
        if time.monotonic() - start > WAIT_SECONDS:
            return [f"the schedules are not there after {WAIT_SECONDS} s: see {_file().with_name('setup.log')}"]
        time.sleep(0.2)
    return outcome["problems"]


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
    return Path(os.environ["TEMPORAL_HOME"]) / "setup.json"
