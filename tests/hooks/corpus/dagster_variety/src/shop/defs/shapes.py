"""Other shapes of the same things."""

import dagster as dg
from dagster import AssetExecutionContext
from dagster_dbt import dbt_assets

DAILY = dg.DailyPartitionsDefinition("2024-01-01")
STEP = dict(partitions_def=DAILY, retry_policy=dg.RetryPolicy(max_retries=1), pool="db")
LEAF = {"freshness_policy": dg.FreshnessPolicy}


@dbt_assets(manifest="target/manifest.json", partitions_def=DAILY)
def models(context: AssetExecutionContext): print("built")


@dg.asset(key=["raw", "orders"], **STEP)
def load_orders(): print("built")


@dg.asset(deps=[dg.AssetKey(["raw", "orders"])], **STEP, **LEAF)
def orders(): print("built")


@dg.asset(**STEP | {"pool": None}, deps=["orders"], **LEAF)  # expect: dagster-unbounded-concurrency, dagster-no-check
def margins(): print("built")


@dg.graph_asset(partitions_def=DAILY, check_specs=[dg.AssetCheckSpec("any", asset="bundle")], **LEAF)
def bundle(orders):
    return orders


@dg.asset(ins={"bundle": dg.AssetIn(key="bundle")}, **STEP, **LEAF)
def parcels(bundle): print("built")


@dg.asset(deps=[parcels], op_tags={"dagster/concurrency_key": "post"}, partitions_def=DAILY, retry_policy=STEP["retry_policy"], **LEAF)
def letters(): print("built")


for name in ("letters",):

    @dg.asset_check(asset=name, name=f"{name}_not_empty", retry_policy=dg.RetryPolicy())
    def not_empty(): print("built")


@dg.asset_check(asset=dg.AssetKey("orders"), retry_policy=dg.RetryPolicy())
def orders_are_unique(): print("built")


class Daily:
    """Options kept in a class."""

    options = STEP


@dg.asset(**Daily.options, deps=[orders])  # expect: dagster-no-check, dagster-no-freshness
def from_a_class(): print("built")


@dg.observable_source_asset
def landing(): print("built")


external = dg.AssetSpec("supplier_prices")
