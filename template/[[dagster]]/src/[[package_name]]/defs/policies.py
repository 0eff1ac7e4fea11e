"""What the configuration says of steps and runs, as Dagster takes it: retries, the pool, the longest run."""

from typing import Any

import dagster as dg

from ..platform import config
from . import logs

POOL = "warehouse"  # a name in [concurrency]
ONE_AT_A_TIME = "one_at_a_time"  # runs with the same value of this tag take turns, see dagster.yaml


class ConfiguredRetries(dg.RetryPolicy):
    """Delays as ``[retries]`` says; Dagster's own backoff has a fixed factor and no cap."""

    def __new__(cls, retries: config.Retries) -> "ConfiguredRetries":
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


def of_step(pipeline: str, step: str) -> dict[str, Any]:
    """Arguments of the asset or check that runs a step."""
    settings = config.load().for_step(pipeline, step)
    return {"name": step, "retry_policy": ConfiguredRetries(settings.retries), "pool": POOL}


def of_runs(pipeline: str, steps: tuple[str, ...], days: dg.DailyPartitionsDefinition) -> dg.PartitionedConfig:
    """Configuration and tags of a job's runs.

    A run is ended when it takes longer than all attempts of its steps may; two of the same day take turns.
    """
    longest = 0.0
    for step in steps:
        settings = config.load().for_step(pipeline, step)
        longest += (settings.retries.attempts + 1) * settings.timeout_seconds
        longest += settings.retries.attempts * settings.retries.max_delay_seconds
    return dg.PartitionedConfig(
        partitions_def=days,
        run_config_for_partition_key_fn=lambda _: logs.CONSOLE,
        tags_for_partition_key_fn=lambda day: {
            "dagster/max_runtime": str(int(longest)),
            ONE_AT_A_TIME: f"{pipeline} {day}",
        },
    )
