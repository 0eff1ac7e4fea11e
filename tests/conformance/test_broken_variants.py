"""The suite notices what it is there to notice: projects that are broken on purpose fail the behaviour they break.

Each variant changes one place of a running project, runs one behaviour, and puts the place back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from conformance import test_behaviours as behaviours
from conformance.stack import Stack

pytestmark = pytest.mark.conformance


@dataclass(frozen=True)
class Variant:
    """One text in one file of a project, and what stands there instead.

    behaviour: the test that must fail. told: what its failure says. restart: whether the engine's services keep the
    file in memory.
    """

    orchestrator: str
    file: str
    text: str
    instead: str
    behaviour: Callable
    told: str
    restart: bool = False


VARIANTS = {
    "retries off": Variant(
        "prefect",
        "src/flight_marts/orchestration/prefect/policies.py",
        '"retries": attempts',
        '"retries": 0',
        behaviours.test_a_transient_failure_is_retried_after_growing_delays,
        told="has ended as",
    ),
    "publish without a transaction": Variant(
        "prefect",
        "src/flight_marts/platform/warehouse.py",
        'run(con, "BEGIN")',
        "pass",
        behaviours.test_a_kill_in_the_middle_of_publishing_leaves_no_half_partition,
        told="assert [",
    ),
    "secret printed": Variant(
        "prefect",
        "src/flight_marts/platform/warehouse.py",
        "        con = psycopg.connect(",
        "        print(password)\n        con = psycopg.connect(",
        behaviours.test_secrets_stay_in_their_backend,
        told="is contained here",
    ),
    "waiting in a worker": Variant(
        "prefect",
        "flows/flights_daily.py",
        "    policies.come_back_when_ready(PIPELINE, key)\n",
        "",
        behaviours.test_late_input_is_waited_for_without_a_worker_and_missed_after_its_time,
        told="'waiting'",
    ),
    "sensor holding its slot": Variant(
        "airflow",
        "src/flight_marts/orchestration/airflow/policies.py",
        '"mode": "reschedule"',
        '"mode": "poke"',
        behaviours.test_late_input_is_waited_for_without_a_worker_and_missed_after_its_time,
        told="has ended as",
    ),
    "alert sent twice": Variant(
        "prefect",
        "src/flight_marts/platform/alerts.py",
        "claim.done = claim.done or _send(url, title, body)",
        "claim.done = _send(url, title, body) and _send(url, title, body)",
        behaviours.test_a_permanent_failure_is_reported_once_and_not_retried,
        told="too many values to unpack",
    ),
}


@pytest.fixture
def broken(stack: Stack, variant: Variant) -> Iterator[Stack]:
    """The running project with the variant's change in it."""
    file: Path = stack.project.folder / variant.file
    whole = file.read_text()
    assert whole.count(variant.text) == 1, f"{variant.file} has not {variant.text!r} once"
    file.write_text(whole.replace(variant.text, variant.instead))
    try:
        _restart(stack, variant)
        yield stack
    finally:
        file.write_text(whole)
        _restart(stack, variant)


def _restart(stack: Stack, variant: Variant) -> None:
    if variant.restart:
        stack.engine.down()
        stack.engine.up()


@pytest.mark.parametrize(
    ("stack", "variant"),
    [pytest.param(each.orchestrator, each, id=f"{each.orchestrator}-{name}") for name, each in VARIANTS.items()],
    indirect=["stack"],
)
def test_the_suite_notices(broken, variant):
    with pytest.raises((AssertionError, ValueError)) as noticed:
        variant.behaviour(broken, lambda seen: None)
    assert variant.told in str(noticed.value)
