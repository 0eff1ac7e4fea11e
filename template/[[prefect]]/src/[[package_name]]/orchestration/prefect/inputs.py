"""Input that changes: published partitions run again, and what other projects publish shows as Prefect's events.

What holds is in the warehouses. An event may trigger an automation of yours; a run that nothing triggers is not lost.
"""

from __future__ import annotations

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.events import emit_event

from ...platform import late_input, logging, providers
from ...platform.pipelines import Pipeline
from . import deployments

PUBLISHED = "data-product.partition.published"  # the name of the event
LATE = "late-input"  # the tag of a run that late input has started

_shown: dict[tuple[str, str], int] = {}  # the version of each partition that an event has shown


def look(pipeline: Pipeline) -> int:
    """Run late partitions again, and emit what providers have published. Returns how many runs there are of them."""
    late = late_input.to_republish(pipeline)
    if late:
        with get_client(sync_client=True) as client:
            for each in late:
                _run_again(client, pipeline, each)
    for each in providers.delivered(pipeline) if pipeline.settings.agreed else ():
        if _shown.get((each.table, each.partition)) != each.version:
            _emit(pipeline, each)
            _shown[each.table, each.partition] = each.version
    return len(late)


def _run_again(client: SyncPrefectClient, pipeline: Pipeline, late: late_input.LateInput) -> None:
    """Request the run, in the queue of backfills; the server knows it by its key, and makes no second one."""
    target = client.read_deployment_by_name(f"{pipeline.name}/{deployments.name()}")
    client.create_flow_run_from_deployment(
        target.id,
        name=f"{pipeline.name}-{late.partition}",
        parameters={"partition": late.partition.key},
        idempotency_key=late.request,
        tags=[LATE],
        work_queue_name=deployments.BACKFILL,
    )


def _emit(pipeline: Pipeline, delivery: providers.Delivery) -> None:
    resource = {"prefect.resource.id": f"data-product.{delivery.table}", "prefect.resource.name": delivery.table}
    payload = {"partition": delivery.partition, "read_by": pipeline.name, **delivery.facts}
    emit_event(event=PUBLISHED, resource=resource, occurred=delivery.at, payload=payload)
    logging.get_logger().info("published by a provider", table=delivery.table, **payload)
