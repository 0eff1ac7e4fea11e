"""The behaviours on the shapes data_products and ml_dynamic, on each running engine. What batch_etl shows is elsewhere.

Each test leaves its input as it was; the last of a shape lets the engine look for late input.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import psycopg
import pytest
from combinations import MANIFESTS, SERVED

from conformance.conftest import running
from conformance.stack import Stack

pytestmark = pytest.mark.conformance
SAMPLES = {"data_products": "flights_daily", "ml_dynamic": "airport_delays"}
STACKS = [f"{shape} {name}" for shape in SAMPLES for name in SERVED if shape in MANIFESTS[name]["shapes"]]
PRODUCTS = [each for each in STACKS if each.startswith("data_products")]
MODELS = [each for each in STACKS if each.startswith("ml_dynamic")]
RUN_SECONDS = 600  # within which an undisturbed run has ended, on a busy machine too
DAYS = ("2013-01-01", "2013-01-02", "2013-01-03")
MONTHS = ("2013-01", "2013-02")
NO_RETRY = {"APP_RETRIES__ATTEMPTS": "0", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
PER_CARRIER = "SELECT carrier, count(*) FROM read_csv('{file}', all_varchar = true) GROUP BY 1 ORDER BY 1"
READER = """
[providers.carriers]
pipeline = "flights_daily"
table = "carrier_daily_v2"

[schedule]
cron = "0 6 * * *"
"""


@pytest.fixture(scope="module")
def stack(request, render, tmp_path_factory) -> Iterator[Stack]:
    """A project of that shape on that orchestrator, installed and up; stopped at the end."""
    shape, name = request.param.split()

    def prepare(folder: Path) -> None:
        if shape == "data_products":
            add_reader(folder)
        file = folder / "config" / "conformance.toml"
        common = file.read_text().partition("[pipelines.flights_daily.landing]")[0]  # what follows is batch_etl's own
        own = f'[pipelines.{SAMPLES[shape]}.landing]\nurl = "data/landing/{SAMPLES[shape]}"\n'
        file.write_text(common + own)

    with running(name, render, tmp_path_factory, SAMPLES[shape], prepare, pipeline_shape=shape) as found:
        yield found


def add_reader(folder: Path) -> None:
    """A pipeline that reads a table which the sample publishes, as a team makes one."""
    sample = folder / "carriers.csv"
    sample.write_text("flight_date,carrier,flights\n" + "".join(f"{day},{n},1\n" for day in DAYS for n in ("AA", "B6")))
    command = [sys.executable, "scripts/pipeline.py", "--name", "board", "--sample", str(sample)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    steps = folder / "src/flight_marts/pipelines/board/steps.py"
    text = steps.read_text().replace("platform.sources import Csv", "platform.providers import Provided")
    steps.write_text(text.replace('Csv("carriers.csv", COLUMNS)', 'Provided("carriers", COLUMNS)'))
    shutil.rmtree(folder / "data/landing/board")
    settings = folder / "config/pipelines/board.toml"
    orchestrator = settings.read_text().split("[schedule]")[0]
    settings.write_text(orchestrator + READER)


@contextlib.contextmanager
def changed(stack: Stack, key: str, pattern: str, replacement: str, name: str = "flights.csv") -> Iterator[None]:
    """While the body runs, the partition's file is another one."""
    file = stack.landing / key / name
    good = file.read_text()
    bad, count = re.subn(pattern, replacement, good, flags=re.MULTILINE)
    assert count
    file.write_text(bad)
    try:
        yield
    finally:
        file.write_text(good)


def rows(stack: Stack, query: str, *values: object) -> list[tuple]:
    """What a reader outside sees; nothing while there is no such table."""
    with psycopg.connect(stack.warehouse_url, autocommit=True) as con:
        try:
            return con.execute(query, values).fetchall()
        except psycopg.errors.UndefinedTable:
            return []


def versions(stack: Stack, *pipelines: str) -> dict[tuple[str, str], int]:
    """How often each partition of each pipeline was published, or of these pipelines."""
    found = rows(stack, "SELECT pipeline, partition, version FROM platform.published")
    return {(name, partition): version for name, partition, version in found if name in pipelines or not pipelines}


def settled(stack: Stack) -> dict[tuple[str, str], int]:
    """The same, once nothing was published for a minute: some orchestrators run by themselves what is published."""
    known, since = versions(stack), time.monotonic()
    while time.monotonic() < since + 60:
        time.sleep(1)
        if (now := versions(stack)) != known:
            known, since = now, time.monotonic()
    return known


def carriers(stack: Stack, day: str, table: str = "carrier_daily_v2") -> list[tuple]:
    return rows(stack, f"SELECT carrier, flights FROM {table} WHERE flight_date = %s ORDER BY 1", day)


