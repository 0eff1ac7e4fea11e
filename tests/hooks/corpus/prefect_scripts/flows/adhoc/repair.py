"""The script goes through another folder."""

from prefect import flow


@flow(name="repair", timeout_seconds=60)  # expect: prefect-no-deployment
def run() -> None:
    print("repair")
