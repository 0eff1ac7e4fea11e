"""Defaults from an installed package: nobody here can know them, so nothing is said of the tasks."""

from airflow.sdk import DAG, DeadlineAlert, task
from company_airflow import DEFAULTS, SCHEDULES

with DAG("rates", schedule="@daily", catchup=True, max_active_runs=4, default_args=DEFAULTS, deadline=[DeadlineAlert]):  # expect: airflow-no-input-gate

    @task
    def fetch() -> None: ...

    fetch()

with DAG("rates_by_plan", schedule=SCHEDULES["rates"], default_args=DEFAULTS):

    @task
    def fetch_again() -> None: ...

    fetch_again()
