"""What only Dagster needs to show: its server answers while it has not loaded the project, as after a restart."""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor, wait

import pytest

from conformance.test_behaviours import RUN_SECONDS, assert_one_exact_copy, january

pytestmark = [pytest.mark.quick, pytest.mark.conformance, pytest.mark.parametrize("stack", ["dagster"], indirect=True)]


@pytest.mark.behaviour("B7")
def test_a_backfill_waits_until_the_server_has_loaded_the_project(stack, evidence):
    days = [stack.land(january(number)) for number in (26, 27)]
    span = ("PIPELINE=flights_daily", f"FROM={days[0]}", f"TO={days[-1]}")
    beside = ThreadPoolExecutor()
    os.kill(stack.engine.supervisor, signal.SIGSTOP)  # else it starts the code server again at once
    try:
        for pid in stack.engine.pids("code"):
            os.kill(pid, signal.SIGKILL)
        end = time.monotonic() + RUN_SECONDS
        while stack.engine.has_loaded():
            assert time.monotonic() < end, "the server did not notice that the code server is gone"
            time.sleep(0.5)
        backfill = beside.submit(stack.engine.make, "backfill", *span, timeout=3 * RUN_SECONDS)
        assert not wait([backfill], timeout=10).done, backfill.result().stderr  # it has begun by then
    finally:
        os.kill(stack.engine.supervisor, signal.SIGCONT)
    done = backfill.result()
    assert done.returncode == 0, done.stdout + done.stderr
    for day in days:
        assert_one_exact_copy(stack, day)
    evidence("requested while the project was not loaded, it began when it was")
