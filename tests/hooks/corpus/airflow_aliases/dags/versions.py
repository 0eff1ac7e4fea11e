"""Runs on Airflow 2 and 3, so the import is tried."""

from datetime import timedelta

try:
    from airflow.sdk import DAG, task
except ImportError:
    from airflow import DAG
    from airflow.decorators import task

PLAN = "0 5 * * *"

with DAG("stock", schedule=PLAN, max_active_runs=2, deadline=None):  # expect: airflow-no-catchup, airflow-no-deadline, airflow-no-input-gate

    @task(retries=3, execution_timeout=timedelta(minutes=10))
    def count() -> None: ...

    count()
