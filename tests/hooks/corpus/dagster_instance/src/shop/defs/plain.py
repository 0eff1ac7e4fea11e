"""Plain assets: the instance retries, limits and ends their runs."""

import dagster as dg

MONTHLY = dg.MonthlyPartitionsDefinition("2023-01-01")
monthly_asset = dg.asset(partitions_def=MONTHLY, group_name="reporting")


@monthly_asset
def bookings(): print("built")


@monthly_asset
def balance(bookings): print("built")


@dg.asset(group_name="reporting")  # expect: dagster-no-partitions
def chart_of_accounts(): print("built")


@dg.asset(partitions_def=MONTHLY, deps=[balance, chart_of_accounts])  # expect: dagster-no-check, dagster-no-freshness
def report(): print("built")


close = dg.define_asset_job("close", selection="*")
