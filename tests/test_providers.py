"""A project reads what another one publishes: two rendered projects, on different orchestrators."""

from __future__ import annotations

import contextlib
import shutil
import time
from pathlib import Path

import duckdb
import pytest
import requests
from projects import RUN_SECONDS, SET_UP_SECONDS, STOP_SECONDS, Project
from servers import free_port, receiver

DAY, LATER, TABLE = "2013-01-02", "2013-01-03", "carrier_daily_v2"
COLUMNS = "flight_date, carrier, flights, on_time"
PROVIDER = """
[providers.carriers]
project = "flight-marts"
warehouse = "duckdb://{warehouse}"
pipeline = "flights_daily"
table = "carrier_daily_v2"
contract = "2.0.0"
"""


@pytest.fixture(scope="module")
def provider(render, tmp_path_factory) -> Project:
    """Data products on Prefect, with one day published."""
    rendered = render(orchestrator="prefect", pipeline_shape="data_products", accept_exclusion="yes")
    folder = shutil.copytree(rendered, tmp_path_factory.mktemp("provider") / "project")
    made = Project(Path(folder), ("prefect",))
    for arguments, seconds in ((["setup"], SET_UP_SECONDS), (["run", f"DATE={DAY}"], 2 * RUN_SECONDS)):
        done = made.make(*arguments, timeout=seconds)
        assert done.returncode == 0, done.stdout + done.stderr
    return made


def warehouse_of(project: Project) -> Path:
    return project.folder / "var" / "dev" / "warehouse.duckdb"


def rows_of(project: Project, table: str) -> list[tuple]:
    with duckdb.connect(warehouse_of(project), read_only=True) as con:
        return con.execute(f"SELECT {COLUMNS} FROM {table} ORDER BY ALL").fetchall()


@pytest.fixture(scope="module", params=["dagster", "airflow", "prefect"])
def consumer(request, render, provider, tmp_path_factory) -> Project:
    """A project whose pipeline `punctuality` reads a table of the provider instead of files."""
    rendered = render(orchestrator=request.param, accept_exclusion="yes")
    folder = shutil.copytree(rendered, tmp_path_factory.mktemp("consumer") / "project")
    made = Project(Path(folder), (request.param,))
    sample = folder / "carriers.csv"
    with duckdb.connect(warehouse_of(provider), read_only=True) as con:
        con.execute(f"COPY (SELECT {COLUMNS} FROM {TABLE}) TO '{sample}' (HEADER)")
    done = made.make(
        "pipeline", "NAME=punctuality", f"SAMPLE={sample}", "PARTITION_COLUMN=flight_date", timeout=RUN_SECONDS
    )
    assert done.returncode == 0, done.stderr
    steps = folder / "src/flight_marts/pipelines/punctuality/steps.py"
    text = steps.read_text().replace("platform.sources import Csv", "platform.providers import Provided")
    assert 'Csv("carriers.csv", COLUMNS)' in text
    steps.write_text(text.replace('Csv("carriers.csv", COLUMNS)', 'Provided("carriers", COLUMNS)'))
    settings = folder / "config/pipelines/punctuality.toml"
    shutil.rmtree(folder / "data/landing/punctuality")
    kept = settings.read_text().split("[env.dev.landing]")[0]
    settings.write_text(kept + PROVIDER.format(warehouse=warehouse_of(provider)))
    done = made.make("setup", timeout=SET_UP_SECONDS)
    assert done.returncode == 0, done.stderr
    return made


