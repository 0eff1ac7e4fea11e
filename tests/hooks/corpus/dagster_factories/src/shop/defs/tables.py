"""Assets made by functions, one per table."""

import dagster as dg

DAILY = dg.DailyPartitionsDefinition("2024-01-01")
LIMITED = {"pool": "warehouse", "retry_policy": dg.RetryPolicy(max_retries=2)}


def ingest(table: str) -> dg.AssetsDefinition:
    @dg.asset(name=f"raw_{table}", **LIMITED)  # expect: dagster-no-partitions, dagster-no-check, dagster-no-freshness
    def load(): print("built")

    return load


def house_asset(**options):
    return dg.asset(partitions_def=DAILY, **LIMITED, **options)


@house_asset()
def stock(): print("built")


@house_asset(deps=[stock], freshness_policy=dg.FreshnessPolicy)  # expect: dagster-no-check
def stock_value(): print("built")


@house_asset(deps=[stock], check_specs=[dg.AssetCheckSpec("positive", asset="turnover")])  # expect: dagster-no-freshness
def turnover(): print("built")


raw = [ingest(table) for table in ("customers", "orders")]
