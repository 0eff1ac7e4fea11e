from datetime import datetime, timedelta

from airflow import DAG
from airflow.operators.bash import BashOperator
from shared import frames
from shared.settings import TARGET

with DAG("weekly", schedule=None, start_date=datetime(2024, 1, 1), dagrun_timeout=timedelta(hours=1)):
    BashOperator(task_id="total", bash_command=f"./total.sh {TARGET}", retries=1, env={"day": frames.DAY})
