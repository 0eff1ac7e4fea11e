"""Sales of a day on Airflow: three tasks, one of which only judges the rows."""

from datetime import timedelta

import pendulum
import sales
from airflow.sdk import CronDataIntervalTimetable, dag, task


@dag(
    schedule=CronDataIntervalTimetable("15 2 * * *", timezone="Europe/Berlin"),
    start_date=pendulum.datetime(2026, 1, 1, tz="Europe/Berlin"),
    catchup=False,
    default_args={"retries": 1, "retry_delay": timedelta(seconds=1)},
)
def sales_daily():
    @task
    def raw_sales(ds=None):
        return [row for region in sales.REGIONS for row in sales.extract(region, ds)]

    @task(retries=0)
    def no_negative_amount(rows):
        return sales.refuse(rows)

    @task
    def sales_totals(rows, ds=None):
        sales.publish(sales.totals(rows), ds)

    sales_totals(no_negative_amount(raw_sales()))


sales_daily()
