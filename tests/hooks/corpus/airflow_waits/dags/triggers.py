"""Operators that wait in their slot for what they have started."""

from datetime import datetime, timedelta

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG

with DAG("chain", schedule=None, start_date=datetime(2025, 1, 1), dagrun_timeout=timedelta(hours=6)):
    first = TriggerDagRunOperator(task_id="first", trigger_dag_id="a", wait_for_completion=True, retries=1)  # expect: airflow-sensor-holds-slot
    second = TriggerDagRunOperator(
        task_id="second", trigger_dag_id="b", wait_for_completion=True, deferrable=True, retries=1
    )
    third = TriggerDagRunOperator(task_id="third", trigger_dag_id="c", retries=1)
    first >> second >> third
