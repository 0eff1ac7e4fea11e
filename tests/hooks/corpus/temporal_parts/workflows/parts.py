"""Parts at once: activities in comprehensions, tasks, child workflows, options from a function."""

import asyncio
import datetime as dt
import os
import random
import time
from functools import partial
from uuid import uuid4

from temporalio import activity, workflow
from temporalio.common import RetryPolicy

RETRY = RetryPolicy(maximum_attempts=3)


def short(**more):
    return {"start_to_close_timeout": dt.timedelta(minutes=2), **more}


@activity.defn
async def train(part: int) -> float:
    time.sleep(random.random())
    return float(os.environ.get("RATE", 1)) * part


@activity.defn
async def merge(parts: list[float]) -> None: ...


@workflow.defn  # expect: temporal-no-replay-test
class Chunks:
    @workflow.run
    async def run(self, count: int) -> None:
        parts = await asyncio.gather(
            *(workflow.execute_activity(train, n, retry_policy=RETRY) for n in range(count))  # expect: temporal-no-timeout
        )
        more = [workflow.start_activity(train, n, **short(retry_policy=RETRY)) for n in range(count)]
        await asyncio.gather(*more)
        long = partial(workflow.execute_activity, heartbeat_timeout=dt.timedelta(seconds=30))
        await long(merge, parts, start_to_close_timeout=dt.timedelta(hours=2))
        async with asyncio.TaskGroup() as group:
            for n in sorted(range(count), key=lambda _: random.random()):  # expect: temporal-nondeterministic
                group.create_task(workflow.execute_activity(train, n, **short()))
        await workflow.execute_child_workflow(Chunks.run, count, id=f"{uuid4()}")  # expect: temporal-nondeterministic
        if not workflow.unsafe.is_replaying():
            workflow.logger.info("%s", dt.datetime.now(dt.timezone.utc))  # expect: temporal-nondeterministic
        await workflow.sleep(dt.timedelta(seconds=workflow.random().random()))
        await workflow.execute_activity(  # expect: temporal-no-heartbeat
            merge,
            parts,
            start_to_close_timeout=dt.timedelta(hours=3),
        )
