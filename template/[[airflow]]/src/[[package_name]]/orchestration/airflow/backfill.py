"""Backfill through Airflow's own, on the services of `make up`.

If a run of a partition is in progress, the command waits for it and does not repeat it. So you can run the command
again after you have interrupted it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import chain
from typing import TYPE_CHECKING
from urllib.parse import quote

from ...platform import config
from ...platform.errors import PermanentError
from .api import UNENDED, Answer, Api
from .partitions import of_run

if TYPE_CHECKING:
    from ...platform.partitions import Partition
    from ...platform.pipelines import Pipeline
    from ..engine import RunState

POLL_SECONDS = 2


def run(api: Api, pipeline: Pipeline, partitions: Sequence[Partition]) -> Iterator[RunState]:
    """Run the partitions, each once; yields each run when it has ended. Raises PermanentError when Airflow refuses."""
    wanted = {partition.key for partition in partitions}
    under_way = {key: run for key, run in _by_partition(api, pipeline, state=UNENDED).items() if key in wanted}
    rest = [partition for partition in partitions if partition.key not in under_way]
    # So many that the warehouse is never idle while one of them waits or starts.
    runs_at_once = 2 * config.load().concurrency.get("warehouse", 1)
    if pipeline.held_step:  # a run that waits for people must not hold up the others
        runs_at_once = max(runs_at_once, len(rest))
    batches = (_create(api, pipeline, stretch, runs_at_once) for stretch in _stretches(pipeline, rest))
    for batch in chain([under_way], batches):
        yield from _as_they_end(api, pipeline, batch, runs_at_once)


def _create(api: Api, pipeline: Pipeline, stretch: Sequence[Partition], runs_at_once: int) -> dict[str, Answer]:
    """Start a backfill of partitions that follow each other, as soon as no other is active; its runs by partition."""
    while active := _active(api, pipeline):
        if active["is_paused"]:
            raise PermanentError(f"backfill {active['id']} of {pipeline.name} is paused: end it at {api.server}")
        time.sleep(POLL_SECONDS)  # Airflow allows one a DAG, and notes its end up to half a minute later
    began = datetime.now(UTC)  # its runs are of this time or later, see `timetable`
    body = {
        "dag_id": pipeline.name,
        "from_date": _clock(stretch[0].start),
        "to_date": _clock(stretch[-1].start),
        "reprocess_behavior": "completed",
        "max_active_runs": runs_at_once,
    }
    api.post("/backfills", body)
    return _by_partition(api, pipeline, run_type="backfill", run_after_gte=began.isoformat())


def _active(api: Api, pipeline: Pipeline) -> Answer | None:
    newest = api.get("/backfills", dag_id=pipeline.name, limit=1, order_by="-id")["backfills"]
    return newest[0] if newest and newest[0]["completed_at"] is None else None


def _as_they_end(api: Api, pipeline: Pipeline, runs: dict[str, Answer], runs_at_once: int) -> Iterator[RunState]:
    pending = {key: run["dag_run_id"] for key, run in sorted(runs.items())}
    while pending:
        # They begin in order, so those that can have ended are among the first.
        for key, run_id in list(pending.items())[: 2 * runs_at_once]:
            run = api.get(f"/dags/{pipeline.name}/dagRuns/{quote(run_id)}")
            if run["state"] not in UNENDED:
                del pending[key]
                yield api.state(pipeline, run)
        if pending:
            time.sleep(POLL_SECONDS)


def _by_partition(api: Api, pipeline: Pipeline, **chosen: object) -> dict[str, Answer]:
    """Runs by the key of their partition; of several for a partition the newest."""
    runs: dict[str, Answer] = {}
    for run in api.dag_runs(pipeline, **chosen):
        key = of_run(pipeline, run["partition_key"], run["conf"], datetime.fromisoformat(run["run_after"])).key
        runs.setdefault(key, run)
    return runs


def _stretches(pipeline: Pipeline, partitions: Sequence[Partition]) -> Iterator[list[Partition]]:
    """The partitions in stretches without a gap: a backfill runs every partition of its time."""
    stretch: list[Partition] = []
    for partition in partitions:
        if stretch and pipeline.calendar.following(stretch[-1]) != partition:
            yield stretch
            stretch = []
        stretch.append(partition)
    if stretch:
        yield stretch


def _clock(start: datetime | None) -> str:
    """A time as Airflow takes the bounds of a backfill: the local clock, written as if it were UTC."""
    return (start or datetime.now(UTC)).replace(tzinfo=UTC).isoformat()
