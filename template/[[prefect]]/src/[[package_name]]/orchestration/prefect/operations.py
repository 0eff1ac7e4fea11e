"""The service `operations`: looks after runs that no worker holds.

Automations on the server notice runs that miss their SLA, never start, or whose process died or fell silent. Each
starts a flow of this file, which this service runs itself, as every place of the workers may be taken at that moment.
Runs that wait for input are started again when it is there, runs that wait for a person's decision when it is made. A
partition that another pipeline has published starts a run. Published partitions whose input has changed run again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from prefect import flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.schedules import CronSchedule
from prefect.deployments.runner import EntrypointType
from prefect.events import DeploymentEventTrigger
from prefect.events.schemas.automations import Posture
from prefect.runner import Runner
from prefect.runner.storage import RunnerStorage
from prefect.states import Scheduled

from ...platform import alerts, config, late_input, logging, pipelines, providers, retention
from ...platform.pipelines import Pipeline
from . import approvals, deployments, inputs, policies, runs

ENDED = {f"prefect.flow-run.{name}" for name in ("Completed", "Failed", "Cancelled")}
HEARTBEAT = "prefect.flow-run.heartbeat"  # of each run, every 30 s
SILENT_SECONDS = 120
CRASH_REPORT_SECONDS = 5  # a worker sends all its reports of a crash within this time
REPORT_SECONDS = 300  # a report or restart that takes longer will not come
# The short form would render it as JSON, which an id is not; flows take it as text.
RUN_ID = {"__prefect_kind": "jinja", "template": "{{ flow_run.id }}"}
POLL_SECONDS = 2  # between two looks for reports to run


@flow(name="report_late_run", flow_run_name="late-{run_id}", timeout_seconds=REPORT_SECONDS)
def report_late_run(run_id: str) -> None:
    """Report a run that has missed its SLA, unless it has ended meanwhile. The run continues."""
    with get_client(sync_client=True) as client:
        run, pipeline = _run(client, run_id)
    if run.state.is_final():
        return
    seconds = pipeline.settings.sla_seconds
    alerts.report(
        alerts.Incident(
            kind="late",
            pipeline=pipeline.name,
            partition=policies.partition_of(pipeline, run),
            reason=f"not published within {seconds:,.0f} s; the run is {run.state.name} and continues",
            run=policies.run_of(run),
        )
    )


@flow(name="restart_lost_run", flow_run_name="lost-{run_id}", timeout_seconds=REPORT_SECONDS)
def restart_lost_run(run_id: str) -> None:
    """Restart a run whose process sends no more heartbeats, because its machine died."""
    with get_client(sync_client=True) as client:
        run, pipeline = _run(client, run_id)
        if run.state.is_running():
            policies.restart_or_report(client, pipeline, run)


@flow(name="restart_crashed_run", flow_run_name="crashed-{run_id}", timeout_seconds=REPORT_SECONDS)
def restart_crashed_run(run_id: str) -> None:
    """Restart a run whose process died. A worker reports a crash twice; the second report undoes an earlier restart."""
    time.sleep(CRASH_REPORT_SECONDS)
    with get_client(sync_client=True) as client:
        run, pipeline = _run(client, run_id)
        if run.state.is_crashed():
            policies.restart_or_report(client, pipeline, run)


def _run(client: SyncPrefectClient, run_id: str) -> tuple[FlowRun, Pipeline]:
    run = client.read_flow_run(UUID(run_id))
    return run, pipelines.get(client.read_flow(run.flow_id).name)


def late_triggers(pipeline: Pipeline) -> list[DeploymentEventTrigger]:
    """One for runs that started and have not ended in time, one for scheduled ones that no worker has started."""
    seconds, name = pipeline.settings.sla_seconds, pipeline.name
    started, late = "prefect.flow-run.Running", "prefect.flow-run.Late"
    return [
        _trigger(f"{name} misses its SLA", name, after={started}, expect=ENDED, seconds=seconds),
        _trigger(
            f"{name} does not start",
            name,
            after={late},
            expect={*ENDED, started},
            seconds=seconds,
            tag="auto-scheduled",  # a backfill queues for longer
        ),
    ]


def lost_triggers(pipeline: Pipeline) -> list[DeploymentEventTrigger]:
    # Every event of a run shows that it is alive. An event that ends a stretch of work ends the watch.
    signs = {HEARTBEAT, "prefect.flow-run.Crashed", *ENDED}
    signs |= {f"prefect.flow-run.{state}" for state in (policies.WAITING, policies.RESTARTED, approvals.SUSPENDED)}
    name = pipeline.name
    return [_trigger(f"{name} falls silent", name, after={HEARTBEAT}, expect=signs, seconds=SILENT_SECONDS)]


def crash_triggers(pipeline: Pipeline) -> list[DeploymentEventTrigger]:
    return [_trigger(f"{pipeline.name} has crashed", pipeline.name, expect={"prefect.flow-run.Crashed"})]


def _trigger(
    name: str, flow: str, expect: set[str], after: set[str] | None = None, seconds: float = 0, tag: str = ""
) -> DeploymentEventTrigger:
    """For any run of the flow: what is expected comes, or, with ``seconds``, has not come that long ``after``."""
    related = [{"prefect.resource.role": "flow", "prefect.resource.name": flow}]
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


@flow(name="look_after_runs", timeout_seconds=REPORT_SECONDS)
def look_after_runs() -> None:
    """All that `serve` looks for again and again, once. A schedule starts it where that service does not run."""
    for pipeline in _watched():
        for what, looks, _ in _looks(pipeline):
            _look(what, pipeline, looks)


WATCHES = {report_late_run: late_triggers, restart_lost_run: lost_triggers, restart_crashed_run: crash_triggers}


def _watched() -> list[Pipeline]:
    return [pipeline for pipeline in pipelines.all() if deployments.has_flow(pipeline)]


def deploy(storage: RunnerStorage, cron: str, **options: Any) -> None:
    """Deploy the flows of this file to a work pool, where nothing of the project's own keeps running.

    storage: how a run gets the code; cron: when `look_after_runs` runs; options: of each deployment.
    """
    for each in (*WATCHES, look_after_runs):
        watch = WATCHES.get(each)
        triggers = [trigger for pipeline in _watched() for trigger in watch(pipeline)] if watch else []
        stored = each.from_source(storage, f"{__name__}.{each.fn.__name__}")
        deployment = stored.to_deployment(f"operations-{deployments.name()}", triggers=triggers, **options)
        deployment.apply(schedules=[] if each in WATCHES else [{"schedule": CronSchedule(cron=cron), "active": True}])


async def serve() -> None:
    """Deploy the flows of this file and run them, wake waiting runs, and remove old files, until the process is
    ended."""
    runner = Runner(name="operations", pause_on_shutdown=False, query_seconds=POLL_SECONDS)
    watched = _watched()
    for each, triggers in WATCHES.items():
        # This replaces all automations that the deployment had, those of pipelines that are gone, too.
        of_all = [trigger for pipeline in watched for trigger in triggers(pipeline)]
        await runner.aadd_flow(each, triggers=of_all, entrypoint_type=EntrypointType.MODULE_PATH)
    beside = [asyncio.create_task(_keep_looking(pipeline, *look)) for pipeline in watched for look in _looks(pipeline)]
    beside.append(asyncio.create_task(_remove_old_files()))
    await runner.start()
    for task in beside:
        task.cancel()


async def _remove_old_files() -> None:
    """What the platform keeps beside Prefect's database, which the server looks after."""
    while True:
        await asyncio.to_thread(retention.remove_own, config.load())
        await asyncio.sleep(retention.CHECK_SECONDS)