def counted(stack: Stack, day: str) -> list[tuple]:
    """Flights of each carrier, counted in the file."""
    return duckdb.sql(PER_CARRIER.format(file=stack.landing / day / "flights.csv")).fetchall()


def published_models(stack: Stack, month: str) -> list[tuple]:
    """All that is published of a month."""
    inside = "to_char(month, 'YYYY-MM') = %s ORDER BY 1, 2, 3, 4"
    tables = ("airport_delays_models", "airport_delays")
    return [row for name in tables for row in rows(stack, f"SELECT * FROM {name} WHERE {inside}", month)]


def succeed(stack: Stack, key: str) -> None:
    stack.engine.wait(stack.engine.trigger(key), "success", seconds=RUN_SECONDS)


def fail(stack: Stack, key: str, *words: str) -> str:
    """A run of the partition that must fail, with one alert, which has these words; returns its id."""
    before = len(stack.receiver.of("failed", key, *words))
    run_id = stack.engine.trigger(key)
    stack.engine.wait(run_id, "failed", seconds=RUN_SECONDS)
    end = time.monotonic() + 60
    while len(stack.receiver.of("failed", key, *words)) == before:
        assert time.monotonic() < end, f"no alert about {words}; there are: {stack.receiver.posts}"
        time.sleep(0.2)
    time.sleep(5)  # for a second one, which must not come
    assert len(stack.receiver.of("failed", key, *words)) == before + 1
    return run_id


def refused(stack: Stack, key: str, words: str, **variables: str) -> None:
    """`make run` of the partition ends in this sentence."""
    done = stack.engine.make(
        "run", f"PIPELINE={stack.engine.pipeline}", f"DATE={key}", timeout=RUN_SECONDS, **variables
    )
    assert done.returncode != 0, done.stdout
    assert words in done.stderr, done.stdout + done.stderr


def backfill(stack: Stack, first: str, last: str, *options: str) -> subprocess.CompletedProcess[str]:
    span = (f"PIPELINE={stack.engine.pipeline}", f"FROM={first}", f"TO={last}")
    return stack.engine.make("backfill", *span, *options, timeout=3 * RUN_SECONDS)


def restart(stack: Stack, **variables: str) -> None:
    stack.engine.down()
    stack.engine.up(**variables)


def wait_until(stack: Stack, condition, words: str) -> None:
    end = time.monotonic() + RUN_SECONDS
    while not condition():
        assert time.monotonic() < end, f"{words}; published: {versions(stack)}"
        time.sleep(1)


products = pytest.mark.parametrize("stack", PRODUCTS, indirect=True, scope="module")
models = pytest.mark.parametrize("stack", MODELS, indirect=True, scope="module")


@products
@pytest.mark.behaviour("B1")
def test_a_day_of_tables_is_published_with_the_figures_of_its_files(stack, evidence):
    succeed(stack, DAYS[1])
    figures = carriers(stack, DAYS[1])
    assert figures == counted(stack, DAYS[1]) != []
    flights = sum(count for _, count in figures)
    evidence(f"{stack.version}: {len(figures)} carriers and their {flights} flights equal those of the file")


@products
@pytest.mark.behaviour("B6")
def test_a_day_of_tables_again_is_one_exact_copy(stack, evidence):
    succeed(stack, DAYS[1])
    assert carriers(stack, DAYS[1]) == counted(stack, DAYS[1])
    held = stack.proxy.hold(rb'INSERT INTO "carrier_daily_v2"', times=1)
    run_id = stack.engine.trigger(DAYS[1])
    wait_until(stack, lambda: held.seen, "it does not come to publishing")
    assert carriers(stack, DAYS[1]) == counted(stack, DAYS[1])
    held.released.set()
    stack.engine.wait(run_id, "success", seconds=RUN_SECONDS)
    assert carriers(stack, DAYS[1]) == counted(stack, DAYS[1])
    evidence("a reader saw one exact copy in the middle of publishing, and after it")


@products
@pytest.mark.behaviour("B3")
def test_a_file_of_another_header_is_reported_once_and_not_retried(stack, evidence):
    with changed(stack, DAYS[0], r"\Ayear,", "jahr,"):
        run_id = fail(stack, DAYS[0], "load", "InputError")
    assert len(stack.engine.run(run_id).attempts["load"]) == 1
    assert not carriers(stack, DAYS[0])
    evidence("1 attempt, nothing published, 1 alert")


