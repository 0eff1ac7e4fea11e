"""Which days a sensor on arriving input requests: each one once, when it is due and its input is there.

A schedule takes the day of its tick when the input is there at the tick. All others are the sensor's: input that
arrives later, and days whose tick passed while nothing was running.
"""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import dagster as dg

from ..platform import config

# A tick is the schedule's until it is this old and the sensor's from then on, so no day is requested by both.
SCHEDULE_TAKES = timedelta(minutes=2)
DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


def is_late(tick: datetime) -> bool:
    """Whether a tick is the sensor's: the scheduler was down or busy when it came."""
    return datetime.now(UTC) - tick >= SCHEDULE_TAKES


def requests(
    context: dg.SensorEvaluationContext, job: str, days: dg.DailyPartitionsDefinition, landed: Mapping[str, float]
) -> dg.SensorResult:
    """Runs of days that are due and have landed since the last look.

    landed: when each day's input was complete, as seconds since 1970. What lies there at the first look is history and
    left to backfills. The day of the last tick is also requested when ``input_wait.timeout_seconds`` have passed
    without its input, once: that run fails, which is what tells people.
    """
    tick, due_day = _last_due()
    there = sorted(day for day in landed if DAY.fullmatch(day) and day <= due_day and days.has_partition_key(day))
    if context.cursor is None:
        cursor = json.dumps({"since": tick.timestamp(), "seen": there})
        return dg.SensorResult(skip_reason=f"first look: {len(there)} days are there already", cursor=cursor)
    last = json.loads(context.cursor)
    new = [day for day in there if day not in last["seen"] and not _has_run(context.instance, job, day, landed[day])]
    wanted = [dg.RunRequest(partition_key=day, run_key=day) for day in new]
    waited = datetime.now(UTC) - tick
    overdue = waited.total_seconds() > config.load().input_wait.timeout_seconds and tick.timestamp() > last["since"]
    if overdue and due_day not in landed:
        wanted.append(dg.RunRequest(partition_key=due_day, run_key=f"{due_day} overdue"))
    cursor = json.dumps({"since": last["since"], "seen": there})
    if not wanted:
        return dg.SensorResult(skip_reason=f"no new day; {len(there)} are there, {due_day} was due last", cursor=cursor)
    return dg.SensorResult(run_requests=wanted, cursor=cursor)


def _last_due() -> tuple[datetime, str]:
    """The last tick that is the sensor's, and the day it stands for, the one before it."""
    schedule = config.load().schedule
    ticks = dg.TimeWindowPartitionsDefinition(
        start="2000-01-01T00:00", fmt="%Y-%m-%dT%H:%M", cron_schedule=schedule.cron, timezone=schedule.timezone
    )
    with dg.partition_loading_context(effective_dt=datetime.now(UTC) - SCHEDULE_TAKES):
        tick = ticks.get_last_partition_window().end
    local = datetime.fromtimestamp(tick.timestamp(), ZoneInfo(schedule.timezone))
    return local, (local.date() - timedelta(days=1)).isoformat()


def _has_run(instance: dg.DagsterInstance, job: str, day: str, landed: float) -> bool:
    """Whether a run was requested for the day since its input landed, whatever became of it."""
    since = datetime.fromtimestamp(landed, UTC)
    runs = dg.RunsFilter(job_name=job, tags={"dagster/partition": day}, created_after=since)
    return instance.get_runs_count(runs) > 0
