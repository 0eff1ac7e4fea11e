"""Operators that end in time by options of their own."""

from datetime import datetime

from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.providers.databricks.operators.databricks import DatabricksSubmitRunOperator
from airflow.providers.standard.sensors.time import TimeSensor
from airflow.sdk import DAG

with DAG("limits", schedule=None, start_date=datetime(2025, 1, 1), default_args={"retries": 1}):
    KubernetesPodOperator(task_id="pod", image="acme/pod:1", active_deadline_seconds=600)
    DatabricksSubmitRunOperator(task_id="bricks", json={}, timeout_seconds=900)
    KubernetesPodOperator(task_id="endless", image="acme/pod:1")  # expect: airflow-no-timeout
    TimeSensor(task_id="evening", target_time="18:00", mode="reschedule")
