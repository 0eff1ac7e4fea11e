"""Which partitions a schedule and a sensor request: each one once, when it is due and its input is there.

The schedule takes the partition of its tick when the input is there at the tick. All others are the sensor's: input
that arrives later, and partitions whose tick passed while nothing was running.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg

from ...platform import late_input, providers, schedules
from ...platform.errors import ConfigError
from ...platform.partitions import Partition
from ...platform.pipelines import Pipeline
from .partitions import PARTITION, argument

# A tick is the schedule's until it is this old and the sensor's from then on, so no partition is requested by both.
SCHEDULE_TAKES = timedelta(minutes=2)
SENSOR = "_wait_for_input"  # ends the name of each pipeline's sensor
RUN_KEY = "dagster/run_key"  # the tag of a run that was requested here


def of_tick(context: dg.ScheduleEvaluationContext, pipeline: Pipeline) -> dg.RunRequest | dg.SkipReason:
    """A run of the partition that this tick is for, when its input is there."""
    tick = context.scheduled_execution_time
    due = pipeline.due(tick)
    if is_late(tick) or not _is_ready(pipeline, due):
        return dg.SkipReason(f"{due} is requested by the sensor once its input is there")
    if argument(due) is None:
        return dg.RunRequest()
    if _was_requested(context.instance, pipeline, due):
        return dg.SkipReason(f"{due} was requested before")
    return _request(pipeline, due.key, due.key)


def since_last_look(
    context: dg.SensorEvaluationContext, pipeline: Pipeline, partitions: dg.PartitionsDefinition | None
) -> dg.SensorResult:
    """Runs of partitions that are due and whose input has arrived since the last look.

    A partition is taken one look after it landed, so that whoever lands it and runs it by hand does not run it twice.
    What is there at the first look is history and left to backfills. A partition is also requested, once, when
    ``input_wait.timeout_seconds`` have passed since its tick without its input, or since its input began to arrive and
    did not become complete: that run fails, which is what tells people. Published partitions whose input has changed
    are requested as ``[late_input]`` says.
    """
    now, tick = datetime.now(UTC), last_tick(pipeline)
    look = _Look.after(context.cursor)
    if look is None:
        reason = "first look: what is there already is left to backfills"
        first = now - providers.HEAD_START if providers.of(pipeline) else now
        return dg.SensorResult(skip_reason=reason, cursor=_Look(first, now, now).cursor)
    due, wait = pipeline.due(tick), pipeline.settings.input_wait
    settling, timeout = timedelta(seconds=wait.poll_seconds), timedelta(seconds=wait.timeout_seconds)
    known = {key: each for key, each in providers.arrivals(pipeline).items() if _is_due(pipeline, partitions, key, due)}
    settled = {key: each.at for key, each in known.items() if each.complete and each.at <= now - settling}
    newly_due = {each.key for each in _due_between(pipeline, look.at - SCHEDULE_TAKES, now - SCHEDULE_TAKES)}
    arrived = {key: at for key, at in settled.items() if at > max(look.first, look.at - settling) or key in newly_due}
    fed = providers.pending(pipeline) if providers.of(pipeline) else {}
    if providers.of(pipeline):  # `platform.published` says what was not worked on, however long nothing looked
        arrived = {key: at for key, at in fed.items() if key in known and (at > look.first or key in newly_due)}
    elif not pipeline.settings.is_landed:  # it is not known when its input arrived
        awaited = _due_between(pipeline, max(look.first, now - timeout - settling), now - SCHEDULE_TAKES)
        arrived = {each.key: each.end or look.at for each in awaited if _is_ready(pipeline, each)}
    new = sorted(key for key, at in arrived.items() if not _has_run(context.instance, pipeline, key, at))
    overdue = {
        each.key
        for each in _due_between(pipeline, max(look.first, look.at - timeout), now - timeout)
        if not _is_ready(pipeline, each)
    }
    overdue |= {
        key
        for key, each in known.items()
        if not each.complete and each.at > look.first and look.at < each.at + timeout <= now
    }
    wanted = [_request(pipeline, key, f"{key} {fed[key]:%Y%m%dT%H%M%S%f}" if key in fed else key) for key in new]
    wanted += [_request(pipeline, key, f"{key} overdue") for key in sorted(overdue - set(new))]
    checked = look.checked
    if now - checked >= timedelta(seconds=pipeline.settings.late_input.check_seconds):
        checked = now
        late = [each for each in late_input.to_republish(pipeline) if each.partition.key not in {*new, *overdue}]
        wanted += [
            _request(pipeline, each.partition.key, each.request)
            for each in late
            if partitions is None or partitions.has_partition_key(each.partition.key)
        ]
    cursor = _Look(look.first, now, checked).cursor
    if not wanted:
        reason = f"nothing new; {len(settled)} partitions are there, {due} was due last"
        return dg.SensorResult(skip_reason=reason, cursor=cursor)
    return dg.SensorResult(run_requests=wanted, cursor=cursor)


def is_late(tick: datetime) -> bool:
    """Whether a tick is the sensor's: the scheduler was down or busy when it came."""
    return datetime.now(UTC) - tick >= SCHEDULE_TAKES


