"""Retries as ``[retries]`` in the configuration says."""

import random

import dagster as dg

from ..platform import config

JITTER = 0.2  # share of the delay, so that what failed together does not come back together


class ConfiguredRetries(dg.RetryPolicy):
    """Delays that grow by the configured factor up to the cap; Dagster's own backoff has a fixed factor and no cap."""

    def calculate_delay(self, attempt_num: int) -> float:
        retries = config.load().retries
        delay = min(retries.first_delay_seconds * retries.factor ** (attempt_num - 1), retries.max_delay_seconds)
        return delay * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311  no secret


def retry_policy(retries: config.Retries) -> dg.RetryPolicy:
    return ConfiguredRetries(
        max_retries=retries.attempts,
        delay=retries.first_delay_seconds,
        backoff=dg.Backoff.EXPONENTIAL,
        jitter=dg.Jitter.PLUS_MINUS,
    )
