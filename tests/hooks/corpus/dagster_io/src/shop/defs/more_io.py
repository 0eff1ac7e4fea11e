"""Work when the code location loads, and waiting in an op."""

import asyncio
import subprocess

import boto3
import dagster as dg
import pandas as pd

RETRIED = dg.RetryPolicy(max_retries=1)
MAPPING = pd.read_csv("mapping.csv")  # expect: dagster-import-work
FILES = boto3.client("s3").list_objects_v2(Bucket="landing")  # expect: dagster-import-work


def commit() -> str:
    return subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True).stdout


@dg.op(pool="db", retry_policy=RETRIED, tags={"commit": commit()})  # expect: dagster-import-work
async def wait_for_vendor():
    while True:  # expect: dagster-asset-waits
        await asyncio.sleep(30)


@dg.op(pool="db", retry_policy=RETRIED)
def read_pages():
    page = 1
    while page:
        page = next_page(page)


def next_page(page: int) -> int:
    return 0 if page > 3 else page + 1


@dg.sensor(minimum_interval_seconds=60)
def vendor_is_ready():
    return dg.SkipReason("not yet")
