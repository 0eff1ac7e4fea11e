import dagster as dg

from archive.quality import complete, watched

STEP = {
    "partitions_def": dg.DailyPartitionsDefinition("2025-01-01"),
    "retry_policy": dg.RetryPolicy(max_retries=1),
    "pool": "lake",
}


@dg.asset(**STEP)
def letters() -> None:
    print("letters")


@dg.asset(**STEP)  # expect: dagster-no-check, dagster-no-freshness
def parcels() -> None:
    print("parcels")


defs = dg.Definitions(assets=[letters, parcels], asset_checks=[*complete([letters]), *watched([letters])])
