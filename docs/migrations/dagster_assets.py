"""Sales of a day on Dagster: the tasks that leave data are assets, the one that judges it is a check."""

import dagster as dg
import sales

days = dg.DailyPartitionsDefinition(start_date="2026-01-01", timezone="Europe/Berlin")
retries = dg.RetryPolicy(max_retries=1, delay=1)


@dg.asset(partitions_def=days, retry_policy=retries)
def raw_sales(context: dg.AssetExecutionContext) -> list[dict]:
    return [row for region in sales.REGIONS for row in sales.extract(region, context.partition_key)]


@dg.asset_check(asset=raw_sales, blocking=True, partitions_def=days)
def no_negative_amount(raw_sales: list[dict]) -> dg.AssetCheckResult:
    problems = sales.check(raw_sales)
    return dg.AssetCheckResult(passed=not problems, metadata={"problems": problems})


@dg.asset(partitions_def=days, retry_policy=retries)
def sales_totals(context: dg.AssetExecutionContext, raw_sales: list[dict]) -> dict[str, int]:
    figures = sales.totals(raw_sales)
    sales.publish(figures, context.partition_key)
    return figures


job = dg.define_asset_job("sales_daily", [raw_sales, sales_totals], partitions_def=days)
defs = dg.Definitions(
    assets=[raw_sales, sales_totals],
    asset_checks=[no_negative_amount],
    jobs=[job],
    schedules=[dg.build_schedule_from_partitioned_job(job, hour_of_day=2, minute_of_hour=15)],
)
