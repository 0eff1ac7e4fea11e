"""One DAG per country, made by a function."""

from datetime import timedelta

from airflow.sdk import DAG, DeadlineAlert, task

COUNTRIES = ("de", "fr", "nl")


def make_dag(country: str) -> DAG:
    with DAG(  # expect: airflow-no-catchup, airflow-no-retries, airflow-no-input-gate
        dag_id=f"sales_{country}",
        schedule="30 5 * * *",
        max_active_runs=1,
        deadline=[DeadlineAlert],
        default_args={"execution_timeout": timedelta(minutes=9)},
    ) as made:

        @task
        def load() -> None: ...

        @task
        def publish() -> None: ...

        load() >> publish()
    return made


for country in COUNTRIES:
    globals()[f"sales_{country}"] = make_dag(country)
