"""Sales of each region on Airflow: a task mapped over the regions, and a task that tells which are missing."""

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
def sales_regions():
    @task
    def regions():
        return sales.REGIONS

    @task(map_index_template="{{ region }}")
    def region_sales(region, ds=None):
        return sales.extract(region, ds)

    @task(trigger_rule="all_done")
    def publish(parts, ds=None):
        rows = [row for part in parts for row in part]
        sales.publish(sales.totals(rows), ds)
        return sorted({row["region"] for row in rows})

    @task
    def notify(wanted, published, ds=None):
        if missing := [region for region in wanted if region not in published]:
            sales.notify(missing, ds)

    wanted = regions()
    notify(wanted, publish(region_sales.expand(region=wanted)))


sales_regions()
