"""Limits by tags of tasks, which the server counts."""

from prefect import flow, task
from prefect.runner import Runner


def options(step: str) -> dict:
    return {"retries": 2, "timeout_seconds": 60, "tags": ["warehouse"] if step != "wait" else []}


@task(**options("load"))
def load() -> None: ...


@task(retries=1, timeout_seconds=5)
def tell() -> None: ...


@flow(name="tagged")
def tagged():
    load()


@flow(name="above")
def above():
    tagged()


@flow(name="untagged")
def untagged():
    tell()


@flow(name="served by a runner")
def operations():
    tell()


@flow(name="named in a text only")  # expect: prefect-no-deployment
def forgotten():
    """As operations, but handed to nobody: forgotten."""
    tell()


def serve() -> None:
    runner = Runner(name="operations")
    for each in (operations,):
        runner.add_flow(each)
