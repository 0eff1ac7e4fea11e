"""Decorators under other names, and kept in variables."""

from datetime import timedelta
from functools import partial

from airflow.sdk import dag as d
from airflow.sdk import task as step

nightly = d(schedule="0 2 * * *", catchup=False, max_active_runs=1, default_args={"retries": 1})
weekly = partial(d, schedule="@weekly", max_active_runs=1)


@nightly  # expect: airflow-no-deadline, airflow-no-input-gate
def ledger():
    @step(execution_timeout=timedelta(minutes=5))
    def book() -> None: ...

    @step  # expect: airflow-no-timeout
    def report() -> None: ...

    book() >> report()


@weekly(default_args={"retries": 2, "execution_timeout": timedelta(hours=3)}, dag_id="summary")  # expect: airflow-no-catchup, airflow-no-deadline, airflow-no-input-gate
def summary():
    @step
    def collect() -> None: ...

    collect()


ledger()
summary()
