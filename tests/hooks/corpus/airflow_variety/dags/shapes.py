"""Other shapes of the same things."""

from datetime import datetime, timedelta

from airflow import models
from airflow.decorators import dag, task
from airflow.operators.python import PythonOperator
from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.sdk import DeadlineAlert, TaskGroup, Variable, chain
from airflow.timetables.trigger import CronTriggerTimetable

SETTLED = {"catchup": False, "max_active_runs": 1, "deadline": [DeadlineAlert]}
EVERY = CronTriggerTimetable("0 3 * * *", timezone="Europe/Berlin")

with models.DAG("two_in_one_with", schedule=EVERY, **SETTLED) as first, TaskGroup("inner"):  # expect: airflow-no-input-gate
    PythonOperator(task_id="a", python_callable=print, retries=2)  # expect: airflow-no-timeout
    PythonOperator(task_id="b", python_callable=print, retries=2, execution_timeout=timedelta(1))

second = models.DAG("opened_later", schedule="@daily", start_date=datetime(2024, 1, 1), **SETTLED)  # expect: airflow-no-retries, airflow-no-input-gate

with second:
    one = KubernetesPodOperator(task_id="one", image="shop:1", execution_timeout=timedelta(hours=1))
    two = KubernetesPodOperator(task_id="two", image="shop:1", execution_timeout=timedelta(hours=1))
    chain(one, two)


@dag(schedule=Variable.get("plan"), **SETTLED)  # expect: airflow-import-work
def unknown_plan():
    @task.branch(retries=1, execution_timeout=timedelta(minutes=1))
    def which() -> str:
        return "left"

    @task.docker(image="python:3.12", retries=1, execution_timeout=timedelta(minutes=1))
    async def left() -> None: ...

    @task.bash(retries=1)  # expect: airflow-no-timeout
    def right() -> str:
        return "true"

    which() >> [left(), right()]


@dag(schedule="@daily", **SETTLED, default_args={"retries": 1, "execution_timeout": timedelta(minutes=1)})  # expect: airflow-no-input-gate
def mapped_operators():
    PythonOperator.partial(task_id="each", python_callable=print).expand(op_args=[[1], [2]])  # expect: airflow-unbounded-concurrency
    PythonOperator.partial(task_id="few", python_callable=print, max_active_tis_per_dagrun=2).expand(op_args=[[1], [2]])


@dag(schedule="@daily", **SETTLED | {"catchup": True}, default_args={"retries": 1} | Variable.get("args", deserialize_json=True))  # expect: airflow-import-work, airflow-no-input-gate
def partly_unknown():
    @task
    def go() -> None: ...

    go()


@dag(schedule="0 * * * *", **{key: value for key, value in SETTLED.items() if key != "catchup"})  # expect: airflow-no-input-gate
def computed_options():
    @task(retries=2, execution_timeout=timedelta(minutes=1))
    def go() -> None: ...

    go()


def plain(day: str) -> None:
    print(day)


@dag(schedule="@daily", **SETTLED)  # expect: airflow-no-input-gate
def wrapped_functions():
    task(retries=2, execution_timeout=timedelta(minutes=2))(plain)("today")
    task(plain)("today")  # expect: airflow-no-retries, airflow-no-timeout


third = models.DAG("defaults_set_later", schedule="@daily", **SETTLED)  # expect: airflow-no-input-gate
third.default_args["retries"] = 3
third.default_args["execution_timeout"] = timedelta(minutes=5)
PythonOperator(task_id="late", python_callable=print, dag=third)

unknown_plan()
mapped_operators()
partly_unknown()
computed_options()
wrapped_functions()
