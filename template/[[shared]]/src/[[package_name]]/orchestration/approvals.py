"""Decisions from the command line: the table first, then the run that waits is told by its orchestrator's own means."""

from __future__ import annotations

import getpass
import socket
import sys

from .. import orchestration
from ..platform import config, decisions, files, logging, pipelines
from ..platform.decisions import APPROVED, Request
from ..platform.errors import ConfigError
from ..platform.runs import Run, run_context


def decide(request_id: str, decision: str, by: str, reason: str) -> None:
    """Note the decision of a person and tell the run. Raises Refused when it does not count, ConfigError."""
    settings = config.load()
    settings.state.mkdir(parents=True, exist_ok=True)
    with files.open_log(settings.state / "run.log") as log:
        logging.configure(settings, file=log)
        request = decisions.decide(request_id, decision, by or getpass.getuser(), reason, via())
        print(f"{request.id} {request}")
        tell(request)


def via() -> str:
    """How a decision of the command line came: it proves who was logged in on this machine, not who was typing."""
    return f"command line, as {getpass.getuser()} on {socket.gethostname()}"


def look_after() -> None:
    """Remind of requests and close expired ones, for which not every orchestrator has a service on this machine."""
    for pipeline in pipelines.all():
        if pipeline.held_step:
            decisions.look_after(pipeline)


def tell_all() -> None:
    """Tell the runs that could not be told before, such as while the services were down."""
    for request in decisions.of_pipeline():
        if decisions.untold(request) and request.pipeline in pipelines.names():
            tell(request)


def tell(request: Request) -> None:
    """Let what waits for a decided request go on. Services that are down are told later, by `tell_all`."""
    if not request.waits:
        if request.state == APPROVED:
            _promote(request)
    else:
        try:
            orchestration.get(request.engine).decided(request)
        except ConfigError as error:
            later = "the decision is kept, and the next make up or make approvals tells the run"
            print(f"{later}: {error}", file=sys.stderr)
            return
    decisions.note_delivered(request)


def _promote(request: Request) -> None:
    """Do what is left of a run that did not wait: `make run`, and steps in containers, end at the request."""
    pipeline = pipelines.get(request.pipeline)
    with run_context(Run(request.run, url=request.url, engine=request.engine, one_process=True)):
        rows = pipeline.step(pipeline.held_step)(pipeline.partition(request.partition))
    tables = ", ".join(f"{name} {count:,}" for name, count in rows.items())
    print(f"{pipeline.name} {request.partition} is promoted: {tables}")
