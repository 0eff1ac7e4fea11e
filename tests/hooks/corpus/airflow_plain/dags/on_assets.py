"""Runs when its inputs change: no clock, so neither catch-up nor a gate."""

from datetime import timedelta

import airflow.sdk as af

ORDERS = af.Asset("warehouse/orders")
CUSTOMERS = af.Asset("warehouse/customers")


@af.dag(
    schedule=[ORDERS, CUSTOMERS],
    max_active_runs=1,
    default_args={"retries": 3, "execution_timeout": timedelta(minutes=20)},
)
def revenue():
    @af.task
    def join() -> None: ...

    join()


revenue()
