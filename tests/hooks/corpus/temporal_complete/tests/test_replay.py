import json

from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer
from workflows.orders import Orders


async def test_orders_replays_what_was_recorded():
    history = WorkflowHistory.from_json("orders", json.dumps({}))
    await Replayer(workflows=[Orders]).replay_workflow(history)
