"""Aliases, methods as activities, names of activities, options from elsewhere."""

from __future__ import annotations

import temporalio.workflow as wf
from temporalio.workflow import execute_activity, start_activity

from .options import LONG, SHORT, region, today
from .steps import Steps, report


@wf.defn(sandboxed=False)  # expect: temporal-no-replay-test
class Billing:
    @wf.run
    async def run(self, customer: str) -> str:
        paid = await wf.execute_activity_method(Steps.charge, customer, **SHORT)
        await start_activity(Steps.archive, customer, start_to_close_timeout=LONG)  # expect: temporal-no-heartbeat
        await execute_activity("billing.close", customer)  # expect: temporal-no-timeout
        await execute_activity(report, str(today()), **self.options(customer))
        return f"{paid} {region()}"

    def options(self, customer: str) -> dict:
        return dict(SHORT, summary=customer)


class Client:
    """No workflow: what talks to the server may look at the clock."""

    def name(self) -> str:
        import time

        return f"billing-{time.time()}"
