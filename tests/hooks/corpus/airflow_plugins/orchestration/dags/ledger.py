"""Operators from the plugins folder, and from packages that are nowhere in this repository."""

from datetime import datetime, timedelta

from acme.ledger import LedgerSensor, PostLedgerOperator
from airflow import DAG
from lakehouse_provider.operators.compact import CompactTableOperator
from lakehouse_provider.sensors.commit import CommitSensor

with DAG("ledger", schedule=None, start_date=datetime(2024, 1, 1), dagrun_timeout=timedelta(hours=1)):
    ready = LedgerSensor(task_id="ready", retries=3)  # expect: airflow-sensor-holds-slot
    committed = CommitSensor(task_id="committed", retries=3, mode="reschedule")
    post = PostLedgerOperator(task_id="post", account="100")  # expect: airflow-no-retries
    compact = CompactTableOperator(task_id="compact", table="ledger")  # expect: airflow-no-retries
    again = CompactTableOperator(task_id="again", table="ledger", retries=2)
    ready >> committed >> post >> compact >> again
