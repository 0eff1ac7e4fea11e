"""What looks after runs while no worker has them in hand, as the service `operations` beside the worker.

Automations on the server tell of runs that miss their SLA, never start, or whose process died or fell silent. Each
starts a flow of this file, which this service runs itself, as every place of the workers may be taken just then. And
runs that wait for input are started again when it is there.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from importlib import import_module
from uuid import UUID

from prefect import flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowFilter, FlowRunFilter
from prefect.client.schemas.objects import FlowRun
from prefect.deployments.runner import EntrypointType
from prefect.events import DeploymentEventTrigger
from prefect.events.schemas.automations import Posture
from prefect.runner import Runner
from prefect.states import Scheduled
from prefect.utilities.urls import url_for

from . import prefect_policies as policies
from .platform import alerts, config, logging

ENDED = {f"prefect.flow-run.{name}" for name in ("Completed", "Failed", "Cancelled")}
HEARTBEAT = "prefect.flow-run.heartbeat"  # of each run, every 30 s
SILENT_SECONDS = 120
CRASH_TOLD_SECONDS = 5  # within which a worker has told of a crash all it has to
REPORT_SECONDS = 300  # a report or restart that takes longer will not come
# The short form would render it as JSON, which an id is not; flows take it as text.
RUN_ID = {"__prefect_kind": "jinja", "template": "{{ flow_run.id }}"}
POLL_SECONDS = 2  # between two looks for reports to run


@flow(name="report_late_run", flow_run_name="late-{run_id}", timeout_seconds=REPORT_SECONDS)
def report_late_run(run_id: str) -> None:
    """Report a run that its SLA has overtaken, unless it has ended meanwhile; it goes on."""
    with get_client(sync_client=True) as client:
        run, pipeline = _run(client, run_id)
    if run.state.is_final():
        return
    seconds = config.load().for_pipeline(pipeline).sla_seconds
    alerts.report(
        "late",
        pipeline=pipeline,
        partition=policies.day_of(pipeline, run).isoformat(),
        reason=f"not published within {seconds:,.0f} s; the run is {run.state.name} and goes on",
        run_id=run_id,
        run_url=url_for(run) or "",
    )


@flow(name="restart_lost_run", flow_run_name="lost-{run_id}", timeout_seconds=REPORT_SECONDS)
def restart_lost_run(run_id: str) -> None:
    """Start a run again whose process has fallen silent with the machine it ran on."""
    with get_client(sync_client=True) as client:
        run, pipeline = _run(client, run_id)
        if run.state.is_running():
            policies.restart_or_report(client, pipeline, run)


@flow(name="restart_crashed_run", flow_run_name="crashed-{run_id}", timeout_seconds=REPORT_SECONDS)
def restart_crashed_run(run_id: str) -> None:
    """Start a run again whose process died; a worker says so twice, and the second time undoes what was done before."""
    time.sleep(CRASH_TOLD_SECONDS)
    with get_client(sync_client=True) as client:
        run, pipeline = _run(client, run_id)
        if run.state.is_crashed():
            policies.restart_or_report(client, pipeline, run)


def _run(client: SyncPrefectClient, run_id: str) -> tuple[FlowRun, str]:
    """The run, and the name of its pipeline."""
    run = client.read_flow_run(UUID(run_id))
    return run, client.read_flow(run.flow_id).name


def late_triggers(pipeline: str) -> list[DeploymentEventTrigger]:
    """One for runs that started and have not ended in time, one for scheduled ones that no worker has started."""
    seconds = config.load().for_pipeline(pipeline).sla_seconds
    started, late = "prefect.flow-run.Running", "prefect.flow-run.Late"
    return [
        _trigger(f"{pipeline} misses its SLA", pipeline, after={started}, expect=ENDED, seconds=seconds),
        _trigger(
            f"{pipeline} does not start",
            pipeline,
            after={late},
            expect={*ENDED, started},
            seconds=seconds,
            tag="auto-scheduled",  # a backfill queues for longer
        ),
    ]


def lost_triggers(pipeline: str) -> list[DeploymentEventTrigger]:
    # Whatever a run does tells that it lives; what ends a stretch of work ends the watch.
    signs = {HEARTBEAT, "prefect.flow-run.Crashed", *ENDED}
    signs |= {f"prefect.flow-run.{name}" for name in (policies.WAITING, policies.RESTARTED)}
    return [_trigger(f"{pipeline} falls silent", pipeline, after={HEARTBEAT}, expect=signs, seconds=SILENT_SECONDS)]


def crash_triggers(pipeline: str) -> list[DeploymentEventTrigger]:
    return [_trigger(f"{pipeline} has crashed", pipeline, expect={"prefect.flow-run.Crashed"})]


def _trigger(
    name: str, pipeline: str, expect: set[str], after: set[str] | None = None, seconds: float = 0, tag: str = ""
) -> DeploymentEventTrigger:
    """For any run of the pipeline: what is expected comes, or, with ``seconds``, has not come that long ``after``."""
    related = [{"prefect.resource.role": "flow", "prefect.resource.name": pipeline}]
    if tag:
        related.append({"prefect.resource.role": "tag", "prefect.resource.id": f"prefect.tag.{tag}"})
    return DeploymentEventTrigger(
        name=name,
        posture=Posture.Proactive if after else Posture.Reactive,
        match={"prefect.resource.id": "prefect.flow-run.*"},
        match_related=related,
        for_each={"prefect.resource.id"},
        after=after or set(),
        expect=expect,
        within=timedelta(seconds=max(seconds, 10) if after else 0),  # Prefect takes no less for what does not come
        parameters={"run_id": RUN_ID},
    )


async def serve(pipelines: list[str]) -> None:
    """Deploy the flows of this file and run them, and wake waiting runs, until the process is ended."""
    runner = Runner(name="operations", pause_on_shutdown=False, query_seconds=POLL_SECONDS)
    watches = {
        report_late_run: late_triggers,
        restart_lost_run: lost_triggers,
        restart_crashed_run: crash_triggers,
    }
    for each, triggers in watches.items():
        watched = [trigger for name in pipelines for trigger in triggers(name)]
        await runner.aadd_flow(each, triggers=watched, entrypoint_type=EntrypointType.MODULE_PATH)
    wakers = [asyncio.create_task(_wake_waiting_runs(name)) for name in pipelines]
    await runner.start()
    for waker in wakers:
        waker.cancel()


async def _wake_waiting_runs(pipeline: str) -> None:
    while True:
        try:
            await asyncio.to_thread(wake_waiting_runs, pipeline)
        except Exception:  # noqa: BLE001  a server that restarts; the next look may succeed
            logging.get_logger().warning("waiting runs not looked at", pipeline=pipeline, exc_info=True)
        await asyncio.sleep(config.load().for_pipeline(pipeline).input_wait.poll_seconds)


def wake_waiting_runs(pipeline: str) -> int:
    """Start the runs whose input has arrived, and return their number."""
    steps = import_module(f"{__package__}.pipelines.{pipeline}.steps")
    waiting = FlowRunFilter.model_validate({"state": {"name": {"any_": [policies.WAITING]}}})
    of_pipeline = FlowFilter.model_validate({"name": {"any_": [pipeline]}})
    woken = 0
    with get_client(sync_client=True) as client:
        for run in client.read_flow_runs(flow_filter=of_pipeline, flow_run_filter=waiting):
            if steps.input_ready(policies.day_of(pipeline, run)):
                now = Scheduled(scheduled_time=datetime.now(UTC), name="InputArrived")
                client.set_flow_run_state(run.id, now)
                woken += 1
    return woken
