"""The shape data_products: where it is rendered, and that each orchestrator publishes the same tables of real files."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
import yaml
from combinations import files_in
from projects import RUN_SECONDS, SET_UP_SECONDS, STOP_SECONDS, TEST_SECONDS, UV, Project
from servers import free_port, receiver, watched_network
from test_rendering import expected_files, places_answered

ENGINES = {"airflow": "dags", "dagster": "src/flight_marts/defs", "prefect": "flows", "temporal": "workflows"}
DAY = "2013-01-02"
DBT = "src/flight_marts/pipelines/flights_daily/dbt"
SHAPE = {"pipeline_shape": "data_products", "accept_exclusion": "yes"}
RUN_OF_DBT = 2 * RUN_SECONDS  # it parses the models before each build


@pytest.mark.parametrize("engine", ENGINES)
def test_the_shape_that_is_answered_is_rendered(render, engine):
    folder = render(orchestrator=engine, **SHAPE)
    assert yaml.safe_load((folder / ".copier-answers.yml").read_text())["sample_shape"] == "data_products"
    places = places_answered(folder)
    assert files_in(folder) == expected_files((engine,), ["staging", "prod"], "github", "data_products", places)
    file = folder / ENGINES[engine] / "flights_daily.py"
    assert re.search(r'(steps|models)\.build\(|run_step\(PIPELINE, "build"', file.read_text())
    assert not (folder / "src/flight_marts/pipelines/flights_daily/transform.py").exists()
    assert ("dagster-dbt" in (folder / "pyproject.toml").read_text().split("[build-system]")[0]) == (
        engine == "dagster"
    )
    published = re.search(r"tables=\((.*?)\)", (folder / DBT).with_name("__init__.py").read_text()).group(1)
    component, *apis = yaml.safe_load_all((folder / "catalog-info.yaml").read_text())
    assert component["spec"]["providesApis"] == [api["metadata"]["name"] for api in apis]
    assert {api["spec"]["definition"]["$text"] for api in apis} == {
        f"./contracts/flights_daily/{file.name}" for file in (folder / "contracts/flights_daily").iterdir()
    }
    assert {each["spec"]["owner"] for each in (component, *apis)} == {"group:data-team"}
    for table in re.findall(r'"(\w+)"', published):
        assert f"`{table}`" in (folder / "README.md").read_text()
        assert list((folder / DBT).glob(f"models/marts/{table}.sql")), table


def test_other_projects_have_the_means_but_not_the_sample(render):
    folder = render(orchestrator="airflow")
    assert yaml.safe_load((folder / ".copier-answers.yml").read_text())["sample_shape"] == "batch_etl"
    assert not (folder / DBT).exists()
    assert not (folder / "contracts").exists()
    assert len(list(yaml.safe_load_all((folder / "catalog-info.yaml").read_text()))) == 1
    assert not (folder / "data/landing/flights_daily/reference").exists()
    assert (folder / "environments/dbt/pyproject.toml").is_file()


def test_a_project_that_cannot_run_models_has_nothing_of_dbt(render):
    folder = render(orchestrator="step_functions")
    assert not (folder / "environments").exists()
    assert not (folder / "src/flight_marts/platform/data_products.py").exists()
    for name in ("Makefile", "Dockerfile", "README.md", "docs/conventions.md", "src/flight_marts/commands.py"):
        assert "dbt" not in (folder / name).read_text(), name


def test_no_dbt_package_is_fetched_from_a_hub_and_usage_is_not_sent(template, render):
    for project in [
        *(template / "template").rglob("dbt_project.yml"),
        *(template / "pipeline").rglob("dbt_project.yml*"),
    ]:
        assert "send_anonymous_usage_stats: false" in project.read_text()
        assert not list(project.parent.glob("packages.yml")) + list(project.parent.glob("dependencies.yml"))
    folder = render(orchestrator="airflow", **SHAPE)
    assert '"DBT_SEND_ANONYMOUS_USAGE_STATS": "false"' in (folder / "src/flight_marts/platform/dbt.py").read_text()
    assert '"duckdb>=1.5,<2"' in (folder / "environments/dbt/pyproject.toml").read_text()


# The short run takes the one that needs a package for it.
@pytest.mark.parametrize("engine", [pytest.param(e, marks=() if e == "dagster" else pytest.mark.deep) for e in ENGINES])
def test_one_is_added_to_a_project_of_another_shape(render, engine, tmp_path):
    folder = shutil.copytree(render(orchestrator=engine, accept_exclusion="yes"), tmp_path / "project")
    sample = tmp_path / "orders.csv"
    sample.write_text("id,day,order,amount\n" + "".join(f"{n},2013-01-0{n % 3 + 1},a{n},{n}.5\n" for n in range(30)))
    command = [
        sys.executable,
        "scripts/pipeline.py",
        "--name",
        "orders",
        "--sample",
        str(sample),
        "--shape",
        "data_products",
    ]
    environment = {**os.environ, "UV": UV}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (folder / ENGINES[engine] / "orders.py").is_file()
    models = folder / "src/flight_marts/pipelines/orders/dbt/models"
    [model] = yaml.safe_load((models / "marts/marts.yml").read_text())["models"][:1]
    assert (model["name"], model["config"]["contract"]) == ("fct_orders", {"enforced": True})
    assert {column["name"]: (column["data_type"], column.get("data_tests")) for column in model["columns"]} == {
        "id": ("integer", ["not_null", "unique"]),
        "day": ("date", ["not_null"]),
        "order": ("text", ["not_null"]),
        "amount": ("double precision", ["not_null"]),
    }
    manifest = yaml.safe_load((Path(__file__).parents[1] / f"template/[[{engine}]]/manifest.yml").read_text())
    for package in manifest.get("shape_dependencies", {}).get("data_products", []):
        assert f'"{package}"' in (folder / "pyproject.toml").read_text()


@pytest.fixture(scope="module", params=ENGINES)
def project(request, render, tmp_path_factory) -> Project:
    """A project of this shape on each orchestrator, installed; a copy, as the rendered one is shared."""
    rendered = render(orchestrator=request.param, **SHAPE)
    folder = shutil.copytree(rendered, tmp_path_factory.mktemp("installed") / "project")
    file = folder / "pyproject.toml"
    file.write_text(file.read_text().replace('default-groups = ["dev"]', 'default-groups = ["dev", "telemetry"]'))
    made = Project(Path(folder), (request.param,))
    done = made.make("setup", timeout=SET_UP_SECONDS)
    assert done.returncode == 0, done.stderr
    return made


def published(project: Project, query: str) -> list[tuple]:
    with duckdb.connect(project.folder / "var" / "dev" / "warehouse.duckdb", read_only=True) as con:
        return con.execute(query).fetchall()


CARRIERS = """
    SELECT carrier, count(*), count(*) FILTER (dep_time = 'NA'), count(*) FILTER (arr_delay <> 'NA'),
        count(*) FILTER (try_cast(arr_delay AS INT) <= 15), avg(try_cast(arr_delay AS INT))
    FROM read_csv('{file}', all_varchar = true) GROUP BY carrier ORDER BY carrier
