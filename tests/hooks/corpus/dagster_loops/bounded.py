"""An executor bounds the steps of a code location of its own."""

import dagster as dg


@dg.asset(
    partitions_def=dg.DailyPartitionsDefinition("2025-01-01"),
    retry_policy=dg.RetryPolicy(max_retries=1),
    check_specs=[dg.AssetCheckSpec("any", asset="gauges")],
    freshness_policy=dg.FreshnessPolicy,
)
def gauges() -> None:
    print("gauges")


defs = dg.Definitions(assets=[gauges], executor=dg.multiprocess_executor.configured({"max_concurrent": 2}))
