from datetime import datetime, timedelta

from airflow.sdk import DAG, DeadlineAlert
from airflow.providers.standard.operators.bash import BashOperator

with DAG("tides", schedule="@daily", start_date=datetime(2025, 1, 1), deadline=[DeadlineAlert], dagrun_timeout=timedelta(hours=1)):  # expect: airflow-no-catchup
    BashOperator(task_id="wait_then_export", bash_command="./export.sh")
