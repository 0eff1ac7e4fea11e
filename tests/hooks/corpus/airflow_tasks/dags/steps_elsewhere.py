"""Tasks that several DAGs share."""

from datetime import timedelta

from airflow.sdk import task


@task
def extract(table: str) -> str:
    return table


@task  # expect: airflow-no-timeout
def load(table: str) -> str:
    return table


@task
def never_used() -> None: ...


@task(retries=5, execution_timeout=timedelta(minutes=1))
def publish(table: str) -> None: ...
