"""Partitions of a pipeline as Dagster's own types; their keys are those of `platform.partitions`."""

from __future__ import annotations

import dagster as dg

from ...platform.partitions import ALL, FORMATS, Grain, Partition
from ...platform.pipelines import Pipeline

PARTITION = "dagster/partition"  # the tag of a run


def partitions(pipeline: Pipeline, start: str) -> dg.TimeWindowPartitionsDefinition | None:
    """The partitions of a pipeline from a date on, such as ``2013-01-01``; None when it has none."""
    if pipeline.grain is Grain.NONE:
        return None
    zone = pipeline.settings.schedule.timezone
    first = pipeline.calendar.between(start, start)[0].key
    if pipeline.grain is Grain.HOUR:
        return dg.TimeWindowPartitionsDefinition(
            start=first, fmt=FORMATS[Grain.HOUR], cron_schedule="0 * * * *", timezone="UTC"
        )
    if pipeline.grain is Grain.DAY:
        return dg.DailyPartitionsDefinition(start_date=first, timezone=zone)
    if pipeline.grain is Grain.WEEK:
        return dg.WeeklyPartitionsDefinition(start_date=first, timezone=zone, day_offset=1)
    return dg.MonthlyPartitionsDefinition(start_date=first, timezone=zone, fmt=FORMATS[Grain.MONTH])


def key_of(run: dg.DagsterRun) -> str:
    """Key of the partition that a run processes."""
    return run.tags.get(PARTITION, ALL)


def argument(partition: Partition) -> str | None:
    """The key as Dagster's functions take it: None for a job without partitions."""
    return None if partition.start is None else partition.key