def last_tick(pipeline: Pipeline) -> datetime:
    """The last tick that is the sensor's."""
    schedule = pipeline.settings.schedule
    return schedules.previous_tick(schedule.cron, schedule.timezone, datetime.now(UTC) - SCHEDULE_TAKES)


class _Look:
    """The first look of a sensor, its last one, and its last for late input, which it keeps in its cursor."""

    def __init__(self, first: datetime, at: datetime, checked: datetime) -> None:
        self.first, self.at, self.checked = first, at, checked

    @classmethod
    def after(cls, cursor: str | None) -> _Look | None:
        """None without a cursor, or with one that cannot be read."""
        try:
            kept = {"checked": 0, **json.loads(cursor or "")}
            return cls(*(datetime.fromtimestamp(float(kept[name]), UTC) for name in ("first", "at", "checked")))
        except (ValueError, TypeError, KeyError):
            return None

    @property
    def cursor(self) -> str:
        return json.dumps({name: value.timestamp() for name, value in vars(self).items()})


def _due_between(pipeline: Pipeline, after: datetime, until: datetime) -> Iterator[Partition]:
    """The partitions of the ticks after one instant and until another."""
    schedule = pipeline.settings.schedule
    for tick in schedules.ticks(schedule.cron, schedule.timezone, after):
        if tick > until:
            return
        yield pipeline.due(tick)


def _is_due(pipeline: Pipeline, partitions: dg.PartitionsDefinition | None, key: str, due: Partition) -> bool:
    """Whether a folder's name is the key of a partition that may run."""
    try:
        return pipeline.partition(key).key <= due.key and (partitions is None or partitions.has_partition_key(key))
    except ConfigError:
        return False


def _is_ready(pipeline: Pipeline, partition: Partition) -> bool:
    return pipeline.code.input_ready(partition)


def _request(pipeline: Pipeline, key: str, run_key: str) -> dg.RunRequest:
    return dg.RunRequest(partition_key=argument(pipeline.partition(key)), run_key=run_key)


def _was_requested(instance: dg.DagsterInstance, pipeline: Pipeline, due: Partition) -> bool:
    """Whether schedule or sensor have requested the partition: two ticks stand for one where clocks are turned back."""
    tags = {PARTITION: due.key, RUN_KEY: due.key}
    return instance.get_runs_count(dg.RunsFilter(job_name=pipeline.name, tags=tags)) > 0


def _has_run(instance: dg.DagsterInstance, pipeline: Pipeline, key: str, since: datetime) -> bool:
    """Whether the partition was run since its input landed, whatever became of it, or has succeeded before."""
    tags = {PARTITION: key} if argument(pipeline.partition(key)) else {}
    later = dg.RunsFilter(job_name=pipeline.name, tags=tags, created_after=since)
    if instance.get_runs_count(later) or not tags:
        return instance.get_runs_count(later) > 0
    succeeded = dg.RunsFilter(job_name=pipeline.name, tags=tags, statuses=[dg.DagsterRunStatus.SUCCESS])
    return instance.get_runs_count(succeeded) > 0
