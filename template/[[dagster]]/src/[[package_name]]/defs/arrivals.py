"""Which days a sensor on arriving input requests: each one once, when it is due and its input is there.

A schedule takes the day of its tick when the input is there at the tick. All others are the sensor's: input that
arrives later, and days whose tick passed while nothing was running.
"""

import json
import re
import time
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import dagster as dg

from ..platform import config

# A tick is the schedule's until it is this old and the sensor's from then on, so no day is requested by both.
SCHEDULE_TAKES = timedelta(minutes=2)
DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


def is_late(tick: datetime) -> bool:
    """Whether a tick is the sensor's: the scheduler was down or busy when it came."""
    return datetime.now(UTC) - tick >= SCHEDULE_TAKES


@dataclass
class Arrived:
    """By day, in seconds since 1970: when its input was complete, or last changed where it is not complete yet."""

    landed: dict[str, float]
    arriving: dict[str, float]


def in_folder(landing: Path, marker: str) -> Arrived:
    """Days that have a folder of their own in the landing folder; the marker is the file that makes one complete."""
    folders = [path for path in landing.iterdir() if path.is_dir()] if landing.is_dir() else []
    landed = {path.name: (path / marker).stat().st_ctime for path in folders if (path / marker).exists()}
    arriving = {path.name: path.stat().st_mtime for path in folders if path.name not in landed}
    return Arrived(landed, arriving)


def requests(
    context: dg.SensorEvaluationContext, pipeline: str, days: dg.DailyPartitionsDefinition, arrived: Arrived
) -> dg.SensorResult:
    """Runs of days that are due and have landed since the last look.

    A day is taken one look after it landed, so that whoever lands a day and runs it by hand does not run it twice. What
    lies there at the first look is history and left to backfills. The day of the last tick is also requested when
    ``input_wait.timeout_seconds`` have passed without its input, and so is a day whose input has begun to arrive and
    did not change for so long, once: that run fails, which is what tells people.
    """
    tick, due_day = last_due(pipeline)
    landed, arriving = arrived.landed, arrived.arriving
    wait, now = config.load().for_pipeline(pipeline).input_wait, time.time()
    there = sorted(day for day in landed if _is_due(day, due_day, days))
    if context.cursor is None:
        cursor = json.dumps({"since": tick.timestamp(), "unfinished": sorted(arriving), "seen": there})
        return dg.SensorResult(skip_reason=f"first look: {len(there)} days are there already", cursor=cursor)
    last = json.loads(context.cursor)
    unfinished = last.get("unfinished", sorted(arriving))
    awaited = {day: arriving[day] for day in arriving if day not in unfinished and _is_due(day, due_day, days)}
    if tick.timestamp() > last["since"] and due_day not in landed:
        awaited[due_day] = max(tick.timestamp(), awaited.get(due_day, 0))
    settled = [day for day in there if day not in last["seen"] and now - landed[day] >= wait.poll_seconds]
    new = [day for day in settled if not _has_run(context.instance, pipeline, day, landed[day])]
    overdue = sorted(day for day, since in awaited.items() if now - since > wait.timeout_seconds)
    wanted = [dg.RunRequest(partition_key=day, run_key=day) for day in new]
    wanted += [dg.RunRequest(partition_key=day, run_key=f"{day} overdue") for day in overdue]
    seen = [day for day in there if day in last["seen"] or day in settled]
    cursor = json.dumps({"since": last["since"], "unfinished": unfinished, "seen": seen})
    if not wanted:
        reason = f"no new day; {len(there)} are there, {len(awaited)} awaited, {due_day} was due last"
        return dg.SensorResult(skip_reason=reason, cursor=cursor)
    return dg.SensorResult(run_requests=wanted, cursor=cursor)


def _is_due(day: str, due_day: str, days: dg.DailyPartitionsDefinition) -> bool:
    return bool(DAY.fullmatch(day)) and day <= due_day and days.has_partition_key(day)


def day_of(pipeline: str, tick: datetime) -> date:
    """The day that the run of a tick processes: the one before it, in the time zone of the schedule."""
    zone = ZoneInfo(config.load().for_pipeline(pipeline).schedule.timezone)
    return tick.astimezone(zone).date() - timedelta(days=1)


def last_due(pipeline: str) -> tuple[datetime, str]:
    """The last tick that is the sensor's, and the day it stands for, the one before it."""
    schedule = config.load().for_pipeline(pipeline).schedule
    ticks = dg.TimeWindowPartitionsDefinition(
        start="2000-01-01T00:00", fmt="%Y-%m-%dT%H:%M", cron_schedule=schedule.cron, timezone=schedule.timezone
    )
    with dg.partition_loading_context(effective_dt=datetime.now(UTC) - SCHEDULE_TAKES):
        tick = ticks.get_last_partition_window().end
    return tick, day_of(pipeline, tick).isoformat()


def _has_run(instance: dg.DagsterInstance, job: str, day: str, landed: float) -> bool:
    """Whether a run was requested for the day since its input landed, whatever became of it."""
    since = datetime.fromtimestamp(landed, UTC)
    runs = dg.RunsFilter(job_name=job, tags={"dagster/partition": day}, created_after=since)
    return instance.get_runs_count(runs) > 0
