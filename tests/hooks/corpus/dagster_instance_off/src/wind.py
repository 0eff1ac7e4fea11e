import dagster as dg


@dg.asset(  # expect: dagster-no-retries, dagster-unbounded-concurrency
    partitions_def=dg.DailyPartitionsDefinition("2025-01-01"),
    check_specs=[dg.AssetCheckSpec("any", asset="wind")],
    freshness_policy=dg.FreshnessPolicy,
)
def wind() -> None:
    print("wind")


nightly = dg.define_asset_job("nightly", selection=[wind])  # expect: dagster-no-timeout
