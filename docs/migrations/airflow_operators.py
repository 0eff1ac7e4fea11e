"""Sales of a day on Airflow with operators around functions, which take values by templates and XCom."""

from datetime import timedelta

import pendulum
import sales
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, CronDataIntervalTimetable


def raw_sales(day):
    return [row for region in sales.REGIONS for row in sales.extract(region, day)]


def no_negative_amount(ti):
    return sales.refuse(ti.xcom_pull(task_ids="raw_sales"))


def sales_totals(day, ti):
    sales.publish(sales.totals(ti.xcom_pull(task_ids="no_negative_amount")), day)


with DAG(
    "sales_operators",
    schedule=CronDataIntervalTimetable("15 2 * * *", timezone="Europe/Berlin"),
    start_date=pendulum.datetime(2026, 1, 1, tz="Europe/Berlin"),
    catchup=False,
    default_args={"retries": 1, "retry_delay": timedelta(seconds=1)},
):
    day = {"day": "{{ ds }}"}
    raw = PythonOperator(task_id="raw_sales", python_callable=raw_sales, op_kwargs=day)
    checked = PythonOperator(task_id="no_negative_amount", python_callable=no_negative_amount, retries=0)
    published = PythonOperator(task_id="sales_totals", python_callable=sales_totals, op_kwargs=day)
    raw >> checked >> published