@products
@pytest.mark.behaviour("B5")
def test_bad_rows_of_tables_are_quarantined_and_over_the_threshold_stop_the_run(stack, evidence):
    there = sum(count for _, count in counted(stack, DAYS[1]))
    with changed(stack, DAYS[1], r",AA,(\d+),(\w*),EWR,", r",AA,\1,\2,MARS,"):
        moved = (stack.landing / DAYS[1] / "flights.csv").read_text().count("MARS")
        succeed(stack, DAYS[1])
    assert sum(count for _, count in carriers(stack, DAYS[1])) == there - moved
    assert rows(stack, "SELECT count(*) FROM fct_flights_quarantine WHERE flight_date = %s", DAYS[1]) == [(moved,)]
    with changed(stack, DAYS[1], ",JFK,", ",MARS,"):
        fail(stack, DAYS[1], "build", "ContractError")
    assert sum(count for _, count in carriers(stack, DAYS[1])) == there - moved
    succeed(stack, DAYS[1])
    evidence(f"{moved} rows quarantined; with a third of them nothing published, the partition before stands, 1 alert")


@products
@pytest.mark.behaviour("a failing test stops publishing")
def test_a_failing_test_of_dbt_stops_publishing(stack, evidence):
    before, known = carriers(stack, DAYS[1]), versions(stack, "flights_daily")
    with changed(stack, DAYS[1], ",B6,", ",ZZ,"):  # a carrier that airlines.csv does not list
        fail(stack, DAYS[1], "relationships_fct_flights_carrier")
    assert carriers(stack, DAYS[1]) == before
    assert versions(stack, "flights_daily") == known
    evidence("the partition before stands, 1 alert names the test")


@products
@pytest.mark.behaviour("a contract breaks")
def test_a_model_that_breaks_its_contract_publishes_nothing(stack, evidence):
    before, known = carriers(stack, DAYS[1]), versions(stack, "flights_daily")
    model = stack.project.folder / "src/flight_marts/pipelines/flights_daily/dbt/models/marts/carrier_daily_v2.sql"
    good = model.read_text()
    bad = good.replace("select", "select 'late' as another_column,", 1)
    assert bad != good
    model.write_text(bad)
    try:
        fail(stack, DAYS[1], "an enforced contract that failed")
    finally:
        model.write_text(good)
    assert carriers(stack, DAYS[1]) == before
    assert versions(stack, "flights_daily") == known
    evidence("a column that the contract lacks: the partition before stands, 1 alert")


@products
@pytest.mark.behaviour("B7")
def test_a_backfill_of_tables_repeats_only_what_is_missing(stack, evidence):
    with changed(stack, DAYS[2], r"\Ayear,", "jahr,"):
        done = backfill(stack, DAYS[0], DAYS[2])
    assert done.returncode != 0
    assert carriers(stack, DAYS[0]) == counted(stack, DAYS[0])
    assert not carriers(stack, DAYS[2])
    known = versions(stack, "flights_daily")
    done = backfill(stack, DAYS[0], DAYS[2], "ONLY_MISSING=1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert versions(stack, "flights_daily") == known | {("flights_daily", DAYS[2]): 1}
    assert carriers(stack, DAYS[2]) == counted(stack, DAYS[2])
    evidence("2 of 3 days published; repeated, only the third ran")


@products
@pytest.mark.behaviour("B20")
def test_a_late_file_republishes_its_day_and_what_was_made_of_it(stack, evidence):
    """Last, as it leaves the engine looking for late input."""
    span = ("PIPELINE=board", f"FROM={DAYS[0]}", f"TO={DAYS[2]}")
    done = stack.engine.make("backfill", *span, timeout=3 * RUN_SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr
    known = settled(stack)
    assert {("board", day) for day in DAYS} <= known.keys()
    assert carriers(stack, DAYS[0], "fact_board") == counted(stack, DAYS[0])
    restart(stack, APP_LATE_INPUT__REPUBLISH="true", APP_LATE_INPUT__CHECK_SECONDS="5")
    file = stack.landing / DAYS[0] / "flights.csv"
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:-50]))
    again = {(name, DAYS[0]): known[name, DAYS[0]] + 1 for name in ("flights_daily", "board")}
    wait_until(stack, lambda: again.items() <= versions(stack).items(), "what changed is not published again")
    assert carriers(stack, DAYS[0], "fact_board") == carriers(stack, DAYS[0]) == counted(stack, DAYS[0])
    time.sleep(30)  # for more of it, which must not come
    assert versions(stack) == known | again
    evidence(
        "a file that changed: its day is published again, then the day of the pipeline that reads it, nothing else"
    )


@models
@pytest.mark.behaviour("B1")
def test_a_month_of_models_is_published_with_both_outcomes_of_the_gate(stack, evidence):
    succeed(stack, MONTHS[0])
    verdicts = dict(rows(stack, "SELECT origin, verdict FROM airport_delays_models"))
    assert verdicts == {"EWR": "promoted", "JFK": "promoted", "LGA": "rejected"}
    evidence(f"{stack.version}: 3 airports of the data, 2 models promoted, 1 rejected")


