"""A DAG by the name of a test, which is none."""

from datetime import datetime

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

with DAG("load_test", schedule=None, start_date=datetime(2025, 1, 1), default_args={"retries": 1}):
    BashOperator(task_id="load", bash_command="./load.sh")  # expect: airflow-no-timeout
