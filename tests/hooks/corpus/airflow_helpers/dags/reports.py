from datetime import datetime, timedelta

from airflow import DAG
from lib.steps import chain, container, patient, shout

with DAG(
    "reports",
    schedule=None,
    start_date=datetime(2024, 1, 1),
    dagrun_timeout=timedelta(hours=1),
    on_failure_callback=shout,
):
    container("read") >> patient("write")

nightly = DAG("nightly", schedule=None, start_date=datetime(2024, 1, 1))
chain(nightly)