@pytest.mark.project
@pytest.mark.deep
def test_a_table_of_one_project_is_the_input_of_another(provider, consumer):
    done = consumer.make("run", "PIPELINE=punctuality", f"DATE={DAY}", timeout=RUN_SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr
    assert rows_of(consumer, "fact_punctuality") == rows_of(provider, TABLE) != []
    done = consumer.make("run", "PIPELINE=punctuality", f"DATE={LATER}", timeout=RUN_SECONDS)
    assert "Error 66" in done.stderr, done.stderr  # no input yet
    assert f"no input: {TABLE} {LATER} of flight-marts has not arrived" in done.stderr


@pytest.mark.project
@pytest.mark.deep
def test_who_is_late_or_changes_a_contract_is_reported_to_the_readers_alert_channel(provider, consumer):
    with receiver() as (address, alerts):
        channel = {
            "APP_ALERTS__URL": "secret:alerts",
            "APP_SECRET_ALERTS": address.replace("http://", "json://"),
        }
        for _ in range(2):  # an alert is sent once
            late = consumer.make("providers", timeout=RUN_SECONDS, **channel)
            assert "Error 75" in late.stderr
        assert f"the newest that is published is {DAY}" in late.stderr
        assert late.stdout.split()[-6:] == ["punctuality", "flight-marts", TABLE, "2.0.0", DAY, "late"]
        settings = consumer.folder / "config/pipelines/punctuality.toml"
        before = settings.read_text()
        settings.write_text(before.replace('contract = "2.0.0"', 'contract = "1.0.0"'))
        broken = consumer.make("providers", timeout=RUN_SECONDS, **channel)
        run = consumer.make("run", "PIPELINE=punctuality", f"DATE={DAY}", timeout=RUN_SECONDS, **channel)
        settings.write_text(before)
    reason = f"flight-marts publishes {TABLE} under contract 2.0.0, and punctuality is written for 1.0.0"
    assert reason in broken.stderr
    assert reason in run.stderr
    assert "Traceback" not in broken.stderr + run.stderr
    from_providers = [alert["message"] for alert in alerts if "has a provider" in alert["title"]]
    assert len(from_providers) == 2
    assert f"the newest that is published is {DAY}" in from_providers[0]
    assert reason in from_providers[1]
    assert rows_of(consumer, "fact_punctuality") == rows_of(provider, TABLE)


def versions_of(project: Project, pipeline: str) -> dict[str, int]:
    """How often each partition of a pipeline was published."""
    selected = "SELECT partition, max(version) FROM platform.published WHERE pipeline = ? GROUP BY partition"
    with duckdb.connect(warehouse_of(project), read_only=True) as con:
        return dict(con.execute(selected, [pipeline]).fetchall())


def shown_by_airflow(port: int) -> list[tuple[str, int]]:
    """Partitions and versions of the provider's table, as events of the asset."""
    token = {"Authorization": f"Bearer {answer_of(port, '/auth/token')['access_token']}"}
    events = answer_of(port, "/api/v2/assets/events?limit=100", headers=token)["asset_events"]
    noted = [event["extra"]["versions"] for event in events if "versions" in (event["extra"] or {})]
    return [each for versions in noted for each in versions.items()]


def shown_by_dagster(port: int) -> list[tuple[str, int]]:
    """The same as materializations of the external asset."""
    query = f'{{ assetOrError(assetKey: {{path: ["flight-marts", "{TABLE}"]}}) {{ ... on Asset {{ '
    query += "assetMaterializations { partition metadataEntries { label ... on IntMetadataEntry { intValue } } } } } }"
    asset = answer_of(port, "/graphql", {"query": query})["data"]["assetOrError"]
    return [
        (event["partition"], entry["intValue"])
        for event in asset.get("assetMaterializations", [])
        for entry in event["metadataEntries"]
        if entry["label"] == "version"
    ]


def shown_by_prefect(port: int) -> list[tuple[str, int]]:
    """The same as events."""
    wanted = {"filter": {"event": {"name": ["data-product.partition.published"]}}, "limit": 50}
    events = answer_of(port, "/api/events/filter", wanted)["events"]
    return [(event["payload"]["partition"], event["payload"]["version"]) for event in events]


SHOWN_BY = {"airflow": shown_by_airflow, "dagster": shown_by_dagster, "prefect": shown_by_prefect}


def answer_of(port: int, path: str, body: dict | None = None, headers: dict[str, str] | None = None) -> dict:
    """JSON that the orchestrator's server answers."""
    method = "GET" if body is None else "POST"
    answer = requests.request(method, f"http://127.0.0.1:{port}{path}", json=body, headers=headers, timeout=60)
    answer.raise_for_status()
    return answer.json()


@pytest.mark.project
@pytest.mark.deep
def test_what_a_provider_publishes_again_is_shown_and_published_again_by_the_services_of_its_reader(provider, consumer):
    assert consumer.make("late", timeout=RUN_SECONDS).stdout.strip() == "no late input"
    before, known = rows_of(consumer, "fact_punctuality"), versions_of(consumer, "punctuality")
    file = provider.folder / "data/landing/flights_daily" / DAY / "flights.csv"
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:-50]))
    done = provider.make("late", "REPUBLISH=1", timeout=2 * RUN_SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr
    corrected, version = rows_of(provider, TABLE), versions_of(provider, "flights_daily")[DAY]
    assert corrected != before
    listed = consumer.make("late", timeout=RUN_SECONDS).stdout.splitlines()[1:]
    assert [line.split()[:2] for line in listed] == [["punctuality", DAY]]

    [engine] = consumer.orchestrators
    port = free_port()
    services = {f"{engine.upper()}_PORT": str(port), "APP_LATE_INPUT__REPUBLISH": "true"}
    services["APP_LATE_INPUT__CHECK_SECONDS"] = "5"
    try:
        done = consumer.make("up", timeout=2 * RUN_SECONDS, **services)
        assert done.returncode == 0, done.stdout + done.stderr
        end, seen, shown = time.monotonic() + 3 * RUN_SECONDS, before, []
        while seen != corrected or (DAY, version) not in shown:
            assert time.monotonic() < end, f"read again: {seen == corrected}; shown: {shown}"
            time.sleep(1)
            shown = SHOWN_BY[engine](port)
            with contextlib.suppress(duckdb.IOException):  # a run writes
                seen = rows_of(consumer, "fact_punctuality")
    finally:
        consumer.make("down", timeout=STOP_SECONDS, **services)
    assert len(shown) == len(set(shown)), "each publication once"
    assert versions_of(consumer, "punctuality") == {DAY: known[DAY] + 1}
    assert consumer.make("late", timeout=RUN_SECONDS).stdout.strip() == "no late input"
