"""Input that changes: the worker looks for published partitions whose input has changed, and starts a run of each.

The server knows a run by its id and makes no second one, so each of several workers may look. What other projects have
published is logged; Temporal has no catalogue that could show it.
"""

from __future__ import annotations

import asyncio

from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError

from ...platform import late_input, logging, providers
from ...platform.pipelines import Pipeline
from . import backfill

ONCE = {
    "id_conflict_policy": WorkflowIDConflictPolicy.FAIL,
    "id_reuse_policy": WorkflowIDReusePolicy.REJECT_DUPLICATE,
}


async def watch(client: Client, pipeline: Pipeline) -> None:
    """Look every ``late_input.check_seconds``, until it is cancelled."""
    shown: dict[tuple[str, str], int] = {}
    while True:
        try:
            await look(client, pipeline)
            if pipeline.settings.agreed:
                _show(await asyncio.to_thread(providers.delivered, pipeline), shown)
        except Exception as error:  # noqa: BLE001  a server that restarts, a warehouse that does not answer
            reason = f"{type(error).__name__}: {error}"
            logging.get_logger().warning("cannot look for late input", pipeline=pipeline.name, reason=reason)
        await asyncio.sleep(pipeline.settings.late_input.check_seconds)


async def look(client: Client, pipeline: Pipeline) -> None:
    """Start a run of each late partition, once for each change."""
    for each in await asyncio.to_thread(late_input.to_republish, pipeline):
        try:
            await backfill.start(client, pipeline, each.partition, f"{pipeline.name}-{each.request}", **ONCE)
        except WorkflowAlreadyStartedError:
            continue
        about = {"pipeline": pipeline.name, "partition": each.partition.key}
        logging.get_logger().info("runs again: its input has changed", **about)


def _show(delivered: list[providers.Delivery], shown: dict[tuple[str, str], int]) -> None:
    for each in delivered:
        if shown.get((each.table, each.partition)) != each.version:
            shown[each.table, each.partition] = each.version
            logging.get_logger().info(
                "published by a provider", table=each.table, partition=each.partition, **each.facts
            )
