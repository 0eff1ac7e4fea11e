"""A first workflow, as one writes it after the tutorial."""

import random
import time
import uuid
from datetime import datetime, timedelta

import httpx
from temporalio import activity, workflow

RATES = httpx.get("https://service/rates").json()  # expect: temporal-import-work


@activity.defn
async def fetch(country: str) -> dict:
    return {"country": country, "at": time.time(), "id": str(uuid.uuid4())}


@activity.defn
async def train(rows: dict) -> None: ...


@workflow.defn  # expect: temporal-no-replay-test
class Invoices:
    @workflow.run
    async def run(self, country: str) -> None:
        started = datetime.now()  # expect: temporal-nondeterministic
        number = uuid.uuid4()  # expect: temporal-nondeterministic
        if random.random() > 0.5:  # expect: temporal-nondeterministic
            time.sleep(1)  # expect: temporal-nondeterministic
        rows = await workflow.execute_activity(fetch, country, schedule_to_close_timeout=timedelta(hours=1))  # expect: temporal-no-timeout
        await workflow.execute_activity(train, rows, start_to_close_timeout=timedelta(hours=6))  # expect: temporal-no-heartbeat
        rates = httpx.get(f"https://service/{country}/{number}/{started}")  # expect: temporal-nondeterministic
        await workflow.execute_activity(train, rates.json(), start_to_close_timeout=timedelta(minutes=5))
