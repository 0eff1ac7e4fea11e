"""The instance repeats runs whose process died, not steps that failed."""

import dagster as dg

DAILY = dg.DailyPartitionsDefinition("2024-01-01")


@dg.asset(partitions_def=DAILY, check_specs=[dg.AssetCheckSpec("any", asset="a")], freshness_policy=dg.FreshnessPolicy)  # expect: dagster-no-retries
def a(): print("built")
