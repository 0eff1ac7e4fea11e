"""Ways to wait."""

import time
from datetime import datetime, timedelta

import requests
from airflow.providers.amazon.aws.sensors.s3 import S3KeySensor
from airflow.providers.http.sensors.http import HttpSensor
from airflow.providers.standard.sensors.external_task import ExternalTaskSensor
from airflow.sdk import DAG, DeadlineAlert, task

PATIENT = {"mode": "reschedule", "poke_interval": 300, "timeout": 6 * 3600}

with DAG(
    "waiting",
    schedule="@daily",
    start_date=datetime(2025, 5, 1),
    catchup=False,
    max_active_runs=1,
    deadline=[DeadlineAlert],
    default_args={"retries": 2, "execution_timeout": timedelta(hours=1)},
):
    file_there = S3KeySensor(task_id="file_there", bucket_key="s3://in/{{ ds }}.csv")  # expect: airflow-sensor-holds-slot
    file_there_too = S3KeySensor(task_id="file_there_too", bucket_key="s3://in/{{ ds }}.csv", deferrable=True)
    poking = HttpSensor(task_id="poking", endpoint="/ready", mode="poke")  # expect: airflow-sensor-holds-slot
    patient = HttpSensor(task_id="patient", endpoint="/ready", **PATIENT)
    upstream = ExternalTaskSensor(  # expect: airflow-sensor-holds-slot
        task_id="upstream",
        external_dag_id="orders",
        poke_interval=30,
    )

    @task.sensor(mode="reschedule", timeout=600)
    def ready() -> bool:
        return True

    @task.sensor(poke_interval=10)  # expect: airflow-sensor-holds-slot
    def ready_soon() -> bool:
        return True

    @task
    def wait_by_hand() -> None:
        while requests.get("http://api/ready", timeout=5).status_code != 200:  # expect: airflow-sensor-holds-slot
            time.sleep(60)

    @task
    def page_through() -> None:
        page = 1
        while page:
            page = requests.get(f"http://api/orders?page={page}", timeout=5).json()["next"]

    @task
    def wait_in_a_for() -> None:
        for _ in range(100):  # expect: airflow-sensor-holds-slot
            if requests.get("http://api/ready", timeout=5).ok:
                break
            time.sleep(30)

    ready() >> ready_soon() >> wait_by_hand() >> page_through() >> wait_in_a_for()
