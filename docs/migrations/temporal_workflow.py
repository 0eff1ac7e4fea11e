"""Sales of a day on Temporal: each step is an activity, which the server tries again; the workflow orders them."""

import asyncio
from datetime import timedelta
from zoneinfo import ZoneInfo

from temporalio import activity, workflow
from temporalio.client import Client, Schedule, ScheduleActionStartWorkflow, ScheduleSpec
from temporalio.common import RetryPolicy, SearchAttributeKey
from temporalio.worker import Worker

with workflow.unsafe.imports_passed_through():
    import sales

ZONE = "Europe/Berlin"
QUEUE = "sales"
TICK = SearchAttributeKey.for_datetime("TemporalScheduledStartTime")
# Without a number of attempts, Temporal tries for ever.
STEP = {"start_to_close_timeout": timedelta(minutes=5), "retry_policy": RetryPolicy(maximum_attempts=2)}
ONCE = {**STEP, "retry_policy": RetryPolicy(maximum_attempts=1)}


@activity.defn
def raw_sales(day: str) -> list[dict]:
    return [row for region in sales.REGIONS for row in sales.extract(region, day)]


@activity.defn
def no_negative_amount(rows: list[dict]) -> list[dict]:
    return sales.refuse(rows)


@activity.defn
def sales_totals(rows: list[dict], day: str) -> None:
    sales.publish(sales.totals(rows), day)


ACTIVITIES = [raw_sales, no_negative_amount, sales_totals]


@workflow.defn(name="sales-daily")
class SalesDaily:
    """Publish one day, by default the day before the tick of the schedule."""

    @workflow.run
    async def run(self, day: str | None = None) -> None:
        tick = workflow.info().typed_search_attributes.get(TICK) or workflow.now()
        day = day or (tick.astimezone(ZoneInfo(ZONE)) - timedelta(days=1)).strftime("%Y-%m-%d")
        rows = await workflow.execute_activity(raw_sales, day, **STEP)
        rows = await workflow.execute_activity(no_negative_amount, rows, **ONCE)
        await workflow.execute_activity(sales_totals, args=[rows, day], **STEP)


async def serve() -> None:
    """Make the schedule and run what it starts."""
    client = await Client.connect("127.0.0.1:7233")
    start = ScheduleActionStartWorkflow(SalesDaily.run, id="sales-daily", task_queue=QUEUE)
    spec = ScheduleSpec(cron_expressions=["15 2 * * *"], time_zone_name=ZONE)
    await client.create_schedule("sales-daily", Schedule(action=start, spec=spec))
    await worker(client).run()


def worker(client: Client) -> Worker:
    from concurrent.futures import ThreadPoolExecutor

    threads = ThreadPoolExecutor(4)
    return Worker(client, task_queue=QUEUE, workflows=[SalesDaily], activities=ACTIVITIES, activity_executor=threads)


if __name__ == "__main__":
    asyncio.run(serve())
