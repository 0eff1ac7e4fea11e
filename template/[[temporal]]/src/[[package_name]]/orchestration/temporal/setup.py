"""What `make up` does between starting Temporal's server and its worker, and how the others learn that it is done.

Search attributes, the time that history is kept, and schedules, all as configured.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ...platform import config, logging
from ..setup import SetUp

if TYPE_CHECKING:
    from temporalio.client import Client


DAY = 86400  # Temporal keeps history for a day at least
FOREVER = 36500 * DAY
SET_UP = SetUp("Temporal", "TEMPORAL_HOME", "makes the schedules")


def run() -> int:
    """Set up, and note the outcome for the other services. Returns the exit code."""
    return SET_UP.run(lambda: asyncio.run(_set_up()))


def deploy() -> int:
    """Set up a server elsewhere; a pipeline that cannot run is logged, and the others run. Returns the exit code."""
    for problem in asyncio.run(_set_up()):
        logging.get_logger().error(problem)
    return 0


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
