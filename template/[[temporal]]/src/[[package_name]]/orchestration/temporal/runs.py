"""Runs of a pipeline, as the server knows them."""

from __future__ import annotations

import asyncio
from datetime import datetime

from temporalio.client import (
    Client,
    WorkflowExecution,
    WorkflowExecutionDescription,
    WorkflowExecutionStatus,
    WorkflowFailureError,
)
from temporalio.exceptions import ActivityError, FailureError

from ...platform import config
from ...platform.errors import PartitionElsewhere
from ...platform.pipelines import Pipeline
from ..engine import RunState
from . import connection, policies

STATES = {
    WorkflowExecutionStatus.RUNNING: "running",
    WorkflowExecutionStatus.CONTINUED_AS_NEW: "running",
    WorkflowExecutionStatus.COMPLETED: "success",
}


def newest(pipeline: Pipeline, limit: int) -> list[RunState]:
    """The newest runs."""
    with connection.answering():
        return asyncio.run(_newest(pipeline, limit))


async def _newest(pipeline: Pipeline, limit: int) -> list[RunState]:
    client = await connection.connect()
    wanted = f"WorkflowType = '{pipeline.name}' AND env = '{config.environment()}'"
    return [await state_of(client, pipeline, each) async for each in client.list_workflows(wanted, limit=limit)]


async def state_of(client: Client, pipeline: Pipeline, run: WorkflowExecution) -> RunState:
    """A run as the project's commands show it."""
    state, reason = STATES.get(run.status, "failed"), ""
    if run.status is WorkflowExecutionStatus.RUNNING:
        state, reason = _progress(pipeline, await client.get_workflow_handle(run.id, run_id=run.run_id).describe())
    elif run.status is WorkflowExecutionStatus.CANCELED and (reason := await _why_skipped(client, run)):
        state = "skipped"
    elif state == "failed":
        reason = await _reason(client, run)
    return RunState(
        id=run.run_id,
        pipeline=pipeline.name,
        partition=partition_of(pipeline, run),
        state=state,
        started=run.start_time,
        ended=run.close_time,
        reason=reason,
        url=connection.run_url(run.id, run.run_id),
    )


def partition_of(pipeline: Pipeline, run: WorkflowExecution) -> str:
    """Key of the partition: that which the run has noted, else the one that is due at its tick."""
    given = run.typed_search_attributes
    tick: datetime = given.get(policies.SCHEDULED) or run.start_time
    return given.get(policies.PARTITION) or pipeline.due(tick).key


def _progress(pipeline: Pipeline, run: WorkflowExecutionDescription) -> tuple[str, str]:
    """State of a run that has not ended, and why it waits."""
    pending = run.raw_description.pending_activities
    for each in pending:
        if each.last_failure.application_failure_info.type == "InputNotReady":
            return "waiting", "the input is not there yet"
    if pipeline.held_step and not pending and run.history_length > 2:
        return "waiting", "people decide: make approvals"
    is_new = run.history_length <= 2  # nobody has taken its first task
    return ("queued" if is_new and not pending else "running"), ""


async def _why_skipped(client: Client, run: WorkflowExecution) -> str:
    """What a step said when it cancelled its run; empty when somebody else did."""
    start = f"{PartitionElsewhere.__name__}: "
    async for event in client.get_workflow_handle(run.id, run_id=run.run_id).fetch_history_events():
        cause = event.workflow_execution_cancel_requested_event_attributes.cause
        if cause.startswith(start):
            return cause.removeprefix(start)
    return ""


async def _reason(client: Client, run: WorkflowExecution) -> str:
    try:
        await client.get_workflow_handle(run.id, run_id=run.run_id).result(follow_runs=False)
    except WorkflowFailureError as error:
        cause = error.cause
        step = cause.activity_type.rpartition(".")[2] if isinstance(cause, ActivityError) else ""
        cause = cause.cause if isinstance(cause, ActivityError) and cause.cause else cause
        message = cause.message if isinstance(cause, FailureError) else str(cause)
        return f"{step}: {message}" if step else message
    return ""
