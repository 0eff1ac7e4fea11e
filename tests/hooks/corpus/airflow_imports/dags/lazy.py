"""Nothing heavy until a task runs."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import yaml
from airflow.sdk import dag, task
from region_lookup import schedule_of

if TYPE_CHECKING:
    import pandas as pd

with open("/opt/airflow/config/regions.yml") as file:
    REGIONS = yaml.safe_load(file)


@dag(schedule=None, default_args={"retries": 1, "execution_timeout": timedelta(minutes=1)})
def lazy():
    plan = schedule_of("eu")

    @task
    def frame() -> pd.DataFrame:
        import pandas as pd
        from airflow.sdk import Variable

        return pd.read_parquet(Variable.get("path"))

    frame()


lazy()
