"""Started by people only: nothing about schedules applies, retries and time-outs do."""

from datetime import timedelta

from airflow.sdk import DAG, task

with DAG(dag_id="rebuild_search_index", schedule=None):

    @task(retries=2, execution_timeout=timedelta(hours=1))
    def rebuild() -> None: ...

    @task(retries=2)  # expect: airflow-no-timeout
    def announce() -> None: ...

    rebuild() >> announce()
