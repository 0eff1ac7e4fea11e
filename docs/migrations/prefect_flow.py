"""Sales of a day on Prefect: tasks hand values to each other, and a deployment says when."""

from datetime import timedelta
from zoneinfo import ZoneInfo

import sales
from prefect import flow, runtime, task
from prefect.schedules import Cron

ZONE = "Europe/Berlin"


@task(retries=1, retry_delay_seconds=1)
def raw_sales(day: str) -> list[dict]:
    return [row for region in sales.REGIONS for row in sales.extract(region, day)]


@task
def no_negative_amount(rows: list[dict]) -> list[dict]:
    return sales.refuse(rows)


@task(retries=1, retry_delay_seconds=1)
def sales_totals(rows: list[dict], day: str) -> None:
    sales.publish(sales.totals(rows), day)


@flow(name="sales-daily", flow_run_name="sales-daily-{day}")
def sales_daily(day: str | None = None) -> None:
    """Publish one day, by default the day before the run was due."""
    due = runtime.flow_run.scheduled_start_time
    day = day or (due.astimezone(ZoneInfo(ZONE)) - timedelta(days=1)).strftime("%Y-%m-%d")
    sales_totals(no_negative_amount(raw_sales(day)), day)


if __name__ == "__main__":
    sales_daily.serve(schedules=[Cron("15 2 * * *", timezone=ZONE)])
