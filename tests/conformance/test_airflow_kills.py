"""What only Airflow needs to show: it tells a task's callback of its errors, but not of a process that was killed."""

from __future__ import annotations

import os
import signal
import time

import pytest

from conformance.test_behaviours import RUN_SECONDS, january, staging

pytestmark = [pytest.mark.conformance, pytest.mark.parametrize("stack", ["airflow"], indirect=True)]


@pytest.mark.behaviour("B3")
def test_a_task_that_is_killed_in_every_attempt_is_reported_once(stack, evidence):
    day = stack.land(january(25))
    held = stack.proxy.hold(b"CREATE TABLE [^;]*" + staging(day, "typed"))
    run_id = stack.engine.trigger(day)
    for attempt in range(3):
        end = time.monotonic() + RUN_SECONDS
        while len(held.seen) <= attempt:
            assert time.monotonic() < end, f"no attempt {attempt + 1}"
            time.sleep(0.2)
        for pid in stack.engine.pids("run"):
            os.kill(pid, signal.SIGKILL)
    held.released.set()
    done = stack.engine.wait(run_id, "failed", seconds=RUN_SECONDS)
    assert len(done.attempts["transform"]) == 3
    stack.receiver.wait_for("failed", day.isoformat(), "transform", seconds=60)
    time.sleep(5)  # for a second one, which must not come
    assert len(stack.receiver.of("failed", day.isoformat())) == 1
    evidence("killed in each of 3 attempts, 1 alert")
