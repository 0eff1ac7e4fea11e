"""Given retries and time-outs by the cluster policy; said to have none."""

from airflow.sdk import Asset, dag, task


@dag(schedule=Asset("orders"), max_active_runs=1)
def by_policy():
    @task
    def one() -> None: ...

    one()


by_policy()
