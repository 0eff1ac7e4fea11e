"""Prefect 2 has retries and time-outs, and no concurrency limit of a deployment."""

from prefect import flow, task


@task  # expect: prefect-no-retries
def copy(table: str) -> int:
    return len(table)


@flow(name="copy", timeout_seconds=60)
def copy_all() -> None:
    copy("orders")


if __name__ == "__main__":
    copy_all.deploy(name="main", work_pool_name="machines", image="acme/copy:1")
