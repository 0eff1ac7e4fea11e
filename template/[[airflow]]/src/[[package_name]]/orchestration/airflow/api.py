"""Airflow's REST API at the server of `make up`: what it knows of runs, and the requests of a backfill."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx

from ...platform import pipelines
from ...platform.decisions import APPROVED
from ...platform.errors import ConfigError, PermanentError
from ..engine import RunState
from .partitions import of_run

if TYPE_CHECKING:
    from ...platform.decisions import Request
    from ...platform.pipelines import Pipeline
    from ..engine import Engine

RECONNECTIONS = 6  # a quarter of a minute in all: a server that is started again needs that
LOCKED_SECONDS = 60  # to try again while SQLite, which has one writer, is locked
ASK_SECONDS = 60  # for a task that is about to ask for a decision
DECIDE = "decide"  # the task that does, and what it may be answered
APPROVE, REJECT = "Approve", "Reject"
UNENDED = ("queued", "running")
WAITING = ("up_for_reschedule", "awaiting_input")  # states of a task
PAGE = 100  # the most runs that the server puts into one answer

Answer = dict[str, Any]


@contextmanager
def connect(engine: Engine) -> Iterator[Api]:
    """The API of the services that are up. Raises ConfigError when they are not, PermanentError when they go away."""
    server = f"http://127.0.0.1:{engine.port}"
    transport = httpx.HTTPTransport(retries=RECONNECTIONS)
    begun = False
    with httpx.Client(base_url=f"{server}/api/v2", timeout=60, transport=transport) as http:
        try:
            token = http.get(f"{server}/auth/token").raise_for_status().json()["access_token"]
            http.headers["Authorization"] = f"Bearer {token}"
            begun = True
            yield Api(http, server)
        except httpx.TransportError:
            if not begun:
                raise ConfigError(f"Airflow does not answer at {server}: start it with make up") from None
            raise PermanentError(
                f"Airflow does not answer at {server} any more; runs that have started continue"
            ) from None


class Api:
    def __init__(self, http: httpx.Client, server: str) -> None:
        self.http, self.server = http, server

    def get(self, path: str, **parameters: Any) -> Any:
        """Raises PermanentError as `post`."""
        return _content(self.http.get(path, params=parameters))

    def post(self, path: str, body: Answer) -> Any:
        """Raises PermanentError, with Airflow's own reason, when it refuses."""
        for _ in range(LOCKED_SECONDS):
            answer = self.http.post(path, json=body)
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                break
            time.sleep(1)
        return _content(answer)

    def answer(self, request: Request) -> None:
        """Answer the task that waits for a decision; nothing where it has been answered, or its run has ended.

        A decision may come before the task has asked: then this waits for it.
        """
        run = f"/dags/{request.pipeline}/dagRuns/{quote(request.run)}"
        option = APPROVE if request.state == APPROVED else REJECT
        body = {"chosen_options": [option], "params_input": {"reason": request.reason}}
        for _ in range(ASK_SECONDS):
            answer = self.http.patch(f"{run}/taskInstances/{DECIDE}/-1/hitlDetails", json=body)
            if answer.status_code == httpx.codes.CONFLICT:
                return
            if answer.status_code == httpx.codes.NOT_FOUND:
                known = self.http.get(run)
                if known.status_code == httpx.codes.NOT_FOUND or _content(known)["state"] not in UNENDED:
                    return
            elif not answer.is_server_error:  # SQLite, which has one writer, may be locked
                _content(answer)
                return
            time.sleep(1)
        where = self.url_of(request.pipeline, request.run)
        raise PermanentError(f"Airflow's run {request.run} does not ask for the decision; see {where}")

    def dag_runs(self, pipeline: Pipeline, **chosen: Any) -> Iterator[Answer]:
        """Runs of a pipeline as the server describes them, the newest first."""
        offset, total = 0, 1
        while offset < total:
            newest_first = {"order_by": "-run_after", "limit": PAGE, "offset": offset}
            page = self.get(f"/dags/{pipeline.name}/dagRuns", **newest_first, **chosen)
            yield from page["dag_runs"]
            offset, total = offset + PAGE, page["total_entries"]

    def newest(self, pipeline: Pipeline, limit: int) -> list[RunState]:
        """The newest runs of a pipeline, the newest first."""
        page = self.get(f"/dags/{pipeline.name}/dagRuns", order_by="-run_after", limit=limit)
        return [self.state(pipeline, run) for run in page["dag_runs"]]

    def state(self, pipeline: Pipeline, run: Answer) -> RunState:
        state, reason = run["state"], ""
        if state in ("running", "failed", "success"):
            path = f"/dags/{pipeline.name}/dagRuns/{quote(run['dag_run_id'])}/taskInstances"
            tasks = self.get(path)["task_instances"]
            if state == "running" and any(task["state"] in WAITING for task in tasks):
                state = "waiting"
            # What follows a decision is skipped, too, unless it was approved.
            if state == "success" and _is_skipped(tasks, pipeline.asking_step or pipeline.steps[-1]):
                state, reason = "skipped", f"another orchestrator has the partition, see {self.url(run)}"
            if state == "failed":
                failed = ", ".join(task["task_id"] for task in tasks if task["state"] == "failed")
                reason = f"{failed or 'the run'} failed, see {self.url(run)}"
        return RunState(
            id=run["dag_run_id"],
            pipeline=pipeline.name,
            partition=of_run(pipeline, run["partition_key"], run["conf"], _time(run["run_after"])).key,
            state=state,
            started=_time(run["start_date"]),
            ended=_time(run["end_date"]),
            reason=reason,
            url=self.url(run),
        )

    def url(self, run: Answer) -> str:
        return self.url_of(run["dag_id"], run["dag_run_id"])

    def url_of(self, dag_id: str, run_id: str) -> str:
        return f"{self.server}/dags/{dag_id}/runs/{quote(run_id)}"

    def problems(self) -> list[str]:
        """Files in dags/ that cannot be loaded, and pipelines that nothing runs."""
        errors = self.get("/importErrors", limit=PAGE)["import_errors"]
        sentences = []
        for error in errors:
            file, reason = error["filename"].rpartition("/dags/")[2], error["stack_trace"].strip().splitlines()[-1]
            sentences.append(f"dags/{file} cannot be loaded: {reason}")
        if not errors:
            known = {dag["dag_id"] for dag in self.get("/dags", limit=PAGE)["dags"]}
            sentences += [
                f"dags/ has no DAG {pipeline.name}, so Airflow does not run this pipeline"
                for pipeline in pipelines.all()
                if pipeline.settings.orchestrator == "airflow" and pipeline.name not in known
            ]
        return sentences


def _content(answer: httpx.Response) -> Any:
    if answer.is_error:
        is_json = "json" in answer.headers.get("content-type", "")
        reason = answer.json().get("detail") if is_json else answer.text
        raise PermanentError(f"Airflow refuses: {reason} ({answer.status_code})")
    return answer.json()


def _is_skipped(tasks: list[Answer], step: str) -> bool:
    """Whether the task of this step was skipped."""
    return any(task["task_id"] == step and task["state"] == "skipped" for task in tasks)


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
