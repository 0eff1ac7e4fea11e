"""Decisions of people through Airflow's own human-in-the-loop task: it waits in no worker, triggerer or pool.

Airflow asks in its UI and knows who is signed in. `make approvals` decides in the table ``platform.approvals`` and then
answers the task. Either way the table says what holds: the task reads it, and notes there what came from the UI.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import DeadlineAlert, Param, SyncCallback
from airflow.sdk.exceptions import AirflowSkipException
from airflow.sdk.execution_time.hitl import HITLUser

from ...platform import decisions, pipelines
from ...platform.decisions import APPROVED, REJECTED, Request
from ...platform.errors import ConfigError, Refused
from ...platform.pipelines import Pipeline
from ...platform.runs import Run, current_run
from . import policies
from .api import DECIDE
from .deadlines import RunQueuedAt
from .partitions import of_run

SHORTEST = timedelta(seconds=1)


class Decision(ApprovalOperator):
    """Waits for the decision about what the run has prepared; the tasks after it are skipped unless it is approved."""

    def __init__(self, *, pipeline: str, **options: Any) -> None:
        settings = pipelines.get(pipeline).settings.approval
        super().__init__(
            subject=f"{pipeline}: a decision",
            params={"reason": Param("", type="string", description="Why; a rejection needs it.")},
            # Airflow itself refuses everybody else where people sign in.
            assigned_users=[HITLUser(id=name, name=name) for name in settings.deciders],
            defaults=self.REJECT,  # when nobody answers in time
            response_timeout=timedelta(seconds=settings.expire_after_seconds),
            **options,
        )
        self.pipeline = pipeline

    def execute(self, context: Mapping[str, Any]) -> Any:
        if policies.ONE_PROCESS:
            raise AirflowSkipException("make run does not wait: decide with make approvals, which promotes at once")
        request = self._request()
        if not request.is_pending:
            return self._end(context, request, {})
        self.subject = f"{request.id} {request}"
        self.body = "\n".join(f"- {name}: {value}" for name, value in request.facts().items())
        self.response_timeout = max(request.expires_at - datetime.now(UTC), SHORTEST)
        return super().execute(context)

    def execute_complete(self, context: Mapping[str, Any], event: dict[str, Any]) -> Any:
        request = self._request()
        if request.is_pending:
            request = decisions.expire(request.id) if event.get("timedout") else self._note(request, event)
        if request.is_pending:  # the answer does not count, as its log line says: ask again
            return self.execute(context)
        return self._end(context, request, event)

    def _request(self) -> Request:
        pipeline = pipelines.get(self.pipeline)
        with policies.partition_of_run(pipeline) as partition:
            request = decisions.of_run(pipeline, partition, current_run())
        if request is None:
            raise ConfigError(f"this run of {self.pipeline} has asked for no decision: run it from its first task")
        return request

    def _note(self, request: Request, event: dict[str, Any]) -> Request:
        """Take an answer of the UI over into the table."""
        user = event.get("responded_by_user") or {}
        names = [str(user[key]) for key in ("id", "name") if user.get(key)]
        deciders = pipelines.get(self.pipeline).settings.approval.deciders
        by = next((name for name in names if name in deciders), names[-1] if names else "")
        decision = APPROVED if event["chosen_options"] == [self.APPROVE] else REJECTED
        reason = str((event.get("params_input") or {}).get("reason") or "")
        try:
            return decisions.decide(request.id, decision, by, reason, via=f"Airflow, signed in as {'/'.join(names)}")
        except Refused:
            return decisions.get(request.id)

    def _end(self, context: Mapping[str, Any], request: Request, event: dict[str, Any]) -> Any:
        decisions.note_delivered(request)
        answer = {
            "params_input": {},
            "responded_at": request.decided_at,
            "responded_by_user": None,
            **event,
            "chosen_options": [self.APPROVE if request.state == APPROVED else self.REJECT],
        }
        return super().execute_complete(context, answer)


def decide(pipeline: Pipeline) -> Decision:
    """The task that waits for the decision, retried as a step is when it cannot ask."""
    options = policies.step(pipeline, DECIDE, pool="default_pool")
    del options["execution_timeout"]  # the operator would take it for the time that people have
    return Decision(task_id=DECIDE, pipeline=pipeline.name, **options)


def request(pipeline: Pipeline, step: Any) -> Any:
    """Run the step that asks, in a task: the run goes on by itself, unless `make run` executes it."""
    with policies.partition_of_run(pipeline) as partition:
        return step(partition, waits=not policies.ONE_PROCESS)


def reminder(pipeline: Pipeline) -> list[DeadlineAlert]:
    """Reminds the deciders when a run still waits ``remind_after_seconds`` after it was queued."""
    return [
        DeadlineAlert(
            name=f"{pipeline.name} is decided",
            reference=RunQueuedAt(),
            interval=timedelta(seconds=pipeline.settings.approval.remind_after_seconds),
            callback=SyncCallback(remind),
        )
    ]


def remind(context: Mapping[str, Any]) -> None:
    """Send the reminder of a run's request, if it is open."""
    run = context["dag_run"]
    pipeline = pipelines.get(run["dag_id"])
    run_after = datetime.fromisoformat(run["run_after"])
    partition = of_run(pipeline, run.get("partition_key"), run["conf"], run_after)
    request = decisions.of_run(pipeline, partition, Run(run["dag_run_id"], engine=policies.ENGINE))
    if request:
        decisions.remind(request)
