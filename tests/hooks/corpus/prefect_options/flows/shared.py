"""Options and tasks that flows share."""

from functools import partial

from prefect import flow, task

patient = partial(task, retries=5, retry_delay_seconds=30)


def options(timeout: float | None = None, **more):
    """Options of a task."""
    return {"retries": 2, "timeout_seconds": timeout, **more}


def with_house_rules(function):
    return task(retries=3, timeout_seconds=300)(function)


@task  # only ever used with other options
def call(url: str) -> str:
    return url


@task  # expect: prefect-no-retries, prefect-no-timeout
def call_as_is(url: str) -> str:
    return url


named = flow(name="named once")
