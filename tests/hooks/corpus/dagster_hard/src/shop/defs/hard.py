"""What the checks are known to miss, or to say too much of."""

import dagster as dg

DAILY = dg.DailyPartitionsDefinition("2024-01-01")
STEP = {"partitions_def": DAILY, "retry_policy": dg.RetryPolicy(), "pool": "db"}


class Tables:
    orders = "orders"


@dg.asset(**STEP)
def orders(): print("built")


# Who reads it says so with a key; that it is read, and no leaf, is not seen.
@dg.asset(deps=[dg.AssetKey(Tables.orders)], **STEP)  # expect: dagster-no-check, dagster-no-freshness
def order_report(): print("built")


@dg.asset(retry_policy=dg.RetryPolicy(max_retries=0), partitions_def=DAILY, pool="db", deps=[orders])  # expect: dagster-no-retries, dagster-no-check, dagster-no-freshness
def once(): print("built")


# A static table of two rows that is rebuilt whole: no reviewer would ask for partitions.
@dg.asset(retry_policy=dg.RetryPolicy(), pool="db")
def weekdays(): print("built")


@dg.asset(**STEP, deps=[weekdays], check_specs=[dg.AssetCheckSpec("any", asset="calendar")])
def calendar(): print("built")


defs = dg.Definitions(assets=[orders, order_report, once, weekdays, calendar.with_attributes(freshness_policy=dg.FreshnessPolicy)])