@models
@pytest.mark.behaviour("B6")
def test_a_month_of_models_again_is_one_exact_copy(stack, evidence):
    before = published_models(stack, MONTHS[0])
    held = stack.proxy.hold(rb'INSERT INTO "airport_delays_models"', times=1)
    run_id = stack.engine.trigger(MONTHS[0])
    wait_until(stack, lambda: held.seen, "it does not come to publishing")
    assert published_models(stack, MONTHS[0]) == before
    held.released.set()
    stack.engine.wait(run_id, "success", seconds=RUN_SECONDS)
    assert published_models(stack, MONTHS[0]) == before != []
    evidence("a reader saw one exact copy in the middle of publishing, and the same rows after it")


@models
@pytest.mark.behaviour("B3")
def test_a_file_of_another_header_trains_nothing(stack, evidence):
    with changed(stack, MONTHS[1], r"\Aday,", "tag,"):
        run_id = fail(stack, MONTHS[1], "prepare", "InputError")
    assert len(stack.engine.run(run_id).attempts["prepare"]) == 1
    assert not published_models(stack, MONTHS[1])
    evidence("1 attempt, nothing published, 1 alert")


@models
@pytest.mark.behaviour("B5")
def test_unreadable_rows_over_the_threshold_stop_the_run(stack, evidence):
    with changed(stack, MONTHS[1], r"^(\d+),(\d+),(..),(\d+),JFK,", r"\1,\2,\3,\4x,JFK,"):
        fail(stack, MONTHS[1], "prepare", "ContractError")
    assert not published_models(stack, MONTHS[1])
    evidence("a third of the rows unreadable: nothing published, 1 alert")


@models
@pytest.mark.behaviour("drift passes its limit")
def test_drift_over_its_limit_publishes_nothing(stack, evidence):
    limit = {"APP_PIPELINES__AIRPORT_DELAYS__MODEL__MAX_DRIFT": "0.1"}
    refused(stack, MONTHS[1], "dest has drifted by 0.16 since 2013-01 (at most 0.1 allowed)", **limit, **NO_RETRY)
    assert not published_models(stack, MONTHS[1])
    evidence("the run says which feature, by how much, since when; nothing published")


@models
@pytest.mark.behaviour("the registry is down")
def test_a_registry_that_does_not_answer_publishes_nothing(stack, evidence):
    down = {"APP_PIPELINES__AIRPORT_DELAYS__MODEL__REGISTRY_URL": "http://127.0.0.1:9"}
    refused(stack, MONTHS[1], "the model registry at http://127.0.0.1:9 does not answer", **down, **NO_RETRY)
    assert not published_models(stack, MONTHS[1])
    evidence("the run names its address; nothing published")


@models
@pytest.mark.behaviour("one mapped item fails")
def test_an_airport_that_fails_stops_no_other_and_is_made_good_alone(stack, evidence):
    with changed(stack, MONTHS[1], r"^(.*,LGA,.*),[^,\n]+$", r"\1,0"):  # no flight is late: a class is missing
        fail(stack, MONTHS[1], "LGA")
    assert not published_models(stack, MONTHS[1])
    done = stack.engine.make("run", "PIPELINE=airport_delays", f"DATE={MONTHS[1]}", timeout=RUN_SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("trained already") == 2, done.stdout
    assert len({row[1] for row in published_models(stack, MONTHS[1])}) == 3
    evidence("nothing published, 1 alert names it; the next run trained only that one, and published")


@models
@pytest.mark.behaviour("B7")
def test_a_backfill_of_models_repeats_only_what_is_missing(stack, evidence):
    known = versions(stack)
    done = backfill(stack, *MONTHS, "ONLY_MISSING=1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert versions(stack) == known
    evidence("of 2 months that are published, none ran")


@models
@pytest.mark.behaviour("B20")
def test_a_late_file_trains_and_publishes_its_month_again(stack, evidence):
    """Last, as it leaves the engine looking for late input."""
    known, before = versions(stack), published_models(stack, MONTHS[0])
    restart(stack, APP_LATE_INPUT__REPUBLISH="true", APP_LATE_INPUT__CHECK_SECONDS="5")
    file = stack.landing / MONTHS[1] / "flights.csv"
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:-50]))
    again = {("airport_delays", MONTHS[1]): known["airport_delays", MONTHS[1]] + 1}
    wait_until(stack, lambda: again.items() <= versions(stack).items(), "what changed is not published again")
    time.sleep(30)  # for more of it, which must not come
    assert versions(stack) == known | again
    assert published_models(stack, MONTHS[0]) == before
    evidence("a file that changed: its month is trained and published again, the other one is not")
