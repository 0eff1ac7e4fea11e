"""Backfill through the deployment: a run of each day on the workers of `make up`, shown as it ends.

The runs are the server's: when this is interrupted they go on, and the same command finds them again.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from datetime import date
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.sorting import FlowRunSort

from . import prefect_policies as policies
from .platform import config
from .prefect_deployments import BACKFILL

POLL_SECONDS = 1
PAGE = 200  # runs that the server tells of in one answer
UNENDED = ["SCHEDULED", "PENDING", "RUNNING", "PAUSED", "CANCELLING"]


def run(pipeline: str, deployment: str, days: Sequence[date]) -> int:
    """Run the days and wait for them; returns the exit code, 1 when a day was not published."""
    print(f"{pipeline} {days[0]} to {days[-1]} on prefect ({config.load().env})", flush=True)
    with get_client(sync_client=True) as client:
        requested = _request(client, pipeline, deployment, days)
        failed: dict[date, str] = {}
        try:
            for number, (day, ended) in enumerate(_as_they_end(client, requested), start=1):
                if not ended.state.is_completed():
                    failed[day] = _reason(ended)
                seconds = ended.total_run_time.total_seconds()
                print(f"  {day}  {ended.state.name.lower():<10}{seconds:7.1f} s   {number} of {len(days)}", flush=True)
        except KeyboardInterrupt:
            print("\nthe runs go on, and the same command shows them again; cancel them in the UI", file=sys.stderr)
            raise
    print(f"{len(days) - len(failed)} of {len(days)} days published")
    for day, reason in sorted(failed.items()):
        print(f"error: {pipeline} {day}: {reason}", file=sys.stderr)
    if failed:
        print(f"when that is mended: make backfill FROM={days[0]} TO={days[-1]} ONLY_MISSING=1", file=sys.stderr)
    return 1 if failed else 0


def _request(client: SyncPrefectClient, pipeline: str, deployment: str, days: Sequence[date]) -> dict[UUID, date]:
    """The run of each day: the one of a backfill that has not ended yet, else a new one."""
    target = client.read_deployment_by_name(f"{pipeline}/{deployment}")
    ours = {"tags": {"all_": [BACKFILL]}, "deployment_id": {"any_": [target.id]}}
    unended = _runs(client, {**ours, "state": {"type": {"any_": UNENDED}}})
    under_way = {policies.day_of(pipeline, run): run.id for run in unended}
    for day in days:
        if day not in under_way:
            under_way[day] = client.create_flow_run_from_deployment(
                target.id,
                name=f"{pipeline}-{day}",
                parameters={"date": day.isoformat()},
                tags=[BACKFILL],
                work_queue_name=BACKFILL,
            ).id
    return {under_way[day]: day for day in days}


def _as_they_end(client: SyncPrefectClient, requested: dict[UUID, date]) -> Iterator[tuple[date, FlowRun]]:
    pending = dict(requested)
    while pending:
        ids = list(pending)
        for first in range(0, len(ids), PAGE):
            for found in _runs(client, {"id": {"any_": ids[first : first + PAGE]}}):
                if found.state.is_final():
                    yield pending.pop(found.id), found
        if pending:
            time.sleep(POLL_SECONDS)


def _runs(client: SyncPrefectClient, wanted: dict) -> Iterator[FlowRun]:
    chosen, order = FlowRunFilter.model_validate(wanted), FlowRunSort.EXPECTED_START_TIME_ASC
    offset = 0
    while page := client.read_flow_runs(flow_run_filter=chosen, sort=order, limit=PAGE, offset=offset):
        yield from page
        offset += len(page)


def _reason(ended: FlowRun) -> str:
    """What the run says of its end, without Prefect's introduction."""
    return (ended.state.message or ended.state.name).removeprefix("Flow run encountered an exception: ")
