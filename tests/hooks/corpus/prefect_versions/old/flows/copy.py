from prefect import Flow, task


@task
def copy(table: str) -> int:
    return len(table)


with Flow("copy") as flow:
    copy("orders")
