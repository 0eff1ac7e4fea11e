"""Decisions of people: a run ends when it has asked, and a sensor starts another one that promotes what was approved.

Dagster has no step that waits for a person, and nothing in its UI to answer: `make approvals` decides in the table
``platform.approvals``, which the sensor reads. As nothing waits, nothing is held, and a restart loses nothing.
"""

from __future__ import annotations

from datetime import UTC, datetime

import dagster as dg

from ...platform import decisions, publications
from ...platform.decisions import APPROVED
from ...platform.pipelines import Pipeline
from .partitions import argument
from .warehouse import Warehouse

SENSOR = "_decisions"  # ends the name of each pipeline's sensor
BY_COMMAND = "execute_in_process_executor"  # of `make run`


def request(warehouse: Warehouse, pipeline: Pipeline, context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """Run the step that asks. The sensor continues what runs of the services ask, the command what `make run` asks."""
    warehouse.run(pipeline, "request", context, waits=context.job_def.executor_def.name != BY_COMMAND)
    newest = decisions.of_pipeline(pipeline)[-1]
    return dg.MaterializeResult(metadata={"request": newest.id, **newest.facts()})


def since_last_look(context: dg.SensorEvaluationContext, pipeline: Pipeline) -> dg.SensorResult:
    """Runs that promote what was approved since the last look; also reminds of requests, and closes those that expired.

    What was published after its approval is left out: a new instance of Dagster would promote it a second time.
    """
    decisions.look_after(pipeline)
    published = {key: each.at for key, each in publications.latest(pipeline).items()}
    since, wanted, pending = _instant(context.cursor), [], 0
    newest = since
    for each in decisions.of_pipeline(pipeline):
        pending += each.is_pending
        if each.engine != "dagster" or not each.waits or each.is_pending or each.decided_at <= since:
            continue
        newest = max(newest, each.decided_at)
        if each.state == APPROVED and published.get(each.partition, each.requested_at) < each.decided_at:
            key = argument(pipeline.partition(each.partition))
            wanted.append(dg.RunRequest(run_key=each.id, partition_key=key, tags={"approved_by": each.decided_by}))
    cursor = newest.isoformat()
    if not wanted:
        reason = f"nothing new is approved; {pending} requests wait for a decision"
        return dg.SensorResult(skip_reason=reason, cursor=cursor)
    return dg.SensorResult(run_requests=wanted, cursor=cursor)


def _instant(cursor: str | None) -> datetime:
    try:
        return datetime.fromisoformat(cursor or "")
    except ValueError:
        return datetime.fromtimestamp(0, UTC)
