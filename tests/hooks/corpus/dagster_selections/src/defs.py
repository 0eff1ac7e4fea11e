"""Which assets a job that retries runs, as its selection says."""

import dagster as dg

STEP = {
    "partitions_def": dg.DailyPartitionsDefinition("2025-01-01"),
    "pool": "lake",
    "check_specs": [dg.AssetCheckSpec("any", asset="x")],
    "freshness_policy": dg.FreshnessPolicy,
}


@dg.asset(group_name="sales", **STEP)
def orders() -> None:
    print("orders")


@dg.asset(group_name="sales", **STEP)  # expect: dagster-no-retries
def returns() -> None:
    print("returns")


@dg.asset(group_name="upkeep", **STEP, deps=[orders])  # expect: dagster-no-retries
def copies() -> None:
    print("copies")


@dg.asset(group_name="ledger", **STEP)
def entries() -> None:
    print("entries")


@dg.asset(group_name="ledger", **STEP, deps=[entries])
def balance() -> None:
    print("balance")


RETRIED = {"dagster/max_retries": "2", "dagster/max_runtime": 600}
sales = dg.define_asset_job(
    "sales", selection=dg.AssetSelection.groups("sales") - dg.AssetSelection.assets("returns"), tags=RETRIED
)
ledger = dg.define_asset_job("ledger", selection="entries+", tags=RETRIED)


@dg.asset(  # expect: dagster-unbounded-concurrency
    partitions_def=STEP["partitions_def"],
    retry_policy=dg.RetryPolicy(max_retries=1),
    check_specs=STEP["check_specs"],
    freshness_policy=dg.FreshnessPolicy,
)
def beside_the_job() -> None:
    print("not in the job whose configuration cannot be read")


configured = dg.define_asset_job("configured", selection="orders", config=dg.load(), tags=RETRIED)
