"""What the configuration says of a step, as Dagster takes it: retries, and the pool of the warehouse."""

from typing import Any

import dagster as dg

from ..platform import config

POOL = "warehouse"  # a name in [concurrency]


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


def of_run(pipeline: str, steps: tuple[str, ...]) -> dict[str, str]:
    """Tags of a job's runs: how long one may take if each step uses all its attempts, after which it is ended."""
    longest = 0.0
    for step in steps:
        settings = config.load().for_step(pipeline, step)
        longest += (settings.retries.attempts + 1) * settings.timeout_seconds
        longest += settings.retries.attempts * settings.retries.max_delay_seconds
    return {"dagster/max_runtime": str(int(longest))}
