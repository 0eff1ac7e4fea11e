"""Decisions of people, by Temporal's own means: the run waits on the server, for days if need be, and takes no place.

`make approvals` decides in the table ``platform.approvals`` and signals the run. Temporal's UI and command line can
send the update ``decide``; its open-source server has no login, so who decides is what the sender writes. Either way
the table says what holds, and the run reads it.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.exceptions import ApplicationError

from ...platform import decisions, pipelines
from ...platform.decisions import APPROVED, PENDING, REJECTED, Request
from ...platform.errors import Refused
from ...platform.pipelines import Pipeline
from ...platform.runs import Run, run_context
from . import connection, policies

LOOK = {"start_to_close_timeout": timedelta(minutes=2), "schedule_to_close_timeout": policies.QUEUE}
SHORTEST_SECONDS = 1


@dataclass
class Answer:
    """What the update ``decide`` takes. decision: ``approve`` or ``reject``; a rejection needs a reason."""

    decision: str
    by: str
    reason: str = ""


@dataclass
class Seen:
    """A request as its run sees it. seconds: until the run must look again without news: a reminder, or the end."""

    state: str
    waits: bool
    seconds: float


class Held:
    """A workflow that waits for a decision is a subclass of this."""

    def __init__(self) -> None:
        self._has_news = False

    @workflow.signal
    def decided(self) -> None:
        """The table has a decision."""
        self._has_news = True

    @workflow.update
    async def decide(self, answer: Answer) -> str:
        """Decide what the run waits for. Returns what became of the request; an answer that does not count fails."""
        became = await workflow.execute_activity(note_answer, answer, task_queue=policies.task_queue(), **LOOK)
        self._has_news = True
        return became

    async def decision(self, pipeline: Pipeline, key: str) -> str:
        """The decision about what this run has asked: ``approved``, ``rejected`` or ``expired``, once there is one.

        It is ``pending`` in `make run`, which does not wait: the command that decides does what is left.
        """
        while True:
            queue = policies.task_queue()
            seen = await workflow.execute_activity(look, args=[pipeline.name, key], task_queue=queue, **LOOK)
            if seen.state != PENDING or not seen.waits:
                await workflow.wait_condition(workflow.all_handlers_finished)
                return seen.state
            with suppress(TimeoutError):
                await workflow.wait_condition(lambda: self._has_news, timeout=timedelta(seconds=seen.seconds))
            self._has_news = False


@activity.defn(name="look_at_request")
async def look(pipeline: str, key: str) -> Seen:
    """Look at the request of this run; remind of it and close it when it is time."""
    return await asyncio.to_thread(_look, pipelines.get(pipeline), key, _this_run())


def _look(pipeline: Pipeline, key: str, run: Run) -> Seen:
    with run_context(run):
        decisions.look_after(pipeline)
        request = decisions.of_run(pipeline, pipeline.partition(key), run)
        if not request.is_pending:
            decisions.note_delivered(request)
    return Seen(request.state, request.waits, request.seconds_left + SHORTEST_SECONDS)


@activity.defn(name="note_answer")
async def note_answer(answer: Answer) -> str:
    """Note the answer of an update in the table. Raises ApplicationError when it does not count."""
    return await asyncio.to_thread(_note, answer, _this_run())


def _note(answer: Answer, run: Run) -> str:
    wanted = {"approve": APPROVED, "reject": REJECTED}.get(answer.decision)
    own = [each for each in decisions.of_pipeline() if (each.engine, each.run) == run.owner]
    if wanted is None or not own:
        unknown = f"{answer.decision!r} is no decision: write approve or reject"
        problem = "the run has not asked yet" if wanted else unknown
        raise ApplicationError(problem, type="Refused", non_retryable=True)
    via = "Temporal's update, which takes any name"
    try:
        request = decisions.decide(own[-1].id, wanted, answer.by, answer.reason, via)
    except Refused as refusal:
        raise ApplicationError(str(refusal), type="Refused", non_retryable=True) from None
    return f"{request.id} {request}"


def _this_run() -> Run:
    return Run(activity.info().workflow_run_id or "", engine="temporal")


async def tell(request: Request) -> None:
    """Signal the run of a decided request, if it still waits."""
    client = await connection.connect()
    async for run in client.list_workflows(f"RunId = '{request.run}' AND ExecutionStatus = 'Running'"):
        await client.get_workflow_handle(run.id, run_id=run.run_id).signal(Held.decided)


ACTIVITIES = (look, note_answer)
