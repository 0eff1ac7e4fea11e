"""All a reviewer asks for, in one file."""

from datetime import datetime, timedelta

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.python import PythonOperator
from airflow.providers.standard.sensors.filesystem import FileSensor
from airflow.sdk import DAG, DeadlineAlert, DeadlineReference, SyncCallback

default_args = {
    "owner": "finance",
    "retries": 4,
    "retry_delay": timedelta(minutes=2),
    "execution_timeout": timedelta(minutes=45),
}


def tell(context):
    print(context)


with DAG(
    "invoices",
    default_args=default_args,
    schedule="15 4 * * 1-5",
    start_date=datetime(2025, 1, 1),
    catchup=False,
    max_active_runs=1,
    deadline=[
        DeadlineAlert(
            name="invoices",
            reference=DeadlineReference.DAGRUN_QUEUED_AT,
            interval=timedelta(hours=2),
            callback=SyncCallback(tell),
        )
    ],
) as dag:
    start = EmptyOperator(task_id="start")
    arrived = FileSensor(task_id="arrived", filepath="/in/invoices.csv", mode="reschedule", timeout=3600)
    load = PythonOperator(task_id="load", python_callable=print)
    start >> arrived >> load
