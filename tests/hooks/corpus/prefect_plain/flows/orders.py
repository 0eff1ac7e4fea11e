"""A script that became a flow."""

import httpx
from prefect import flow, task

COUNTRIES = httpx.get("https://service/countries").json()  # expect: prefect-import-work


@task  # expect: prefect-no-retries, prefect-no-timeout
def fetch(country: str) -> dict:
    return httpx.get(f"https://service/{country}").json()


@task(retries=3, retry_delay_seconds=10, timeout_seconds=60)
def store(rows: dict) -> None: ...


@flow  # expect: prefect-unnamed-flow, prefect-no-deployment
def orders():
    store(fetch("de"))


if __name__ == "__main__":
    orders()
