"""Decisions of people through Prefect's own suspended runs: such a run holds no process, and no place of a worker.

Prefect asks in its UI, by a form; its open-source server has no login, so the form says who decides and proves nothing.
`make approvals` decides in the table ``platform.approvals`` and then resumes the run. Either way the table says what
holds: the run reads it when it starts again, from its top, and notes there what came from the form.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Literal
from uuid import UUID

from prefect import runtime
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun
from prefect.context import FlowRunContext
from prefect.exceptions import ObjectNotFound
from prefect.flow_runs import suspend_flow_run
from prefect.input import RunInput

from ...platform import decisions
from ...platform.decisions import APPROVED, REJECTED, Request
from ...platform.errors import Refused
from ...platform.pipelines import Pipeline
from ...platform.runs import Run
from . import policies, runs

ASK_SECONDS = 10  # for a run that is about to suspend; later, `look_after` resumes it
SUSPENDED = "Suspended"  # name of the state
KEY = "decision-"  # begins the key of each time that a run asks; an answer that does not count is asked for again


class Answer(RunInput):
    """What the form asks for."""

    decision: Literal["approve", "reject"]
    by: str
    reason: str = ""


def is_asked(pipeline: Pipeline, key: str) -> bool:
    """Whether this run has asked: a run that is resumed starts from its top, and what it has done stays done."""
    return _request(pipeline, key) is not None


def request(pipeline: Pipeline, key: str, step: Callable[..., dict[str, int]]) -> dict[str, int]:
    """Run the step that asks. The run suspends afterwards if it has a deployment: else nobody could start it again."""
    with policies.run_context(pipeline, key) as partition:
        return step(partition, waits=runtime.deployment.id is not None)


def decision(pipeline: Pipeline, key: str) -> str:
    """The decision about what this run has asked: ``approved``, ``rejected`` or ``expired``.

    Suspends the run until there is one. Without a deployment, as in `make run`, it is ``pending``, and the command that
    decides does what is left.
    """
    asked = [name for name in FlowRunContext.get().flow_run.empirical_policy.pause_keys or () if name.startswith(KEY)]
    number = max(len(asked) - 1, 0)
    while True:
        request = _request(pipeline, key)
        if not request.is_pending:
            decisions.note_delivered(request)
            return request.state
        if runtime.deployment.id is None:
            return request.state
        text = "\n".join(f"- {name}: {value}" for name, value in request.facts().items())
        form = Answer.with_initial_data(description=f"**{request.id}** {request}\n\n{text}")
        _note(request, suspend_flow_run(wait_for_input=form, key=f"{KEY}{number}"))
        number += 1


def resume(request: Request) -> None:
    """Resume the run of a decided request, if it is suspended or about to be."""
    with get_client(sync_client=True) as client:
        for _ in range(ASK_SECONDS):
            try:
                run = client.read_flow_run(UUID(request.run))
            except ObjectNotFound:
                return
            if run.state.is_final() or _resume(client, run, request):
                return
            time.sleep(1)


def look_after(pipeline: Pipeline) -> None:
    """Remind of requests, close those that expired, and resume runs whose request is decided."""
    decisions.look_after(pipeline)
    with get_client(sync_client=True) as client:
        for run in list(runs.matching(client, {"state": {"name": {"any_": [SUSPENDED]}}}, pipeline)):
            partition = pipeline.partition(policies.partition_of(pipeline, run))
            request = decisions.of_run(pipeline, partition, Run(str(run.id), engine="prefect"))
            if request and not request.is_pending:
                _resume(client, run, request)


def _resume(client: SyncPrefectClient, run: FlowRun, request: Request) -> bool:
    if run.state.name != SUSPENDED:
        return False
    decision = "approve" if request.state == APPROVED else "reject"
    given: dict[str, Any] = {"decision": decision, "by": request.decided_by, "reason": request.reason or request.state}
    client.resume_flow_run(run.id, run_input=given)
    return True


def _request(pipeline: Pipeline, key: str) -> Request | None:
    run = Run(runtime.flow_run.root_flow_run_id, engine="prefect")
    return decisions.of_run(pipeline, pipeline.partition(key), run)


def _note(request: Request, answer: Answer) -> None:
    """Take an answer of the form over into the table; one that does not count is logged there."""
    decision = APPROVED if answer.decision == "approve" else REJECTED
    try:
        decisions.decide(request.id, decision, answer.by, answer.reason, via="Prefect's form, which has no login")
    except Refused:
        return
