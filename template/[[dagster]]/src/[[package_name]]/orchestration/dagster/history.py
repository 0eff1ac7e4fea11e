"""Removes what is older than ``[retention] days``: runs with their events and logs, and ticks of schedules and sensors.

A sensor does it every hour, a stretch of work at a time.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import dagster as dg

from ...platform import config, retention
from .instance import is_in_dagster_plus

LOOK_SECONDS = 3600
WORK_SECONDS = 30  # of one look; Dagster gives up a sensor after 60
PAGE = 100
ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]


@dg.sensor(minimum_interval_seconds=LOOK_SECONDS, default_status=dg.DefaultSensorStatus.RUNNING)
def remove_old_history(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Runs, events, logs and ticks that are older than [retention] in config/ allows."""
    settings = config.load()
    retention.remove_own(settings)
    if is_in_dagster_plus(context.instance):
        return dg.SkipReason("Dagster+ keeps the history, for as long as your plan says")
    before = retention.oldest(settings)
    if before is None:
        return dg.SkipReason("history is kept for ever")
    return dg.SkipReason(f"removed {remove(context.instance, before)} runs that ended before {before:%Y-%m-%d %H:%M}")


def remove(instance: dg.DagsterInstance, before: datetime) -> int:
    """Remove what is older, the oldest first, for `WORK_SECONDS` at most; returns the number of runs.

    Runs that have not ended stay, and so does the run that last materialized an asset: without it the asset would look
    as if it had never been.
    """
    removed, deadline = 0, time.monotonic() + WORK_SECONDS
    for known in instance.all_instigator_state():
        instance.purge_ticks(known.instigator_origin_id, known.selector_id, before.timestamp())
    for run in _old(instance, before, keep=_newest_of_assets(instance)):
        if time.monotonic() > deadline:
            break
        instance.delete_run(run)
        instance.compute_log_manager.delete_logs(prefix=[run])
        _remove_file(instance, run)
        removed += 1
    if folder := os.environ.get("DAGSTER_COMPUTE_LOGS"):  # logs of ticks, and of runs that were deleted in the UI
        unended = dg.RunsFilter(statuses=[each for each in dg.DagsterRunStatus if each not in ENDED])
        retention.remove_files(Path(folder), before, keep={run.run_id for run in instance.get_runs(unended)})
    return removed


def _old(instance: dg.DagsterInstance, before: datetime, keep: set[str]) -> Iterator[str]:
    """Ids of the runs that ended before that instant; the caller deletes each of them."""
    ended = dg.RunsFilter(statuses=ENDED, updated_before=before)
    while True:
        # What is kept comes again on every page.
        page = instance.get_run_records(ended, limit=PAGE + len(keep), order_by="update_timestamp", ascending=True)
        old = [record.dagster_run.run_id for record in page if record.dagster_run.run_id not in keep]
        if not old:
            return
        yield from old


def _newest_of_assets(instance: dg.DagsterInstance) -> set[str]:
    events = instance.get_latest_materialization_events(instance.all_asset_keys()).values()
    return {event.run_id for event in events if event}


def _remove_file(instance: dg.DagsterInstance, run: str) -> None:
    """SQLite has a file of events for each run, which Dagster empties and leaves."""
    # Loads SQLAlchemy, which the definitions do not need.
    from dagster._core.storage.event_log.sqlite import SqliteEventLogStorage

    storage = instance.event_log_storage
    if isinstance(storage, SqliteEventLogStorage):
        for end in ("", "-wal", "-shm"):
            with suppress(FileNotFoundError):
                Path(f"{storage.path_for_shard(run)}{end}").unlink()