"""


IN_DAGSTER = """
import json, dagster as dg
from flight_marts.definitions import defs
from flight_marts.orchestration.dagster import instance

asset, model = dg.AssetKey("carrier_daily_v2"), dg.AssetKey(["flights_daily", "carrier_daily_v2"])
graph = defs().resolve_asset_graph()
with instance.opened() as opened:
    made, kpi = (opened.get_latest_materialization_event(key).asset_materialization.metadata for key in (
        asset, dg.AssetKey("on_time_share")))
    built = opened.get_latest_materialization_event(model).asset_materialization.metadata
    keys = graph.asset_check_keys
    checks = opened.event_log_storage.get_latest_asset_check_execution_by_key(list(keys))
made_of = built["dagster/column_lineage"].value.deps_by_column["on_time"]
print(json.dumps({
    "rows": made["dagster/partition_row_count"].value,
    "kpi": kpi["on_time_share"].value,
    "made of": [[*each.asset_key.path, each.column_name] for each in made_of],
    "owners": list(graph.get(asset).owners),
    "fresh": graph.get(asset).freshness_policy is not None,
    "checks": len(keys),
    "passed": sum(each.status.value == "SUCCEEDED" for each in checks.values()),
    "tests": sorted(key.name for key in keys if key.asset_key == model),
}))
"""


def check_what_dagster_shows(folder: Path) -> None:
    """Of a day that is published: figures, columns, owners and freshness of a table, and each test as a check."""
    command = [UV, "run", "--quiet", "--no-sync", "--env-file", "deploy/local/dagster.env", "python", "-c", IN_DAGSTER]
    environment = {**os.environ, "APP_ROOT": str(folder), "APP_ENV": "dev", "ORCHESTRATOR": "dagster"}
    environment.pop("VIRTUAL_ENV", None)
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout.splitlines()[-1])
    assert shown["rows"] > 10
    assert 0.5 < shown["kpi"] < 1
    assert shown["made of"] == [["flights_daily", "fct_flights", "arr_delay_min"]]
    assert shown["owners"]
    assert shown["fresh"]
    assert shown["passed"] == shown["checks"] > 30
    assert "unique_carrier_daily_v2_carrier" in shown["tests"]


def check_what_prefect_shows(folder: Path) -> None:
    """Of a day that is published: a task run for each model, among those of the steps."""
    with contextlib.closing(sqlite3.connect(folder / "var" / "dev" / "prefect" / "prefect.db")) as con:
        ended = dict(con.execute("SELECT name, state_type FROM task_run").fetchall())
    models = {re.sub(r"_v(\d+)$", r".v\1", path.stem) for path in (folder / DBT / "models").rglob("*.sql")}
    assert {name: ended.get(name) for name in models} == dict.fromkeys(models, "COMPLETED")


SHOWN = {"dagster": check_what_dagster_shows, "prefect": check_what_prefect_shows}


def check_events_of_a_run(events: list[dict], engine: str) -> None:
    """What a catalogue of lineage hears of a run that has published."""
    assert [event["eventType"] for event in events] == ["START", "RUNNING", "COMPLETE"]
    assert len({event["run"]["runId"] for event in events}) == 1
    last = events[-1]
    assert last["job"]["facets"]["jobType"]["integration"] == engine.upper()
    landed = {each["name"].rsplit("/", 1)[1]: each["facets"] for each in last["inputs"]}
    assert set(landed) == {"flights", "weather", "planes", "airlines", "airports"}
    assert "arr_delay" in [field["name"] for field in landed["flights"]["schema"]["fields"]]
    table = next(each for each in last["outputs"] if each["name"].endswith(".carrier_daily_v2"))
    assert table["outputFacets"]["outputStatistics"]["rowCount"] > 10
    assert "on_time" in [field["name"] for field in table["facets"]["schema"]["fields"]]
    made_of = table["facets"]["columnLineage"]["fields"]["on_time"]["inputFields"]
    assert ("flights", "arr_delay") in [(each["name"].rsplit("/", 1)[1], each["field"]) for each in made_of]


def check_events_of_a_failed_run(events: list[dict]) -> None:
    assert [event["eventType"] for event in events] == ["START", "FAIL"]
    assert len({event["run"]["runId"] for event in events}) == 1
    assert "tests fail" in events[-1]["run"]["facets"]["errorMessage"]["message"]


@pytest.mark.project
@pytest.mark.deep
def test_each_orchestrator_publishes_what_the_files_say_and_stops_at_a_failing_test(project):
    with receiver() as (address, events):
        done = project.make("run", f"DATE={DAY}", timeout=RUN_OF_DBT, APP_LINEAGE__OPENLINEAGE=address)
        assert done.returncode == 0, done.stdout + done.stderr
        of_the_run = list(events)
    assert not done.stderr.strip(), done.stderr
    file = project.folder / "data" / "landing" / "flights_daily" / DAY / "flights.csv"
    figures = (
        "SELECT carrier, flights, cancelled, arrived, on_time, mean_arr_delay_min FROM carrier_daily_v2 ORDER BY 1"
    )
    want, got = duckdb.sql(CARRIERS.format(file=file)).fetchall(), published(project, figures)
    assert [row[:5] for row in got] == [row[:5] for row in want]
    assert [row[5] for row in got] == pytest.approx([row[5] for row in want])
    assert published(project, "SELECT count(*) FROM fct_flights") == [(943,)]
    check_events_of_a_run(of_the_run, project.orchestrators[0])
    if look := SHOWN.get(project.orchestrators[0]):
        look(project.folder)

    good = file.read_text()
    file.write_text(good.replace(",B6,", ",ZZ,"))  # a carrier that airlines.csv does not list
    with receiver() as (address, events):
        done = project.make("run", f"DATE={DAY}", timeout=RUN_OF_DBT, APP_LINEAGE__OPENLINEAGE=address)
        failed = list(events)
    file.write_text(good)
    check_events_of_a_failed_run(failed)
    assert "Error 65" in done.stderr, done.stderr  # the exit code for bad rows
    assert "1 of 33 tests fail: relationships_fct_flights_carrier" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert published(project, figures) == got
    assert published(project, "SELECT partition, version FROM platform.published") == [(DAY, 1)]

    done = project.make("backfill", "FROM=2013-01-01", "TO=2013-01-03", "ONLY_MISSING=1", timeout=2 * RUN_OF_DBT)
    assert done.returncode == 0, done.stdout + done.stderr
    days = published(project, "SELECT flight_date::VARCHAR, count(*) FROM fct_flights GROUP BY 1 ORDER BY 1")
    assert days == [("2013-01-01", 842), ("2013-01-02", 943), ("2013-01-03", 914)]
    done = project.make("dbt", "ARGS=source freshness", timeout=RUN_OF_DBT)
    assert "PASS freshness of landed.flights" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 0
    done = project.make("impact", "TABLE=flights", "COLUMN=arr_delay", timeout=RUN_SECONDS)
    assert "carrier_daily_v2 (arrived, mean_arr_delay_min, on_time)" in done.stdout, done.stdout + done.stderr


def says_what_is_wrong(done: subprocess.CompletedProcess[str], words: str) -> None:
    """One sentence, before what make adds."""
    assert done.returncode != 0
    lines = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    assert len(lines) == 1, done.stderr
    assert words in lines[0]
    assert "Traceback" not in done.stdout


@pytest.mark.project
@pytest.mark.deep
def test_models_that_cannot_be_built_end_in_a_sentence_and_publish_nothing(project):
    marts = project.folder / DBT / "models" / "marts"
    model, day = marts / "airport_daily.sql", f"DATE={DAY}"
    assert project.make("run", day, timeout=RUN_OF_DBT).returncode == 0
    versions = published(project, "SELECT partition, version FROM platform.published ORDER BY ALL")
    done = project.make("run", day, timeout=RUN_OF_DBT, DBT_EXECUTABLE="/no/such/dbt")
    says_what_is_wrong(done, "DBT_EXECUTABLE=/no/such/dbt is no program: give the path of dbt, or unset it")
    good = model.read_text()
    for bad, words in (
        (good + "{{ ref('no_such_model') }}", "depends on a node named 'no_such_model' which was not found"),
        (good.replace("select", "select no_such_column,", 1), "no_such_column"),
    ):
        model.write_text(bad)
        done = project.make("run", day, timeout=RUN_OF_DBT)
        model.write_text(good)
        says_what_is_wrong(done, words)
    assert project.make("contracts", timeout=RUN_SECONDS).returncode == 0
    manifest = project.folder / "var/dev/dbt/flights_daily/parsed/manifest.json"
    manifest.write_text(manifest.read_text().replace("manifest/v12", "manifest/v20"))
    says_what_is_wrong(project.make("contracts", timeout=RUN_SECONDS), "and this project reads v12")
    manifest.unlink()
    assert published(project, "SELECT partition, version FROM platform.published ORDER BY ALL") == versions


@pytest.mark.project
@pytest.mark.deep
def test_no_tool_sends_anything_from_this_machine(project):
    """Neither a run with dbt nor the services: what leaves would come to the proxy."""
    [engine] = project.orchestrators
    port = {f"{engine.upper()}_PORT": str(free_port())}
    with watched_network() as (variables, asked):
        done = project.make("run", f"DATE={DAY}", timeout=RUN_OF_DBT, **variables)
        assert done.returncode == 0, done.stdout + done.stderr
        try:
            done = project.make("up", timeout=RUN_SECONDS, **variables, **port)
            assert done.returncode == 0, done.stdout + done.stderr
        finally:
            project.make("down", timeout=STOP_SECONDS, **variables, **port)
    assert not asked


@pytest.mark.project
@pytest.mark.deep
def test_its_own_tests_and_checks_pass(project):
    project.check_itself(2 * TEST_SECONDS)


@pytest.mark.project
@pytest.mark.deep
def test_a_change_that_breaks_a_released_contract_is_refused_with_who_reads_the_table(project):
    folder = project.folder
    for command in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "-m", "one"], ["tag", "v1.0.0"]):
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@example.com", *command], cwd=folder, check=True)
    marts = folder / DBT / "models" / "marts"
    before = {path: path.read_text() for path in marts.iterdir()}
    (marts / "carrier_daily_v2.sql").write_text(re.sub(r".* as on_time,\n", "", before[marts / "carrier_daily_v2.sql"]))
    text = re.sub(r".*name: on_time,.*\n", "", before[marts / "marts.yml"])
    (marts / "marts.yml").write_text(text.replace("exclude: [arrived, on_time]", "exclude: [arrived]"))
    assert project.make("contracts", timeout=RUN_SECONDS).returncode == 0
    done = project.make("lint", timeout=RUN_SECONDS)
    for path, text in before.items():
        path.write_text(text)
    assert done.returncode != 0
    assert "carrier_daily_v2: column on_time is removed, which breaks the contract released in v1.0.0" in done.stderr
    assert "punctuality_board (Network planning <network@example.com>)" in done.stderr
    assert "Traceback" not in done.stderr
