"""Sales of each region on Prefect: a task mapped over the regions, and a flow that tells which are missing."""

import sales
from prefect import flow, task, unmapped
from prefect.futures import wait


@task(retries=1, retry_delay_seconds=1, task_run_name="{region}")
def region_sales(region: str, day: str) -> list[dict]:
    return sales.extract(region, day)


@task(retries=1, retry_delay_seconds=1)
def publish(rows: list[dict], day: str) -> None:
    sales.publish(sales.totals(rows), day)


@flow(name="notify-of-missing-regions", retries=2, retry_delay_seconds=1)
def notify(missing: list[str], day: str) -> None:
    sales.notify(missing, day)


@flow(name="sales-regions")
def sales_regions(day: str) -> None:
    parts = region_sales.map(sales.REGIONS, day=unmapped(day))
    wait(parts)
    by_region = dict(zip(sales.REGIONS, parts, strict=True))
    done = {region: part.result() for region, part in by_region.items() if part.state.is_completed()}
    publish([row for rows in done.values() for row in rows], day)
    if missing := [region for region in sales.REGIONS if region not in done]:
        notify(missing, day)
