from datetime import timedelta

from prefect import Flow, task


@task(max_retries=2, retry_delay=timedelta(seconds=9))
def copy(table: str) -> int:
    return len(table)


with Flow("copy") as flow:
    copy("orders")
