"""IO: wired once, and wired per asset."""

import time

import dagster as dg
import duckdb
import requests
import sqlalchemy as sa
from dagster_duckdb import DuckDBResource

DAILY = dg.DailyPartitionsDefinition("2024-01-01")
STEP = {"partitions_def": DAILY, "retry_policy": dg.RetryPolicy(), "pool": "duckdb"}
CURRENCIES = requests.get("https://rates/currencies", timeout=3).json()  # expect: dagster-import-work


class FileIO(dg.ConfigurableIOManager):
    def handle_output(self, context, obj): print("built")

    def load_input(self, context): print("built")


@dg.asset(io_manager_def=FileIO(), **STEP)  # expect: dagster-io-per-asset
def rates(): print("built")


@dg.asset(io_manager_key="files", **STEP)
def rates_by_key(rates): print("built")


@dg.asset(deps=[rates_by_key], **STEP)
def rates_in_duckdb(database: DuckDBResource):
    with database.get_connection() as con:
        con.execute("SELECT 1")


@dg.asset(deps=[rates_in_duckdb], **STEP)
def rates_by_hand():
    con = duckdb.connect("/data/rates.duckdb")  # expect: dagster-io-per-asset
    con.execute("SELECT 1")


@dg.asset(deps=[rates_by_hand], **STEP)
def rates_by_engine():
    with sa.create_engine("postgresql://db/rates").begin() as con:  # expect: dagster-io-per-asset
        con.execute(sa.text("SELECT 1"))


@dg.asset(deps=[rates_by_engine], check_specs=[dg.AssetCheckSpec("any", asset="rates_when_there")], freshness_policy=dg.FreshnessPolicy, **STEP)
def rates_when_there():
    while not requests.get("https://rates/ready", timeout=3).ok:  # expect: dagster-asset-waits
        time.sleep(30)


def _connect():
    return duckdb.connect("/data/rates.duckdb")


@dg.asset(deps=[rates_when_there], check_specs=[dg.AssetCheckSpec("any", asset="rates_by_helper")], freshness_policy=dg.FreshnessPolicy, **STEP)
def rates_by_helper():
    _connect().execute("SELECT 1")  # expect: dagster-io-per-asset


defs = dg.Definitions(resources={"files": FileIO(), "database": DuckDBResource(database="/data/rates.duckdb")})
