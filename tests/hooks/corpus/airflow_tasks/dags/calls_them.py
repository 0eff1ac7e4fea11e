"""Calls the tasks of steps_elsewhere, in two DAGs with other defaults."""

from datetime import timedelta

from airflow.sdk import DAG, DeadlineAlert, TaskGroup, dag, task, task_group
from steps_elsewhere import extract, load, publish

common = {"catchup": False, "max_active_runs": 1, "deadline": [DeadlineAlert], "schedule": "@daily"}


@dag(**common, default_args={"retries": 2, "execution_timeout": timedelta(minutes=8)})  # expect: airflow-no-input-gate
def generous():
    publish(extract("orders"))


@dag(**common, default_args={"retries": 2})  # expect: airflow-no-input-gate
def sparing():
    publish(load("orders"))


with DAG("grouped", **common, default_args={"retries": 2}) as grouped:  # expect: airflow-no-input-gate
    with TaskGroup("slow", default_args={"execution_timeout": timedelta(hours=4)}):

        @task
        def inside() -> None: ...

        inside()

    @task  # expect: airflow-no-timeout
    def outside() -> None: ...

    outside()

    @task_group(default_args={"execution_timeout": timedelta(hours=4)})
    def quick():
        @task
        def inside_too() -> None: ...

        inside_too()

    quick()


@dag(**common, default_args={"retries": 2, "execution_timeout": timedelta(minutes=8)})  # expect: airflow-no-input-gate
def mapped():
    @task
    def one(name: str) -> str:  
        return name

    @task  # expect: airflow-unbounded-concurrency
    def each(name: str) -> str:
        return name

    @task(max_active_tis_per_dag=4)
    def each_in_turn(name: str) -> str:
        return name

    @task
    def each_in_a_pool(name: str) -> str:
        return name

    each.expand(name=["a", "b"])
    each_in_turn.expand(name=["a", "b"])
    each_in_a_pool.override(pool="warehouse").expand(name=["a", "b"])
    one("a")


generous()
sparing()
mapped()
