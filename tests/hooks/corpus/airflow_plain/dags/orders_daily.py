"""Orders of the day, the way a first DAG is written."""

from datetime import datetime

from airflow.sdk import dag, task


@dag(schedule="@daily", start_date=datetime(2024, 1, 1))  # expect: airflow-no-catchup, airflow-no-retries, airflow-no-timeout, airflow-no-deadline, airflow-no-input-gate, airflow-unbounded-concurrency
def orders_daily():
    @task
    def extract() -> str:
        return "orders"

    @task
    def load(name: str) -> None:
        print(name)

    load(extract())


orders_daily()
