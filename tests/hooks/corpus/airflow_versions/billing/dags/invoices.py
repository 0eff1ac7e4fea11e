"""Runs on Airflow 2, which knows no deadlines, and where an SLA still does something."""

from datetime import datetime, timedelta

from airflow import DAG
from airflow.operators.python import PythonOperator
from airflow.sensors.filesystem import FileSensor

with DAG(
    "invoices",
    schedule="15 6 * * *",
    start_date=datetime(2023, 1, 1),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=2),
    default_args={"retries": 1, "sla": timedelta(hours=3)},
):
    arrived = FileSensor(task_id="arrived", filepath="/in/invoices", mode="reschedule")
    arrived >> PythonOperator(task_id="book", python_callable=print)
