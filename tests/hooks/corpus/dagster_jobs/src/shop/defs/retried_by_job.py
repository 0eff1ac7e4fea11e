"""Retries given by the job, and what a job does not reach."""

import dagster as dg

DAILY = dg.DailyPartitionsDefinition("2024-01-01")


@dg.asset(partitions_def=DAILY, pool="db", group_name="billing")
def bills(): ...


@dg.asset(partitions_def=DAILY, pool="db")  # expect: dagster-no-retries
def reminders(bills): ...


@dg.asset(
    partitions_def=DAILY,
    pool="db",
    retry_policy=None,  # switched off on purpose, without saying why
    check_specs=[dg.AssetCheckSpec("paid", asset="payments")],
    freshness_policy=dg.FreshnessPolicy,
)
def payments(bills, reminders): ...


@dg.op(pool="db")
def vacuum(): ...


@dg.op(pool="db")  # expect: dagster-no-retries
def analyze(): ...


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
