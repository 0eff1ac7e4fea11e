"""Airflow calls this for every task: what the checks do not read."""

from datetime import timedelta


def task_policy(task) -> None:
    task.retries = max(task.retries or 0, 2)
    task.execution_timeout = task.execution_timeout or timedelta(hours=2)
