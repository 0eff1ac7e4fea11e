"""Schedules: ticks of a cron in a time zone, each of which starts the run of one partition."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from .errors import ConfigError

if TYPE_CHECKING:
    from .partitions import Partition
    from .pipelines import Pipeline

# Long enough to meet each change of clocks, and the rarest of usual schedules.
LOOKED_AT = timedelta(days=400)
MOST_TICKS = 3_000
REMEDIES = {
    "hour": 'one tick an hour, such as "10 * * * *"',
    "day": 'one tick a day, such as "0 6 * * *"',
    "week": 'one tick a week, such as "0 6 * * 1"',
    "month": 'one tick a month, such as "0 6 1 * *"',
}


def ticks(cron: str, timezone: str, after: datetime) -> Iterator[datetime]:
    """Ticks of a schedule after an instant, in order, aware. Raises ConfigError when the cron cannot be read."""
    from cronsim import CronSim, CronSimError

    try:
        return iter(CronSim(cron, after.astimezone(ZoneInfo(timezone))))
    except CronSimError as error:
        raise ConfigError(f'schedule.cron "{cron}" is not a cron schedule of five fields ({error})') from None


def previous_tick(cron: str, timezone: str, before: datetime) -> datetime:
    """The last tick that is not after an instant."""
    from cronsim import CronSim

    return next(CronSim(cron, before.astimezone(ZoneInfo(timezone)) + timedelta(minutes=1), reverse=True))


def tick_after(pipeline: Pipeline, partition: Partition) -> datetime | None:
    """The first tick whose run is for a later partition than this one; without partitions the next tick from now on.

    None when the pipeline has no schedule.
    """
    schedule = pipeline.settings.schedule
    if not schedule.cron:
        return None
    for tick in ticks(schedule.cron, schedule.timezone, partition.end or datetime.now(UTC)):
        if partition.start is None or pipeline.due(tick).start > partition.start:
            return tick
    return None


def refuse_unfit(pipeline: Pipeline) -> None:
    """Raise ConfigError when two ticks of the schedule start a run of the same partition, as one would do nothing."""
    schedule = pipeline.settings.schedule
    if not schedule.cron or pipeline.grain not in REMEDIES:
        return
    now = datetime.now(UTC)
    seen: dict[str, datetime] = {}
    for tick in islice(ticks(schedule.cron, schedule.timezone, now), MOST_TICKS):
        if tick - now > LOOKED_AT:
            return
        key = pipeline.due(tick).key
        if key in seen and not _is_repeated_hour(seen[key], tick):
            raise ConfigError(
                f'schedule.cron "{schedule.cron}" of {pipeline.name} ticks more than once for {key}: a run processes '
                f"one {pipeline.grain}, so write {REMEDIES[pipeline.grain]}, in config/pipelines/{pipeline.name}.toml"
            )
        seen[key] = tick


def _is_repeated_hour(first: datetime, second: datetime) -> bool:
    """Whether two ticks have the same local time, once before and once after clocks are turned back."""
    return first.replace(tzinfo=None) == second.replace(tzinfo=None)