Look = Callable[[Pipeline], object]


def _looks(pipeline: Pipeline) -> Iterator[tuple[str, Sequence[Look], float]]:
    """All that is looked for again and again for a pipeline: what, by what, and the seconds between two looks."""
    settings = pipeline.settings
    arrivals = (wake_waiting_runs, start_runs_of_published_input)
    yield "input", arrivals, settings.input_wait.poll_seconds
    if pipeline.held_step:
        yield "decisions", [approvals.look_after], settings.approval.poll_seconds
    if late_input.is_watched(pipeline, "prefect"):
        yield "late input", [inputs.look], settings.late_input.check_seconds


def _look(what: str, pipeline: Pipeline, looks: Sequence[Look]) -> None:
    try:
        for look in looks:
            look(pipeline)
    except Exception as error:  # noqa: BLE001  a server that restarts, a warehouse that does not answer
        reason = f"{type(error).__name__}: {error}"
        logging.get_logger().warning(f"cannot look for {what}", pipeline=pipeline.name, reason=reason)


async def _keep_looking(pipeline: Pipeline, what: str, looks: Sequence[Look], seconds: float) -> None:
    while True:
        await asyncio.to_thread(_look, what, pipeline, looks)
        await asyncio.sleep(seconds)


def wake_waiting_runs(pipeline: Pipeline) -> int:
    """Start the runs whose input has arrived, and return their number."""
    woken = 0
    with get_client(sync_client=True) as client:
        for run in list(runs.matching(client, {"state": {"name": {"any_": [policies.WAITING]}}}, pipeline)):
            if pipeline.code.input_ready(pipeline.partition(policies.partition_of(pipeline, run))):
                now = Scheduled(scheduled_time=datetime.now(UTC), name="InputArrived")
                client.set_flow_run_state(run.id, now)
                woken += 1
    return woken


def start_runs_of_published_input(pipeline: Pipeline) -> int:
    """Ask for a run of the next unpublished partition whose input is a table that is published. Returns 1, or 0.

    One after the other, in order, as the model of a partition is judged by the one before.

    What was published long before the pipeline was deployed is left to backfills. The key of a run names the partition
    and the publication, and the server starts one run of each key, however often it is asked.
    """
    if pipeline.settings.orchestrator != "prefect" or not providers.of(pipeline):
        return 0
    pending = providers.pending(pipeline)
    if not pending:
        return 0
    with get_client(sync_client=True) as client:
        deployment = client.read_deployment_by_name(f"{pipeline.name}/{deployments.name()}")
        ours = {"deployment_id": {"any_": [deployment.id]}}
        unended = list(runs.matching(client, {**ours, "state": {"type": {"any_": runs.UNENDED}}}, pipeline))
        if any(not run.auto_scheduled for run in unended):
            return 0
        under_way = {policies.partition_of(pipeline, run) for run in unended}
        for key, at in sorted(pending.items()):
            if at > deployment.created - providers.HEAD_START and key not in under_way:
                run = client.create_flow_run_from_deployment(
                    deployment.id,
                    name=f"{pipeline.name}-{key}",
                    parameters={"partition": key},
                    idempotency_key=f"{pipeline.name} {key} {at:%Y%m%dT%H%M%S%f}",
                )
                if not (run.state and run.state.is_final()):  # else it has failed before
                    return 1
    return 0
