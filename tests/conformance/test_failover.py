"""B18: what starts runs and steps dies together with the run that it works on, and a second one takes over."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable
from datetime import date

import psutil
import pytest

from conformance import flights
from conformance.engine import Engine, Run
from conformance.stack import Stack

pytestmark = pytest.mark.conformance
ENDS_SECONDS = 900  # by when each engine has taken up what was lost, on a busy machine too
STEADY_SECONDS = 45  # by when services that have just started know each other, on a busy machine too


@pytest.fixture
def doubled(stack) -> Stack:
    """The engine with the settings of production, and with two of the service, where a second one can take over."""
    engine = stack.engine
    conf = engine.project.folder / "deploy" / "local" / f"{engine.name}.conf"
    original = text = conf.read_text()
    if engine.doubled:
        [section] = re.findall(rf"^\[program:{engine.doubled}\]\n(?:(?!\[).*\n?)+", text, re.MULTILINE)
        second = section.replace(f"[program:{engine.doubled}]", f"[program:{engine.doubled}-2]")
        conf.write_text(f"{text}\n{second.replace(f'{engine.doubled}.log', f'{engine.doubled}-2.log')}")
    engine.down()
    engine.up(**engine.in_production())
    conf.write_text(original)
    return stack


@pytest.mark.behaviour("B18")
def test_work_goes_on_elsewhere_when_what_does_it_is_killed(doubled, evidence):
    stack, engine = doubled, doubled.engine
    lost, other = date(2013, 1, 17), date(2013, 1, 18)
    time.sleep(STEADY_SECONDS)
    stack.land(lost)
    held = stack.proxy.hold(f"CREATE TABLE [^;]*flights_daily_{lost:%Y%m%d}_typed".encode(), times=1)
    lost_run = engine.trigger(lost)
    while not held.seen:
        time.sleep(0.2)
    supervisor = psutil.Process(engine.supervisor)
    if engine.doubled:
        supervisor.suspend()  # else it would start the killed one again
        victims = [max(_services(supervisor, engine.doubled), key=lambda each: len(each.children(recursive=True)))]
    else:
        victims = [psutil.Process(pid) for role in ("code", "daemon") for pid in engine.pids(role)]
    processes = [each for victim in victims for each in (victim, *victim.children(recursive=True))]
    killed = time.time()
    for process in processes:
        os.kill(process.pid, signal.SIGKILL)
    held.released.set()
    try:
        other_run = _triggered(engine, stack.land(other))
        begun = {key: _first_after(engine, run, killed) for key, run in (("other", other_run), ("lost", lost_run))}
    finally:
        supervisor.resume()
    for day, run in ((lost, lost_run), (other, other_run)):
        engine.wait(run, "success", seconds=ENDS_SECONDS)
        want = flights.counted(day)
        published = [stack.rows(name, day) for name in ("fact_flights", "daily_carrier_performance")]
        assert published == [want["flights"], want["carriers"]]
    what = (
        f"a second {engine.doubled} took over" if engine.doubled else "code server and daemon, started again, went on"
    )
    evidence(
        f"{what}: the first step of another run began {begun['other'] - killed:.0f} s after the kill, the lost run's "
        f"step again after {begun['lost'] - killed:.0f} s; each published once"
    )


def _services(supervisor: psutil.Process, name: str) -> list[psutil.Process]:
    services = [each for each in supervisor.children() if name in " ".join(each.cmdline())]
    assert len(services) == 2, f"two of {name} must run: {services}"
    return services


def _triggered(engine: Engine, day: date) -> str:
    """Request a run as soon as the engine takes it: the death of what it talks to may be noticed late."""
    return _until(lambda: engine.trigger(day), f"{engine.name} takes no run of {day}")


def _first_after(engine: Engine, run_id: str, moment: float) -> float:
    """When the first attempt of any step began after this moment."""

    def look() -> float | None:
        run: Run = engine.run(run_id)
        began = [attempt.began for attempts in run.attempts.values() for attempt in attempts]
        return min((each for each in began if each and each > moment), default=None)

    return _until(look, f"no step of {run_id} has begun again on {engine.name}")


def _until(look: Callable, message: str):
    end = time.monotonic() + ENDS_SECONDS
    while True:
        try:
            if value := look():
                return value
        except (OSError, AssertionError, KeyError):  # what answers may have to start again
            if time.monotonic() > end:
                raise
        assert time.monotonic() < end, message
        time.sleep(0.5)
