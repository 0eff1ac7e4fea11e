"""The gate is a task of another file, whose name does not say what it does."""

from datetime import timedelta

from airflow.sdk import DeadlineAlert, dag
from steps_elsewhere import arrived, publish


@dag(schedule="@daily", catchup=False, max_active_runs=1, deadline=[DeadlineAlert], default_args={"retries": 1, "execution_timeout": timedelta(1)})
def behind_a_gate():
    arrived() >> publish("orders")


@dag(schedule="@weekly", catchup=False, max_active_runs=1, deadline=[DeadlineAlert], default_args={"retries": 1, "execution_timeout": timedelta(1)})
def behind_the_same_gate():
    arrived() >> publish("orders")


behind_a_gate()
behind_the_same_gate()
