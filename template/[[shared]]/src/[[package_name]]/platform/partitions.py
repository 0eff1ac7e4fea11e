"""Partitions: the pieces a pipeline publishes in, one an hour, a day, a week or a month, or a single one.

A key names a partition everywhere: in commands, folders, logs, tables and every orchestrator. Keys sort by time.

| grain | key | the partition is |
|---|---|---|
| hour | ``2013-01-02T05Z`` | an hour of UTC, so that no hour is missing or doubled when clocks change |
| day | ``2013-01-02`` | a local day of the pipeline's time zone, of 23 or 25 hours when clocks change |
| week | ``2013-01-07`` | a local week, named after its Monday |
| month | ``2013-01`` | a local month |
| none | ``all`` | everything there is |
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from .errors import ConfigError


class Grain(StrEnum):
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    NONE = "none"


ALL = "all"
FORMATS = {Grain.HOUR: "%Y-%m-%dT%HZ", Grain.DAY: "%Y-%m-%d", Grain.WEEK: "%Y-%m-%d", Grain.MONTH: "%Y-%m"}
EXAMPLES = {
    Grain.HOUR: "2013-01-02T05Z (an hour of UTC) or 2013-01-02 (the hours of a day)",
    Grain.DAY: "2013-01-02",
    Grain.WEEK: "2013-01-07, a Monday",
    Grain.MONTH: "2013-01",
    Grain.NONE: ALL,
}
TEXT = re.compile(r"(?P<year>\d{4})-(?P<month>\d{2})(?:-(?P<day>\d{2})(?:T(?P<hour>\d{2})Z)?)?")
MOMENT = timedelta(microseconds=1)


@dataclass(frozen=True)
class Partition:
    """One partition. start, end: its data interval, aware and half open; None when the pipeline has no partitions."""

    key: str
    grain: Grain = Grain.DAY
    start: datetime | None = None
    end: datetime | None = None

    def __str__(self) -> str:
        return self.key

    @property
    def first_date(self) -> date | None:
        """The local date that it begins on."""
        return self.start.date() if self.start else None

    @property
    def column_value(self) -> date | datetime | None:
        """What stands in the partition column: a local date, or for an hour its instant in UTC, without a zone."""
        if self.grain is Grain.HOUR:
            return self.start.astimezone(UTC).replace(tzinfo=None)
        return self.first_date

    def predicate(self, column: str, is_date: bool) -> str:
        """A SQL condition that is true of this partition's rows.

        column: a date, which is local, or a timestamp without zone, which is UTC.
        """
        if self.start is None or self.end is None:
            return "true"
        if is_date:
            last = (self.end - MOMENT).date()
            return f"\"{column}\" BETWEEN DATE '{self.start.date()}' AND DATE '{last}'"
        first, after = (f"{instant.astimezone(UTC):%Y-%m-%d %H:%M:%S}" for instant in (self.start, self.end))
        return f"\"{column}\" >= TIMESTAMP '{first}' AND \"{column}\" < TIMESTAMP '{after}'"


@dataclass(frozen=True)
class Calendar:
    """The partitions of a pipeline: its grain, and the time zone that its days, weeks and months are local to."""

    grain: Grain
    timezone: str = "UTC"

    @property
    def zone(self) -> ZoneInfo:
        """The zone that partitions begin in: hours are those of UTC."""
        return ZoneInfo("UTC" if self.grain is Grain.HOUR else self.timezone)

    def parse(self, key: str) -> Partition:
        """The partition with this key. Raises ConfigError, with an example, when the key is wrong."""
        if self.grain is Grain.NONE and key == ALL:
            return Partition(ALL, Grain.NONE)
        start, _ = self._span(key)
        partition = self.containing(start)
        if partition.key != key:
            raise self._unknown(key)
        return partition

    def containing(self, instant: datetime) -> Partition:
        """The partition that an instant belongs to."""
        if self.grain is Grain.NONE:
            return Partition(ALL, Grain.NONE)
        local = instant.astimezone(self.zone)
        day = local.date()
        if self.grain is Grain.HOUR:
            start = local.replace(minute=0, second=0, microsecond=0)
            return self._named(start, start + timedelta(hours=1))
        if self.grain is Grain.DAY:
            return self._named(self._midnight(day), self._midnight(day + timedelta(days=1)))
        if self.grain is Grain.WEEK:
            monday = day - timedelta(days=day.weekday())
            return self._named(self._midnight(monday), self._midnight(monday + timedelta(days=7)))
        first = day.replace(day=1)
        return self._named(self._midnight(first), self._midnight((first + timedelta(days=32)).replace(day=1)))

    def due(self, tick: datetime) -> Partition:
        """The partition that a run of the schedule is for: the last one that had ended at this tick."""
        current = self.containing(tick)
        return current if current.start is None else self.containing(current.start - MOMENT)

    def following(self, partition: Partition) -> Partition:
        return partition if partition.end is None else self.containing(partition.end)

    def between(self, first: str, last: str) -> list[Partition]:
        """The partitions from the first to the last, both included, in order.

        first, last: keys, or a longer time such as a day of hours or a month of days. Raises ConfigError as `parse`.
        """
        if self.grain is Grain.NONE:
            return [Partition(ALL, Grain.NONE)]
        begin, until = self._span(first)[0], self._span(last)[1]
        if until <= begin:
            raise ConfigError(f"{last} is before {first}: give the earlier one first")
        partitions = [self.containing(begin)]
        while partitions[-1].end < until:
            partitions.append(self.following(partitions[-1]))
        return partitions

    def _span(self, text: str) -> tuple[datetime, datetime]:
        """Start and end of the hour, day or month that a text names."""
        matched = TEXT.fullmatch(text)
        if not matched or self.grain is Grain.NONE:
            raise self._unknown(text)
        year, month, day, hour = (int(part) if part else None for part in matched.groups())
        try:
            if hour is not None:
                start = datetime(year, month, day, hour, tzinfo=UTC)
                return start, start + timedelta(hours=1)
            grain = Grain.MONTH if day is None else Grain.WEEK if self.grain is Grain.WEEK else Grain.DAY
            start = datetime(year, month, day or 1, tzinfo=ZoneInfo(self.timezone))
        except ValueError:
            raise self._unknown(text) from None
        whole = Calendar(grain, self.timezone).containing(start)
        return start, whole.end

    def _unknown(self, text: str) -> ConfigError:
        return ConfigError(f"{text!r} is not the key of a {self.grain} partition: write it as {EXAMPLES[self.grain]}")

    def _midnight(self, day: date) -> datetime:
        return datetime(day.year, day.month, day.day, tzinfo=self.zone)

    def _named(self, start: datetime, end: datetime) -> Partition:
        return Partition(start.strftime(FORMATS[self.grain]), self.grain, start, end)
