"""What the checks are known to miss, or to say too much of."""

from datetime import timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, DeadlineAlert, task

OPTIONS = {"schedule": "@daily", "catchup": False, "deadline": [DeadlineAlert]}
TIMED = {"execution_timeout": timedelta(minutes=4)}


def add_steps(dag: DAG) -> None:
    with dag:
        BashOperator(task_id="first", bash_command="true")  # expect: airflow-no-retries
        BashOperator(task_id="second", bash_command="true", retries=1)


with DAG("helped", **OPTIONS, max_active_runs=1, default_args=TIMED) as helped:  # expect: airflow-no-input-gate
    pass

add_steps(helped)


def with_retries(number):
    options = {}
    for name in ("retries", "execution_timeout"):
        options[name] = number
    return options


with DAG("computed", **OPTIONS, max_active_runs=1, default_args=with_retries(None)):  # expect: airflow-no-retries, airflow-no-timeout, airflow-no-input-gate

    @task
    def one() -> None: ...

    @task
    def two() -> None: ...

    one() >> two()


class Plan:
    catchup = True
    every = "@daily"


with DAG("by_attribute", schedule=Plan.every, deadline=[DeadlineAlert], max_active_runs=1):  # expect: airflow-no-catchup
    pass
