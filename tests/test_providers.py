"""A project reads what another one publishes: two rendered projects, on different orchestrators."""

from __future__ import annotations

import json
import shutil
import time
import urllib.request
from pathlib import Path

import duckdb
import pytest
from combinations import ORCHESTRATORS
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


@pytest.fixture(scope="module")
def consumer(render, provider, tmp_path_factory) -> Project:
    """A project on Dagster whose pipeline `punctuality` reads a table of the provider instead of files."""
    folder = Path(shutil.copytree(render(orchestrator="dagster"), tmp_path_factory.mktemp("consumer") / "project"))
    return make_reader(Project(folder, ("dagster",)), warehouse_of(provider))


def make_reader(made: Project, warehouse: Path) -> Project:
    """Give a project the pipeline `punctuality`, which reads the table that this warehouse holds, and set it up."""
    folder, sample = made.folder, made.folder / "carriers.csv"
    with duckdb.connect(warehouse, read_only=True) as con:
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
    settings.write_text(kept + PROVIDER.format(warehouse=warehouse))
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


class Warehouse:
    """What a provider's warehouse shows to those who read its table."""

    def __init__(self, path: Path) -> None:
        self.path, self.version = path, 0
        columns = [{"name": name, "physicalType": "text"} for name in COLUMNS.split(", ")]
        columns[0] |= {"physicalType": "date", "partitioned": True}
        contract = json.dumps({"version": "2.0.0", "schema": [{"properties": columns}]})
        self.run(
            "CREATE SCHEMA platform",
            'CREATE TABLE platform.published (pipeline text, partition text, version integer, "at" timestamp)',
            "CREATE TABLE platform.contracts (pipeline text, table_name text, contract text)",
            f"INSERT INTO platform.contracts VALUES ('flights_daily', '{TABLE}', '{contract}')",
            f"CREATE TABLE {TABLE} (flight_date date, carrier text, flights integer, on_time integer)",
        )

    def run(self, *statements: str) -> None:
        for _ in range(RUN_SECONDS):
            try:
                with duckdb.connect(self.path) as con:
                    for each in statements:
                        con.execute(each)
                return
            except duckdb.IOException:  # the reader looks at it
                time.sleep(1)
        pytest.fail("the provider's warehouse is always open")

    def publish(self, on_time: int) -> None:
        self.version += 1
        values = f"(DATE '{DAY}', 'AA', 100, {on_time}), (DATE '{DAY}', 'UA', 200, {on_time})"
        self.run(
            f"DELETE FROM {TABLE}",
            f"INSERT INTO {TABLE} VALUES {values}",
            f"INSERT INTO platform.published SELECT 'flights_daily', '{DAY}', {self.version}, now() AT TIME ZONE 'UTC'",
        )


def answer(url: str, body: dict | None = None, **headers: str) -> dict:
    data = json.dumps(body).encode() if body else None
    request = urllib.request.Request(url, data, {"Content-Type": "application/json", **headers})  # noqa: S310  loopback
    with urllib.request.urlopen(request, timeout=60) as answered:  # noqa: S310
        return json.load(answered)


def shown_by(engine: str, project: Project, port: int) -> list[str]:
    """Partitions of the provider's table that an orchestrator shows as published, in order."""
    url = f"http://127.0.0.1:{port}"
    if engine == "airflow":
        token = answer(f"{url}/auth/token")["access_token"]
        events = answer(f"{url}/api/v2/assets/events", Authorization=f"Bearer {token}")["asset_events"]
        return [each["partition_key"] for each in events]
    if engine == "dagster":
        fields = "{ ... on Asset { assetMaterializations { partition } } }"
        query = f'{{ assetOrError(assetKey: {{path: ["flight-marts", "{TABLE}"]}}) {fields} }}'
        asset = answer(f"{url}/graphql", {"query": query})["data"]["assetOrError"]
        return [each["partition"] for each in asset.get("assetMaterializations", ())]
    if engine == "prefect":
        wanted = {"filter": {"event": {"name": ["data-product.partition.published"]}}}
        return [each["payload"]["partition"] for each in answer(f"{url}/api/events/filter", wanted)["events"]]
    lines = (project.folder / f"var/dev/{engine}/worker.log").read_text().splitlines()
    return [DAY for line in lines if "published by a provider" in line and DAY in line]


@pytest.mark.project
@pytest.mark.deep
@pytest.mark.parametrize("engine", ORCHESTRATORS)
def test_the_services_show_what_is_published_and_run_again_what_is_published_again(engine, render, tmp_path):
    theirs = Warehouse(tmp_path / "theirs.duckdb")
    theirs.publish(on_time=80)
    folder = Path(shutil.copytree(render(orchestrator=engine, accept_exclusion="yes"), tmp_path / "project"))
    project, port = Project(folder, (engine,)), free_port()
    make_reader(project, theirs.path)
    settings = {
        f"{engine.upper()}_PORT": str(port),
        "APP_LATE_INPUT__REPUBLISH": "true",
        "APP_LATE_INPUT__CHECK_SECONDS": "5",
    }

    def published() -> list[tuple]:
        try:
            with duckdb.connect(warehouse_of(project), read_only=True) as con:
                versions = con.execute("SELECT pipeline, partition, version, engine FROM platform.published").fetchall()
                return [*versions, *con.execute("SELECT DISTINCT on_time FROM fact_punctuality").fetchall()]
        except duckdb.Error:  # a run writes into it, or nothing is there yet
            return []

    def wait_for(look, wanted) -> None:
        deadline = time.monotonic() + 2 * RUN_SECONDS
        while (there := look()) != wanted:
            assert time.monotonic() < deadline, there
            time.sleep(2)

    done = project.make("up", timeout=SET_UP_SECONDS, **settings)
    assert done.returncode == 0, done.stdout + done.stderr
    try:
        days = (f"FROM={DAY}", f"TO={DAY}")
        done = project.make("backfill", "PIPELINE=punctuality", *days, timeout=2 * RUN_SECONDS, **settings)
        assert done.returncode == 0, done.stdout + done.stderr
        first, second = (("punctuality", DAY, version, engine) for version in (1, 2))
        wait_for(published, [first, (80,)])
        wait_for(lambda: shown_by(engine, project, port), [DAY])
        theirs.publish(on_time=90)
        wait_for(published, [first, second, (90,)])
        wait_for(lambda: shown_by(engine, project, port), [DAY, DAY])
    finally:
        project.make("down", timeout=STOP_SECONDS, **settings)
