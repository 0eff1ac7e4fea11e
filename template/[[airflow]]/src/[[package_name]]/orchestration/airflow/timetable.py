"""When a pipeline's runs are due, and for which partition: Airflow's partition timetable with the project's calendar.

Airflow's `CronPartitionTimetable` counts its offset in ticks: Monday's run of a weekday schedule would process Friday.
Here `Calendar.due` says which partition a tick is for, and a backfill goes from partition to partition.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import pendulum
from airflow.exceptions import InvalidPartitionKeyError
from airflow.timetables.base import DagRunInfo, TimeRestriction
from airflow.timetables.trigger import CronPartitionTimetable

from ...platform.errors import ConfigError
from ...platform.partitions import Calendar, Grain

NEVER = "0 0 1 1 *"  # Airflow reads a cron in any case


class PartitionTimetable(CronPartitionTimetable):
    """cron: empty when no schedule starts runs. timezone: that of the cron and of the partitions.

    With no time to look back, switching a DAG on runs nothing that is past.
    """

    run_ordering = ("run_after",)  # in the UI; runs of partitions have no data interval

    def __init__(self, grain: str, cron: str, timezone: str) -> None:
        super().__init__(cron or NEVER, timezone=timezone, run_immediately=timedelta(0))
        self.grain, self.cron, self.timezone = str(grain), cron, timezone
        self.calendar = Calendar(Grain(grain), timezone)
        self.can_be_scheduled = bool(cron)
        self.description = self.description if cron else "No schedule: runs are started by hand"

    @property
    def summary(self) -> str:
        return f"{self.cron} {self.timezone}" if self.cron else "no schedule"

    def serialize(self) -> dict[str, Any]:
        return {"grain": self.grain, "cron": self.cron, "timezone": self.timezone}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> PartitionTimetable:
        return cls(**data)

    def next_dagrun_info_v2(
        self, *, last_dagrun_info: DagRunInfo | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        if not self.cron:
            return None
        return super().next_dagrun_info_v2(last_dagrun_info=last_dagrun_info, restriction=restriction)

    def iter_partition_dagrun_infos(self, *, earliest: datetime, latest: datetime) -> Iterable[DagRunInfo]:
        """The runs of a backfill: one for each partition that begins between these times, both included."""
        first, last = self.localize_partition_datetime(earliest), self.localize_partition_datetime(latest)
        partition = self.calendar.containing(first)
        if partition.start is None:
            yield self._backfilled(partition.key, None)
            return
        if partition.start < first:
            partition = self.calendar.following(partition)
        while partition.start <= last:
            yield self._backfilled(partition.key, partition.start)
            partition = self.calendar.following(partition)

    def localize_partition_datetime(self, dt: datetime) -> pendulum.DateTime:
        """As in Airflow: the clock that a time of the API shows is meant in the time zone that partitions begin in."""
        return _utc(dt.replace(tzinfo=self.calendar.zone))

    def _get_partition_info(self, run_date: datetime) -> tuple[pendulum.DateTime | None, str]:
        partition = self.calendar.due(run_date)
        return partition.start and _utc(partition.start), partition.key

    def _decode_partition_date(self, partition_key: str) -> datetime | None:
        try:
            start = self.calendar.parse(partition_key).start
        except ConfigError as error:
            raise InvalidPartitionKeyError(str(error)) from None
        return start and _utc(start)

    def _backfilled(self, key: str, start: datetime | None) -> DagRunInfo:
        # Airflow looks for the schedule's next tick after the newest partition's `run_after`, also where that is of a
        # backfill. From now on it finds none that has passed; from the partition's own time it would run one at once.
        now = pendulum.now("UTC")
        return DagRunInfo(run_after=now, data_interval=None, partition_date=start and _utc(start), partition_key=key)


def _utc(instant: datetime) -> pendulum.DateTime:
    return pendulum.instance(instant).in_timezone("UTC")
