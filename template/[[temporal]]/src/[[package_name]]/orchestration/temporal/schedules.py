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
from temporalio.service import RPCError, RPCStatusCode

from ...platform import config
from ...platform import schedules as platform_schedules
from ...platform.partitions import Grain
from ...platform.pipelines import Pipeline
from . import policies
from .workflows import Loaded

LOOKED_AT = timedelta(days=800)  # for changes of clocks; each deployment looks again
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
            await _delete(client, listed.id)
    for name, each in wanted.items():
        schedule = schedule_of(each)
        memo = {OWNER: policies.task_queue()}
        try:
            await client.create_schedule(name, schedule, memo=memo)
        except ScheduleAlreadyRunningError:
            await client.get_schedule_handle(name).update(
                lambda now, new=schedule: _changed(now.description.schedule, new)
            )


async def _delete(client: Client, name: str) -> None:
    try:
        await client.get_schedule_handle(name).delete()
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:  # the server's list is a moment behind
            raise


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
    """When the ticks are: as the cron says, each once, also when clocks change."""
    schedule = pipeline.settings.schedule
    zone = "UTC" if _is_every_hour(pipeline) else schedule.timezone
    skipped, instead = moved(schedule.cron, zone)
    return ScheduleSpec(
        cron_expressions=crons(schedule.cron),
        calendars=[_calendar(tick) for tick in instead],
        skip=[_calendar(tick) for tick in skipped],
        time_zone_name=zone,
    )


def crons(cron: str) -> list[str]:
    """The cron in Temporal's terms: of days of the month and of the week, cron means either, and Temporal both."""
    minute, hour, day, month, weekday = cron.split()
    if day.startswith("*") or weekday.startswith("*"):
        return [cron]
    return [f"{minute} {hour} {day} {month} *", f"{minute} {hour} * {month} {weekday}"]


def moved(cron: str, zone: str) -> tuple[list[datetime], list[datetime]]:
    """Ticks to come at a local time that clocks leave out or repeat that day, and the times that take their place.

    Temporal has no tick at a time that is left out, and may have two at one that is repeated. They come when the clocks
    have changed.
    """
    from cronsim import CronSim

    fields, now = CronSim(cron, datetime.now(UTC)), datetime.now(UTC)
    skipped: list[datetime] = []
    instead: list[datetime] = []
    if len(fields.hours) == 24:
        return skipped, instead
    for tick in takewhile(lambda tick: tick < now + LOOKED_AT, platform_schedules.ticks(cron, zone, now)):
        if _is_repeated(tick):
            skipped.append(tick)
            while _is_repeated(tick):
                tick += timedelta(minutes=1)  # of the clock
            instead.append(tick)
        elif tick.hour not in fields.hours or tick.minute not in fields.minutes:
            instead.append(tick)
    return skipped, instead


def _is_repeated(tick: datetime) -> bool:
    """Whether its local time comes twice on that day."""
    return tick.replace(fold=0).utcoffset() > tick.replace(fold=1).utcoffset()


def _is_every_hour(pipeline: Pipeline) -> bool:
    """Whether it ticks each hour. In local time, Temporal leaves out the hour that repeats when clocks are set back."""
    schedule = pipeline.settings.schedule
    offset = datetime.now(ZoneInfo(schedule.timezone)).utcoffset() or timedelta()
    return pipeline.grain is Grain.HOUR and schedule.cron.split()[1:] == ["*"] * 4 and not offset % timedelta(hours=1)


def _calendar(tick: datetime) -> ScheduleCalendarSpec:
    names = {"year": tick.year, "month": tick.month, "day_of_month": tick.day, "hour": tick.hour, "minute": tick.minute}
    return ScheduleCalendarSpec(
        **{name: [ScheduleRange(value)] for name, value in names.items()}, comment="clocks change"
    )
