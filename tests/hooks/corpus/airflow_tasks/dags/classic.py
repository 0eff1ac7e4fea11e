"""Operators handed their DAG, as in older files; the SLA is a remnant."""

from datetime import datetime, timedelta

from airflow import DAG
from airflow.operators.bash import BashOperator
from airflow.operators.python import PythonOperator, ShortCircuitOperator
from airflow.sdk import DeadlineAlert

args = {
    "retries": 2,
    "sla": timedelta(hours=1),  # expect: airflow-ignored-sla
}

dag = DAG(
    dag_id="classic",
    default_args=args,
    schedule_interval="@daily",
    start_date=datetime(2021, 1, 1),
    catchup=False,
    concurrency=4,
    deadline=[DeadlineAlert],
    sla_miss_callback=print,  # expect: airflow-ignored-sla
)

gate = ShortCircuitOperator(task_id="gate", python_callable=bool, dag=dag, execution_timeout=timedelta(minutes=1))
run = BashOperator(task_id="run", bash_command="make all", dag=dag)  # expect: airflow-no-timeout
tell = PythonOperator(task_id="tell", python_callable=print, dag=dag, execution_timeout=timedelta(minutes=1), sla=timedelta(hours=2))  # expect: airflow-ignored-sla
gate >> run >> tell
