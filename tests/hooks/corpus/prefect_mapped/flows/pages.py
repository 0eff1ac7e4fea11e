"""What is mapped in a task is bounded by the task runner of the flow around it. Making a client is no work."""

import boto3
from prefect import flow, task
from prefect.task_runners import ThreadPoolTaskRunner
from prefect.task_worker import serve

store = boto3.session.Session().client("s3")
names = boto3.client("s3").list_buckets()  # expect: prefect-import-work


@task(retries=1)
def fetch(page: int) -> int:
    return page


@task(retries=1)
def fetch_all(number: int) -> list[int]:
    return fetch.map(range(number)).result()


@flow(name="pages", timeout_seconds=60, task_runner=ThreadPoolTaskRunner(max_workers=4))
def pages() -> None:
    fetch_all(9)


@task(retries=1)  # expect: prefect-unbounded-concurrency
def store_one(page: int) -> int:
    return page


@task(retries=1)
def store_all(number: int) -> list[int]:
    return store_one.map(range(number)).result()


@flow(name="stored", timeout_seconds=60, task_runner=ThreadPoolTaskRunner())
def stored() -> None:
    store_all(9)


@task(retries=1, timeout_seconds=9)
def describe(text: str) -> str:
    return text


if __name__ == "__main__":
    serve(describe)
    pages.deploy(name="pages", work_pool_name="machines", image="acme/pages:1", concurrency_limit=1)
    stored.deploy(name="stored", work_pool_name="machines", image="acme/pages:1", concurrency_limit=1)
