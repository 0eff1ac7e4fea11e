"""Retries and time-out of all tasks are set for the whole installation, in airflow.env."""

from airflow.sdk import DAG, DeadlineAlert, task

with DAG("settings", schedule="@daily", catchup=False, deadline=[DeadlineAlert]):

    @task.short_circuit
    def input_there() -> bool:
        return True

    @task
    def one() -> None: ...

    @task(retries=0)  # expect: airflow-no-retries
    def only_once() -> None: ...

    input_there() >> one() >> only_once()
