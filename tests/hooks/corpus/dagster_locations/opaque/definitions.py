"""Which assets are checked and watched here cannot be told, so nothing is said of any of them."""

import dagster as dg
from elsewhere import tables

STEP = {
    "partitions_def": dg.DailyPartitionsDefinition("2025-01-01"),
    "retry_policy": dg.RetryPolicy(max_retries=1),
    "pool": "lake",
}


@dg.asset(**STEP)
def rates() -> None:
    print("rates")


checks = [dg.build_column_schema_change_checks(assets=[table]) for table in tables()]
late = dg.build_last_update_freshness_checks(assets=tables(), lower_bound_delta=None)
defs = dg.Definitions(assets=[rates], asset_checks=[*checks, *late])
