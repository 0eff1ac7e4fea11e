"""The mode is among the defaults."""

from datetime import timedelta

from airflow.providers.standard.sensors.filesystem import FileSensor
from airflow.sdk import dag, task


@dag(
    schedule="@daily",
    catchup=False,
    max_active_tasks=4,
    deadline=["set"],
    default_args={"mode": "reschedule", "retries": 1, "execution_timeout": timedelta(minutes=5)},
)
def all_patient():
    there = FileSensor(task_id="there", filepath="/in/x")

    @task
    def go() -> None: ...

    there >> go()


all_patient()
