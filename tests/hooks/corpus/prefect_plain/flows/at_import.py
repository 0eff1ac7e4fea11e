"""What a worker does when it loads a flow."""

import os

import boto3
import requests
from prefect import flow, task
from prefect.blocks.system import Secret
from prefect.variables import Variable

BUCKET = Variable.get("bucket")  # expect: prefect-import-work
KEY = Secret.load("key")  # expect: prefect-import-work
HOST = os.environ.get("HOST", "localhost")
session = requests.Session()
TABLES = session.get(f"http://{HOST}/tables").json()  # expect: prefect-import-work


@task(retries=1, timeout_seconds=4)
def upload() -> None:
    boto3.client("s3").upload_file("a", BUCKET, "a")


@flow(name="upload")  # expect: prefect-no-deployment
def upload_all():
    upload()
