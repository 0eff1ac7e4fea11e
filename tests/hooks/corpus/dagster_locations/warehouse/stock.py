import dagster as dg


@dg.asset(  # expect: dagster-no-check, dagster-no-freshness
    partitions_def=dg.DailyPartitionsDefinition("2025-01-01"), retry_policy=dg.RetryPolicy(max_retries=1), pool="lake"
)
def stock() -> None:
    print("stock")
