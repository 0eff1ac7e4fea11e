"""What runs whenever the scheduler reads the file."""

import json
from datetime import timedelta
from pathlib import Path

import pandas as pd  # expect: airflow-heavy-import
import requests
from airflow.models import Variable
from airflow.providers.postgres.hooks.postgres import PostgresHook
from airflow.sdk import DAG, task
from region_lookup import regions, schedule_of

BUCKET = Variable.get("bucket")  # expect: airflow-import-work
TABLES = requests.get("https://catalogue/tables", timeout=5).json()  # expect: airflow-import-work
LIMITS = json.loads(Path(__file__).with_name("limits.json").read_text())
hook = PostgresHook(postgres_conn_id="warehouse")
CUSTOMERS = [row[0] for row in hook.get_records("SELECT id FROM customer")]  # expect: airflow-import-work
REGIONS = regions()  # expect: airflow-import-work
frame = pd.read_csv("/data/mapping.csv")  # expect: airflow-import-work

with DAG("imports", schedule=None, default_args={"retries": 1, "execution_timeout": timedelta(minutes=1)}):
    rows = hook.get_first("SELECT count(*) FROM customer")  # expect: airflow-import-work

    @task
    def load(bucket: str = Variable.get("default_bucket")) -> None:  # expect: airflow-import-work
        import polars

        polars.read_csv(requests.get(bucket, timeout=5).text)

    load()

if __name__ == "__main__":
    print(requests.get("https://catalogue/health", timeout=5))
