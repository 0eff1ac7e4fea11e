from datetime import datetime, timedelta

from airflow import DAG
from airflow.providers.standard.operators.python import PythonOperator
from airflow.providers.standard.sensors.filesystem import FileSensor

with DAG(  # expect: airflow-no-deadline
    "capacity",
    schedule="15 6 * * *",
    start_date=datetime(2025, 1, 1),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=2),
    default_args={"retries": 1, "sla": timedelta(hours=3)},  # expect: airflow-ignored-sla
):
    arrived = FileSensor(task_id="arrived", filepath="/in/plan", mode="reschedule")
    arrived >> PythonOperator(task_id="plan", python_callable=print)
