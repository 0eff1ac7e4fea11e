"""Retries come from prefect.toml; time-outs do not."""

from prefect import flow, task


@task(timeout_seconds=3)
def one() -> None: ...


@task  # expect: prefect-no-timeout
def two() -> None: ...


@task(retries=0, timeout_seconds=3)  # expect: prefect-no-retries
def never_again() -> None: ...


@flow(name="defaulted")
def defaulted():
    one()
    two()
    never_again()


if __name__ == "__main__":
    defaulted.from_source(source="https://git/shop.git", entrypoint="flows/defaulted.py:defaulted").deploy(
        name="defaulted", work_pool_name="vms", concurrency_limit=1
    )
