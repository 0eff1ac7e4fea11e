"""The same defaults by every road."""

from datetime import timedelta

import airflow.sdk as af
from airflow.sdk import task
from shared_defaults import BASE, MERGED, NO_RETRIES, TIMED, defaults

settled = {"schedule": "@hourly", "catchup": False, "max_active_runs": 1, "deadline": [af.DeadlineAlert]}


@af.dag(**settled, default_args=TIMED)  # expect: airflow-no-input-gate
def imported():
    @task
    def load() -> None: ...

    load()


@af.dag(**settled, default_args=BASE)  # expect: airflow-no-timeout, airflow-no-input-gate
def half():
    @task
    def load() -> None: ...

    @task
    def publish() -> None: ...

    load() >> publish()


@af.dag(schedule="@hourly", catchup=False, deadline=[af.DeadlineAlert], default_args=MERGED)  # expect: airflow-no-input-gate
def in_a_pool():
    @task
    def load() -> None: ...

    load()


@af.dag(**settled, default_args=NO_RETRIES)  # expect: airflow-no-retries, airflow-no-input-gate
def switched_off():
    @task
    def load() -> None: ...

    @task
    def publish() -> None: ...

    load() >> publish()


@af.dag(**settled, default_args=defaults("pricing", execution_timeout=timedelta(minutes=3)))  # expect: airflow-no-input-gate
def from_a_function():
    @task
    def load() -> None: ...

    load()


@af.dag(**settled, default_args=defaults("pricing"))  # expect: airflow-no-input-gate
def from_a_function_without():
    @task  # expect: airflow-no-timeout
    def load() -> None: ...

    load()


later = dict(BASE)
later["execution_timeout"] = timedelta(minutes=1)
later.update(pool="small")


@af.dag(**settled, default_args=later)  # expect: airflow-no-input-gate
def changed_afterwards():
    @task
    def load() -> None: ...

    load()


imported()
half()
in_a_pool()
switched_off()
from_a_function()
from_a_function_without()
changed_afterwards()
