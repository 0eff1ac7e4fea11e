"""Schedules: one for each pipeline with a workflow that Temporal schedules, as the configuration says."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from zoneinfo import ZoneInfo

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleCalendarSpec,
    ScheduleRange,
    ScheduleSpec,
    ScheduleUpdate,
)
from temporalio.common import SearchAttributePair, TypedSearchAttributes

from ...platform import config
from ...platform import schedules as platform_schedules
from ...platform.partitions import Grain
from ...platform.pipelines import Pipeline
from . import policies
from .workflows import Loaded

LOOKED_AT = timedelta(days=800)  # holds the next changes of clocks; each deployment looks again
OWNER = "project"  # key of the memo that says whose a schedule is


def is_scheduled(pipeline: Pipeline) -> bool:
    """Whether Temporal has a schedule of this pipeline."""
    return pipeline.settings.orchestrator == "temporal" and bool(pipeline.settings.schedule.cron)


async def deploy(client: Client, loaded: Iterable[Loaded], kept: Iterable[str]) -> None:
    """Make the schedules match the project. kept: pipelines whose schedule stays as it is, if they have one."""
    wanted = {each.pipeline.name: each for each in loaded if is_scheduled(each.pipeline)}
    async for listed in await client.list_schedules():
        owner = await listed.memo_value(OWNER, default="", type_hint=str)
        if owner == policies.task_queue() and listed.id not in wanted and listed.id not in kept:
            await client.get_schedule_handle(listed.id).delete()
    for name, each in wanted.items():
        schedule = schedule_of(each)
        memo = {OWNER: policies.task_queue()}
        try:
            await client.create_schedule(name, schedule, memo=memo)
        except ScheduleAlreadyRunningError:
            await client.get_schedule_handle(name).update(
                lambda now, new=schedule: _changed(now.description.schedule, new)
            )


def _changed(now: Schedule, new: Schedule) -> ScheduleUpdate:
    new.state = now.state  # whether somebody has paused it
    return ScheduleUpdate(new)


def schedule_of(loaded: Loaded) -> Schedule:
    pipeline = loaded.pipeline
    attributes = {policies.PIPELINE: pipeline.name, policies.ENVIRONMENT: config.environment()}
    action = ScheduleActionStartWorkflow(
        pipeline.name,
        id=pipeline.name,  # the server adds the tick
        task_queue=policies.task_queue(),
        typed_search_attributes=TypedSearchAttributes(
            [SearchAttributePair(attribute, value) for attribute, value in attributes.items()]
        ),
    )
    return Schedule(action=action, spec=spec(pipeline), policy=loaded.schedule)


def spec(pipeline: Pipeline) -> ScheduleSpec:
    """When the ticks are: those of the cron, and those that Temporal would leave out when clocks are put forward."""
    schedule = pipeline.settings.schedule
    zone = "UTC" if _is_every_hour(pipeline) else schedule.timezone
    return ScheduleSpec(
        cron_expressions=crons(schedule.cron),
        calendars=[_calendar(tick) for tick in shifted(schedule.cron, zone)],
        time_zone_name=zone,
    )


def crons(cron: str) -> list[str]:
    """The cron in Temporal's terms: of days of the month and of the week, cron means either, and Temporal both."""
    minute, hour, day, month, weekday = cron.split()
    if day.startswith("*") or weekday.startswith("*"):
        return [cron]
    return [f"{minute} {hour} {day} {month} *", f"{minute} {hour} * {month} {weekday}"]


def shifted(cron: str, zone: str) -> list[datetime]:
    """Ticks to come whose local time does not exist on that day, at the time that takes its place."""
    from cronsim import CronSim

    fields, now = CronSim(cron, datetime.now(UTC)), datetime.now(UTC)
    if len(fields.hours) == 24:
        return []
    ticks = takewhile(lambda tick: tick < now + LOOKED_AT, platform_schedules.ticks(cron, zone, now))
    return [tick for tick in ticks if tick.hour not in fields.hours or tick.minute not in fields.minutes]


def _is_every_hour(pipeline: Pipeline) -> bool:
    """Whether it ticks each hour. In local time, Temporal leaves out the hour that repeats when clocks are set back."""
    schedule = pipeline.settings.schedule
    offset = datetime.now(ZoneInfo(schedule.timezone)).utcoffset() or timedelta()
    return pipeline.grain is Grain.HOUR and schedule.cron.split()[1:] == ["*"] * 4 and not offset % timedelta(hours=1)


def _calendar(tick: datetime) -> ScheduleCalendarSpec:
    names = {"year": tick.year, "month": tick.month, "day_of_month": tick.day, "hour": tick.hour, "minute": tick.minute}
    return ScheduleCalendarSpec(
        **{name: [ScheduleRange(value)] for name, value in names.items()}, comment="clocks are put forward"
    )
