"""Named, retried, timed, deployed."""

from prefect import flow, task

OPTIONS = {"retries": 3, "retry_delay_seconds": [1, 10, 60], "timeout_seconds": 600}


@task(name="load", **OPTIONS)
def load() -> None: ...


@task(name="check", **{**OPTIONS, "retries": 1})
def check() -> None: ...


@flow(name="publish invoices")
def publish() -> None:
    check()


@flow(name="invoices")
def invoices() -> None:
    load()
    publish()
