"""What a reviewer has nothing to say about."""

import asyncio
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.common import RetryPolicy

with workflow.unsafe.imports_passed_through():
    import time

OPTIONS = {"start_to_close_timeout": timedelta(minutes=30), "heartbeat_timeout": timedelta(seconds=30)}
RETRY = RetryPolicy(maximum_attempts=5)


@activity.defn
def load(day: str) -> int:
    for part in range(100):
        activity.heartbeat(part)
        time.sleep(1)
    return 100


@activity.defn
async def tell(text: str) -> None: ...


@workflow.defn(name="orders")
class Orders:
    def __init__(self) -> None:
        self.approved: bool | None = None

    @workflow.signal
    def approve(self, yes: bool) -> None:
        self.approved = yes

    @workflow.run
    async def run(self, day: str) -> str:
        await workflow.execute_activity(load, day, retry_policy=RETRY, **OPTIONS)
        token, now = workflow.uuid4(), workflow.now()
        await workflow.wait_condition(lambda: self.approved is not None, timeout=timedelta(days=3))
        await asyncio.sleep(workflow.random().randint(1, 60))
        await workflow.execute_local_activity(tell, f"{token} {now}", start_to_close_timeout=timedelta(hours=1))
        return day
