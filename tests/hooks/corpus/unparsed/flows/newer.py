"""Syntax that is newer than the oldest Python the checks run on."""

from prefect import flow, task

type Rows[T] = list[T]


def first[
    T
](rows: Rows[T]) -> T:
    return rows[0]


@task(timeout_seconds=9)  # expect: prefect-no-retries
def label(row: dict) -> str:
    return f"{row["name"]}: {first([row["name"]])}"


@flow(name="newer", timeout_seconds=60)
def newer() -> None:
    try:
        label({"name": "a"})
    except KeyError, ValueError:
        raise


if __name__ == "__main__":
    newer.deploy(name="newer", work_pool_name="machines", image="acme/newer:1", concurrency_limit=1)
