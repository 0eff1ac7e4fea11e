"""Groups of tasks that another package makes."""

from datetime import datetime, timedelta

from airflow import DAG
from cosmos import DbtDag, DbtTaskGroup

with DAG("models", schedule=None, start_date=datetime(2024, 1, 1), dagrun_timeout=timedelta(hours=1)):
    staging = DbtTaskGroup(group_id="staging", project_config=None)  # expect: airflow-no-retries
    marts = DbtTaskGroup(group_id="marts", project_config=None, default_args={"retries": 2})
    staging >> marts

with DAG(
    "defaults",
    schedule=None,
    start_date=datetime(2024, 1, 1),
    dagrun_timeout=timedelta(hours=1),
    default_args={"retries": 1},
):
    DbtTaskGroup(group_id="all", project_config=None)

hourly = DbtDag(  # expect: airflow-no-retries
    dag_id="hourly",
    schedule=None,
    start_date=datetime(2024, 1, 1),
    dagrun_timeout=timedelta(hours=1),
)
