"""A first asset graph."""

import dagster as dg


@dg.asset  # expect: dagster-no-partitions, dagster-no-retries, dagster-unbounded-concurrency
def raw_orders():
    return [1, 2]


@dg.asset  # expect: dagster-no-partitions, dagster-no-retries, dagster-unbounded-concurrency, dagster-no-check, dagster-no-freshness
def order_totals(raw_orders):
    return sum(raw_orders)


daily = dg.define_asset_job("daily", selection="*")  # expect: dagster-no-timeout
