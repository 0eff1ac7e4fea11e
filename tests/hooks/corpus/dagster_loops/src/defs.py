"""Assets that wait, databases that nobody else sees, and a script beside them."""

import time

import dagster as dg
import duckdb
import sqlite3

STEP = {
    "partitions_def": dg.DailyPartitionsDefinition("2025-01-01"),
    "retry_policy": dg.RetryPolicy(max_retries=1),
    "pool": "lake",
    "check_specs": [dg.AssetCheckSpec("any", asset="x")],
    "freshness_policy": dg.FreshnessPolicy,
}


@dg.asset(**STEP, required_resource_keys={"store"})
def deliveries(context) -> None:
    for _ in range(30):  # expect: dagster-asset-waits
        if context.resources.store.has("deliveries"):
            break
        time.sleep(20)


@dg.asset(**STEP)
def pages(client) -> None:
    page = 1
    while client.write(page):
        page += 1
        time.sleep(3)


@dg.asset(**STEP)
def flattened(raw: str) -> list:
    with duckdb.connect() as scratch:
        return scratch.execute("select 1").fetchall() + sqlite3.connect(":memory:").execute(raw).fetchall()


@dg.asset(**STEP)
def kept() -> None:
    duckdb.connect("/data/marts.duckdb").execute("create table kept as select 1")  # expect: dagster-io-per-asset


def make(name: str):
    """What the function inside does, it does in its own time."""

    @dg.asset(name=name, **STEP)
    def made(url: str) -> str:
        import requests

        return requests.get(url, timeout=9).text

    return made


prices, rates = make("prices"), make("rates")
