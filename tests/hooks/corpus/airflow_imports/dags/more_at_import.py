"""More that runs, or loads, with the file."""

import logging
import subprocess
import time
from datetime import timedelta

import numpy
import sklearn.linear_model as models  # expect: airflow-heavy-import
import torch  # expect: airflow-heavy-import
from airflow.sdk import DAG, BaseHook, task
from pyspark.sql import SparkSession  # expect: airflow-heavy-import

try:
    import polars  # expect: airflow-heavy-import
except ImportError:
    polars = None

logging.info("read")
VERSION = subprocess.check_output(["git", "rev-parse", "HEAD"])  # expect: airflow-import-work
HOST = BaseHook.get_connection("warehouse").host  # expect: airflow-import-work
spark = SparkSession.builder.appName("x").getOrCreate()  # expect: airflow-import-work


class Lookup:
    rates = time.sleep(1)  # expect: airflow-import-work

    def read(self) -> None:
        time.sleep(1)


def later() -> bytes:
    return subprocess.check_output(["date"])


with DAG("more", schedule=None, default_args={"retries": 1, "execution_timeout": timedelta(minutes=1)}):

    @task
    def go() -> bytes:
        return later()

    go()
