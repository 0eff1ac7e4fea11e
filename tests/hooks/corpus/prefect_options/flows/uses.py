"""Uses the shared options."""

import os

from prefect import flow, task
from prefect.task_runners import ThreadPoolTaskRunner
from shared import call, call_as_is, named, options, patient, with_house_rules

persistent_call = call.with_options(retries=4, timeout_seconds=20)


@patient(timeout_seconds=30)
def one() -> None: ...


@patient  # expect: prefect-no-timeout
def two() -> None: ...


@task(**options(60))
def three() -> None: ...


@task(**options())  # expect: prefect-no-timeout
def four() -> None: ...


@task(**options(timeout=20, retries=0))  # expect: prefect-no-retries
def five() -> None: ...


@task(retries=int(os.environ.get("RETRIES", "3")), timeout_seconds=float(os.environ["TIMEOUT"]))
def six() -> None: ...


@task(retries=1)
def seven() -> None: ...


@with_house_rules
def eight() -> None: ...


@task(retries=1, timeout_seconds=4)  # expect: prefect-unbounded-concurrency
def each(name: str) -> str:
    return name


@task(retries=1, timeout_seconds=4, tags=["service"])
def each_tagged(name: str) -> str:
    return name


@task(retries=1, timeout_seconds=4)
def each_in_threads(name: str) -> str:
    return name


@named
def uses():
    one()
    two()
    three()
    four()
    five()
    six()
    persistent_call("a")
    call_as_is("a")
    eight()
    each.map(["a", "b"])
    each_tagged.map(["a", "b"])


@flow(name="bounded", timeout_seconds=600, task_runner=ThreadPoolTaskRunner(max_workers=4))
def bounded():
    seven()
    each_in_threads.map(["a", "b"])


@flow(name="does it all by itself")  # expect: prefect-no-timeout
def alone():
    print("work")


@flow(name="by itself, bounded", timeout_seconds=60)
def alone_but_bounded():
    print("work")


def plain():
    print("work")


wrapped = flow(name="wrapped", timeout_seconds=10)(plain)


async def also_plain():
    print("work")


wrapped_without = flow(timeout_seconds=10)(also_plain)  # expect: prefect-unnamed-flow
wrapped_at_once = flow(also_plain, name="at once", timeout_seconds=10)
