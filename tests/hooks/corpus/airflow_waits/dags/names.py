"""Names that only sound like waiting, names that do, and DAGs that have nothing to wait for."""

from datetime import datetime, timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, DeadlineAlert, dag, task

SETTLED = {
    "schedule": "@daily",
    "start_date": datetime(2025, 1, 1),
    "catchup": False,
    "max_active_runs": 1,
    "dagrun_timeout": timedelta(hours=1),
    "default_args": {"retries": 1},
    "deadline": [DeadlineAlert],
}


@dag(**SETTLED)  # expect: airflow-no-input-gate
def mitigation():
    @task
    def propagate_already_navigated() -> None:
        print("propagated")

    propagate_already_navigated()


with DAG("polled", **SETTLED):
    BashOperator(task_id="wait_for_export", bash_command="./wait.sh") >> BashOperator(task_id="load", bash_command="./load.sh")

with DAG("log_cleanup", **SETTLED):
    BashOperator(task_id="rotate", bash_command="logrotate /etc/logrotate.conf")

with DAG("sundays", **SETTLED):
    BashOperator(task_id="vacuum_tables", bash_command="./vacuum.sh")
    BashOperator(task_id="drop_old_snapshots", bash_command="./drop.sh")

with DAG("customers", **SETTLED):  # expect: airflow-no-input-gate
    BashOperator(task_id="clean_customers", bash_command="./clean.sh")
