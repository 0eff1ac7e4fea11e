import asyncio
import random

import requests
from temporalio import activity


class Steps:
    def __init__(self, url: str) -> None:
        self.url = url

    @activity.defn
    async def charge(self, customer: str) -> str:
        await asyncio.sleep(random.random())
        return requests.post(self.url, json={"customer": customer}).text

    @activity.defn
    async def archive(self, customer: str) -> None: ...


@activity.defn(name="billing.report")
async def report(day: str) -> None: ...
