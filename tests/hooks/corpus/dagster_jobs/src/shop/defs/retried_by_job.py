"""Retries given by the job, and what a job does not reach."""

import dagster as dg

DAILY = dg.DailyPartitionsDefinition("2024-01-01")


@dg.asset(partitions_def=DAILY, pool="db", group_name="billing")
def bills(): print("built")


@dg.asset(partitions_def=DAILY, pool="db")  # expect: dagster-no-retries
def reminders(bills): print("built")


@dg.asset(
    partitions_def=DAILY,
    pool="db",
    retry_policy=None,  # switched off on purpose, without saying why
    check_specs=[dg.AssetCheckSpec("paid", asset="payments")],
    freshness_policy=dg.FreshnessPolicy,
)
def payments(bills, reminders): print("built")


@dg.op(pool="db")
def vacuum(): print("built")


@dg.op(pool="db")  # expect: dagster-no-retries
def analyze(): print("built")


@dg.job(op_retry_policy=dg.RetryPolicy(max_retries=1), tags={"dagster/max_runtime": 600})
def maintenance():
    vacuum()


@dg.job  # expect: dagster-no-timeout
def statistics():
    analyze()


billing = dg.define_asset_job(
    "billing",
    selection=dg.AssetSelection.groups("billing"),
    op_retry_policy=dg.RetryPolicy(max_retries=2),
    run_tags={dg.MAX_RUNTIME_SECONDS_TAG: "1200"},
)
money = dg.define_asset_job(  # expect: dagster-no-timeout
    name="money",
    selection=["payments"],
    op_retry_policy=dg.RetryPolicy(max_retries=2),
)


@dg.daily_partitioned_config(start_date="2024-01-01", tags_for_partition_fn=lambda *_: {"dagster/max_runtime": "60"})
def of_the_day(start, end):
    return {}


timed_by_configuration = dg.define_asset_job("timed", config=of_the_day, op_retry_policy=dg.RetryPolicy(max_retries=2), selection="payments")
untimed = dg.define_asset_job("untimed", config={"ops": {}}, selection="payments")  # expect: dagster-no-timeout
