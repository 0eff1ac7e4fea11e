"""What the configuration says of a pipeline, as Dagster takes it: retries, pool, longest run, freshness."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from typing import Any

import dagster as dg

from ...platform import config, schedules
from ...platform.pipelines import Pipeline
from . import logs

POOL = "warehouse"  # a name in [concurrency]
ONE_AT_A_TIME = "one_at_a_time"  # runs with the same value of this tag take turns, see dagster.yaml
STEP = "step"  # the tag of an op that names the step it runs
TICKS = 400  # enough to meet the longest gap of a schedule: weekends, holidays in a cron, changes of clocks


class ConfiguredRetries(dg.RetryPolicy):
    """Delays as ``[retries]`` says; Dagster's own backoff has a fixed factor and no cap."""

    def __new__(cls, retries: config.Retries) -> ConfiguredRetries:
        policy = super().__new__(
            cls,
            max_retries=retries.attempts,
            delay=retries.first_delay_seconds,
            backoff=dg.Backoff.EXPONENTIAL,
            jitter=dg.Jitter.PLUS_MINUS,
        )
        policy.retries = retries
        return policy

    def calculate_delay(self, attempt_num: int) -> float:
        return self.retries.delay(attempt_num)


def of_step(pipeline: Pipeline, step: str) -> dict[str, Any]:
    """Arguments of the asset or check that runs a step."""
    settings = config.load().for_step(pipeline.name, step)
    return {"retry_policy": ConfiguredRetries(settings.retries), "pool": POOL, "op_tags": {STEP: step}}


def of_op(pipeline: Pipeline, step: str) -> dict[str, Any]:
    """Arguments of the op that runs a step within the graph of an asset."""
    arguments = of_step(pipeline, step)
    return {"name": f"{pipeline.name}__{step}", "tags": arguments.pop("op_tags"), **arguments}


def of_runs(pipeline: Pipeline, partitions: dg.PartitionsDefinition | None) -> dict[str, Any]:
    """Arguments of the job: the logger of its runs, and their tags.

    A run is ended when it takes longer than all attempts of its steps may. Two runs of one partition take turns.
    """

    def tags(key: str) -> dict[str, str]:
        return {"dagster/max_runtime": str(_longest_seconds(pipeline)), ONE_AT_A_TIME: f"{pipeline.name} {key}"}

    if partitions is None:
        return {"config": logs.CONSOLE, "tags": tags(pipeline.due().key)}
    return {
        "partitions_def": partitions,
        "config": dg.PartitionedConfig(
            partitions_def=partitions,
            run_config_for_partition_key_fn=lambda _: logs.CONSOLE,
            tags_for_partition_key_fn=tags,
        ),
    }


def is_scheduled(pipeline: Pipeline) -> bool:
    """Whether it has a schedule, and Dagster is the orchestrator that its configuration names."""
    settings = pipeline.settings
    return bool(settings.schedule.cron) and settings.orchestrator == "dagster"


def freshness(pipeline: Pipeline) -> dg.FreshnessPolicy | None:
    """Published tables are stale once nothing was published for the longest gap of the schedule and the SLA."""
    if not is_scheduled(pipeline):
        return None
    schedule, now = pipeline.settings.schedule, datetime.now(UTC)
    ticks = [tick.astimezone(UTC) for tick in islice(schedules.ticks(schedule.cron, schedule.timezone, now), TICKS)]
    longest = max((later - earlier for earlier, later in pairwise(ticks)), default=timedelta(days=366))
    return dg.FreshnessPolicy.time_window(fail_window=longest + timedelta(seconds=pipeline.settings.sla_seconds))


def _longest_seconds(pipeline: Pipeline) -> int:
    longest = 0.0
    for step in pipeline.steps:
        settings = config.load().for_step(pipeline.name, step)
        longest += (settings.retries.attempts + 1) * settings.timeout_seconds
        longest += settings.retries.attempts * settings.retries.max_delay_seconds
    return int(longest)
