"""`make pipeline` writes a pipeline from a sample file: what it infers, what it refuses, and what it leaves alone."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
import yaml
from combinations import MANIFESTS
from projects import RUN_SECONDS, SET_UP_SECONDS, TEST_SECONDS, UV, Project
from repository import git

BY_FILE = [name for name, each in MANIFESTS.items() if "batch_etl" in each.get("shapes_by_file", [])]

HOURS = "\n".join(
    ["station,at,temp,class,Größe,note"]
    + [
        f"JFK,2013-01-0{day}T{hour:02}:{minute:02}:00Z,{hour}.5,A,{minute},NA"
        for day in (1, 2, 3)
        for hour in range(24)
        for minute in (0, 30)
    ]
)


@pytest.fixture(scope="module")
def rendered(render) -> Path:
    return render(orchestrator="airflow")


@pytest.fixture
def project(rendered, tmp_path) -> Path:
    """A project under version control, all committed."""
    folder = shutil.copytree(rendered, tmp_path / "project")
    git("init", "--quiet", cwd=folder)
    git("add", "--all", cwd=folder)
    git("commit", "--quiet", "--message", "project", cwd=folder)
    return folder


@pytest.fixture
def make_pipeline(project):
    """Adds a pipeline as `make pipeline` does, without fetching anything: ``make_pipeline("weather", sample)``."""

    def add(name: str, sample: Path | str, *options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "scripts/pipeline.py", "--name", name, "--sample", str(sample), *options]
        return subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)

    return add


@pytest.fixture
def sample(tmp_path) -> Path:
    file = tmp_path / "observations.csv"
    file.write_text(HOURS + "\n")
    return file


def added(project: Path) -> set[str]:
    """Files that are new, with nothing else changed."""
    status = git("status", "--porcelain", "--untracked-files=all", cwd=project).splitlines()
    assert all(line.startswith("?? ") for line in status), status
    return {line[3:] for line in status}


def facts(project: Path, name: str) -> dict:
    return yaml.safe_load((project / f"config/pipelines/{name}.answers.yml").read_text())["pipeline"]


def test_a_sample_becomes_a_pipeline_and_touches_no_other_file(project, make_pipeline, sample):
    done = make_pipeline("weather", sample, "--grain", "hour")
    assert done.returncode == 0, done.stderr
    package = "src/flight_marts"
    assert added(project) == {
        *(f"{package}/pipelines/weather/{module}.py" for module in ("__init__", "steps", "transform", "contract")),
        "dags/weather.py",
        "config/pipelines/weather.toml",
        "config/pipelines/weather.answers.yml",
        "tests/unit/test_weather.py",
        *(f"data/landing/weather/{key}/{file}" for key in landed(project) for file in ("observations.csv", "_SUCCESS")),
    }
    assert landed(project) == ["2013-01-01T01Z", "2013-01-01T02Z", "2013-01-01T03Z"]
    for file in added(project):
        if file.endswith(".py"):
            ast.parse((project / file).read_text())
    assert "run it: make run PIPELINE=weather" in done.stdout


def landed(project: Path) -> list[str]:
    return sorted(path.name for path in (project / "data/landing/weather").iterdir())


def test_types_keys_and_missing_values_are_inferred(project, make_pipeline, sample):
    assert make_pipeline("weather", sample, "--grain", "hour").returncode == 0
    columns = {column["source"]: column for column in facts(project, "weather")["columns"]}
    assert {source: (column["name"], column["type"]) for source, column in columns.items()} == {
        "station": ("station", "string"),
        "at": ("at", "timestamp"),
        "temp": ("temp", "decimal"),
        "class": ("class_", "string"),  # a keyword of Python
        "Größe": ("groe", "integer"),
        "note": ("note", "string"),
    }
    assert [source for source, column in columns.items() if column["key"]] == ["at"]
    assert [source for source, column in columns.items() if column["nullable"]] == ["note"]
    assert facts(project, "weather")["missing"] == "NA"
    assert facts(project, "weather")["partition_column"] == "at"


@pytest.mark.parametrize("form", ["parquet", "json"])
def test_other_files_are_read_too(project, make_pipeline, sample, tmp_path, form):
    file = tmp_path / f"observations.{form}"
    duckdb.sql(f"COPY (SELECT * FROM read_csv('{sample}')) TO '{file}' (FORMAT {form})")
    done = make_pipeline("weather", file, "--grain", "day")
    assert done.returncode == 0, done.stderr
    assert facts(project, "weather")["format"] == form
    assert (project / "data/landing/weather/2013-01-02" / file.name).is_file()


@pytest.mark.parametrize(
    ("grain", "keys"),
    [
        ("day", ["2013-01-01", "2013-01-02", "2013-01-03"]),
        ("week", ["2012-12-31"]),
        ("month", ["2013-01"]),
        ("none", ["_SUCCESS", "observations.csv"]),
    ],
)
def test_every_grain_lands_what_the_sample_holds(project, make_pipeline, sample, grain, keys):
    assert make_pipeline("weather", sample, "--grain", grain).returncode == 0
    assert landed(project) == keys


def add_sample(project: Path, name: str, shape: str) -> None:
    """Add the template's own sample of a shape that takes no file."""
    command = [sys.executable, "scripts/pipeline.py", "--name", name, "--shape", shape]
    environment = {**os.environ, "UV": UV}
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_pipeline_that_waits_for_a_decision_needs_no_sample(project):
    add_sample(project, "churn", "approval")
    assert '"numpy>=' in git("diff", "pyproject.toml", cwd=project)
    git("checkout", "pyproject.toml", cwd=project)
    assert added(project) == {
        *(f"src/flight_marts/pipelines/churn/{module}.py" for module in ("__init__", "steps", "model", "contract")),
        "dags/churn.py",
        "config/pipelines/churn.toml",
        "config/pipelines/churn.answers.yml",
        "tests/unit/test_churn.py",
        *(f"data/landing/churn/2013-01/{file}" for file in ("departures.csv", "_SUCCESS")),
    }
    for file in added(project):
        if file.endswith(".py"):
            ast.parse((project / file).read_text())
            assert "delay_model" not in (project / file).read_text()


def test_a_pipeline_that_asks_an_api_comes_with_a_recorded_day(project):
    add_sample(project, "latest", "service_glue")
    assert added(project) == {
        *(f"src/flight_marts/pipelines/latest/{part}.py" for part in ("__init__", "steps", "transform", "contract")),
        "dags/latest.py",
        "config/pipelines/latest.toml",
        "config/pipelines/latest.answers.yml",
        "tests/unit/test_latest.py",
        *(f"data/landing/latest/2013-01-02/{file}" for file in ("rows.ndjson", "_SUCCESS")),
    }
    for file in added(project):
        if file.endswith(".py"):
            ast.parse((project / file).read_text())
        assert "top_hundred" not in (project / file).read_text()


REFUSED = {
    "a sample for a shape that has its own": (("weather", "--shape", "approval"), "takes the template's own sample"),
    "a name with capitals": (("Weather",), "cannot be the name of a pipeline"),
    "a keyword": (("class",), "cannot be the name of a pipeline"),
    "an existing name": (("flights_daily",), "is there already"),
    "an unknown grain": (("weather", "--grain", "minute"), "GRAIN=minute is not one of hour, day"),
    "an unknown shape": (("weather", "--shape", "cube"), "SHAPE=cube is not one of batch_etl"),
    "an unknown orchestrator": (
        ("weather", "--orchestrator", "luigi"),
        "ORCHESTRATOR=luigi is not in this project: use one of airflow",
    ),
    "an unknown partition column": (("weather", "--partition-column", "temp"), "usable: at"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_wrong_answer_ends_in_one_sentence_and_writes_nothing(project, make_pipeline, sample, case):
    (name, *options), message = REFUSED[case]
    done = make_pipeline(name, sample, *options)
    assert done.returncode != 0
    assert len(done.stderr.strip().splitlines()) == 1
    assert message in done.stderr
    assert added(project) == set()


def test_a_shape_that_the_orchestrator_has_no_cell_for_is_refused(render, tmp_path, sample):
    folder = shutil.copytree(render(orchestrator="temporal", accept_exclusion="yes"), tmp_path / "project")
    file = folder / "pyproject.toml"
    rows = re.compile(r"^\[tool\.orch-starter\.shapes\.data_products\]\n(?:.+\n)*", re.MULTILINE)
    text, removed = rows.subn("", file.read_text())
    assert removed == 1
    file.write_text(text)
    command = [sys.executable, "scripts/pipeline.py", "--name", "tides", "--shape", "data_products"]
    done = subprocess.run([*command, "--sample", str(sample)], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert done.stderr == "error: SHAPE=data_products is not one of batch_etl, approval, service_glue, ml_dynamic\n"
    assert not (folder / "src" / "flight_marts" / "pipelines" / "tides").exists()


BAD_SAMPLES = {
    "no file": (None, "is not there"),
    "empty": ("", "holds no rows"),
    "a header alone": ("a,b\n", "holds no rows"),
    "a column without a name": ("at,\n2013-01-01,1\n", "column 2 of the sample has no name"),
    "no time": ("a,b\n1,2\n", "says which day a row belongs to"),
    "columns that differ in case": ("at,At,b\n2013-01-01,2013-01-01,3\n", "rename all but one"),
    "a column of the project's": ("at,source_row\n2013-01-01,1\n", "which the project uses itself"),
}


@pytest.mark.parametrize("case", BAD_SAMPLES)
def test_a_sample_that_cannot_be_used_ends_in_one_sentence(project, make_pipeline, tmp_path, case):
    text, message = BAD_SAMPLES[case]
    file = tmp_path / "bad.csv"
    if text is not None:
        file.write_text(text)
    done = make_pipeline("weather", file)
    assert done.returncode != 0
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert message in done.stderr
    assert added(project) == set()


def test_a_file_that_is_no_table_is_refused(project, make_pipeline, tmp_path):
    file = tmp_path / "picture.png"
    file.write_bytes(bytes(range(256)))
    assert "cannot be read as a table: give a file that ends in" in make_pipeline("weather", file).stderr
    renamed = file.rename(tmp_path / "picture.parquet")
    assert "cannot be read as a table" in make_pipeline("weather", renamed).stderr


def test_a_large_file_is_read_in_part(project, make_pipeline, tmp_path):
    file = tmp_path / "large.csv"
    rows = "SELECT range AS id, TIMESTAMP '2013-01-01' + to_seconds(range) AS at FROM range(1_000_000)"
    duckdb.sql(f"COPY ({rows}) TO '{file}' (HEADER)")
    done = make_pipeline("events", file, "--grain", "hour")
    assert done.returncode == 0, done.stderr
    key = json.loads(json.dumps(facts(project, "events")["landed"]))[0]
    assert len((project / f"data/landing/events/{key}/large.csv").read_text().splitlines()) == 3601


def test_a_second_time_is_refused_and_changes_nothing(project, make_pipeline, sample):
    make_pipeline("weather", sample, "--grain", "hour")
    before = {name: (project / name).read_bytes() for name in added(project)}
    done = make_pipeline("weather", sample, "--grain", "day")
    assert done.returncode == 2
    assert "is there already: choose another name, or remove it with: make pipeline-remove NAME=weather" in done.stderr
    assert {name: (project / name).read_bytes() for name in added(project)} == before


@pytest.fixture
def logs(tmp_path) -> Path:
    """A folder with the logs of three machines, each with rows of three days."""
    return write_logs(tmp_path / "logs")


def write_logs(folder: Path) -> Path:
    folder.mkdir()
    for machine in ("web-1", "web-2", "worker.eu"):
        rows = [f"2013-01-0{day}T{hour:02}:00:00Z,{machine},{hour}" for day in (1, 2, 3) for hour in range(24)]
        (folder / f"{machine}.csv").write_text("\n".join(["at,machine,requests", *rows]) + "\n")
    return folder


def test_a_folder_becomes_a_pipeline_that_maps_a_step_over_its_files(project, make_pipeline, logs):
    done = make_pipeline("visits", logs)
    assert done.returncode == 0, done.stderr
    assert (facts(project, "visits")["file"], facts(project, "visits")["by_file"]) == ("*.csv", True)
    day = project / "data/landing/visits/2013-01-02"
    assert sorted(each.name for each in day.iterdir()) == ["_SUCCESS", "web-1.csv", "web-2.csv", "worker.eu.csv"]
    assert len((day / "web-2.csv").read_text().splitlines()) == 25
    assert "extract.expand(file=files)" in (project / "dags/visits.py").read_text()
    assert '"by_file": true' in (project / "config/pipelines/visits.answers.yml").read_text()


def test_where_no_step_is_mapped_the_files_are_one_source(render, tmp_path, logs):
    folder = shutil.copytree(render(orchestrator="step_functions"), tmp_path / "project")
    command = [sys.executable, "scripts/pipeline.py", "--name", "visits", "--sample", str(logs)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert facts(folder, "visits")["by_file"] is False
    assert (
        'BatchEtl(PIPELINE, Csv("*.csv", COLUMNS))'
        in (folder / "src/flight_marts/pipelines/visits/steps.py").read_text()
    )


BAD_FOLDERS = {
    "empty": ({}, "holds no files"),
    "of several kinds": ({"a.csv": "at\n2013-01-01\n", "b.json": "{}"}, "holds files of several kinds (.csv, .json)"),
    "of several headers": (
        {"a.csv": "at,n\n2013-01-01,1\n", "b.csv": "at,m\n2013-01-01,1\n"},
        "b.csv has another header than a.csv",
    ),
}


@pytest.mark.parametrize("case", BAD_FOLDERS)
def test_a_folder_that_cannot_be_used_ends_in_one_sentence(project, make_pipeline, tmp_path, case):
    files, message = BAD_FOLDERS[case]
    (folder := tmp_path / "sample").mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    done = make_pipeline("visits", folder)
    assert done.returncode != 0
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert message in done.stderr
    assert added(project) == set()


@pytest.mark.project
@pytest.mark.deep
@pytest.mark.parametrize("engine", BY_FILE)
def test_each_file_is_a_step_and_one_that_cannot_be_read_stops_no_other(render, tmp_path, engine):
    folder = shutil.copytree(render(orchestrator=engine, accept_exclusion="yes"), tmp_path / "project")
    project = Project(folder, (engine,))
    sample = write_logs(tmp_path / "logs")
    done = project.make("pipeline", "NAME=visits", f"SAMPLE={sample}", timeout=SET_UP_SECONDS)
    assert done.returncode == 0, done.stderr
    assert project.make("setup", timeout=SET_UP_SECONDS).returncode == 0
    run = ("run", "PIPELINE=visits", "DATE=2013-01-02")
    done = project.make(*run, timeout=RUN_SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr
    by_machine = "SELECT machine, count(*), sum(requests) FROM fact_visits GROUP BY 1 ORDER BY 1"
    want = [("web-1", 24, 276), ("web-2", 24, 276), ("worker.eu", 24, 276)]
    assert rows_of(folder, by_machine) == want
    bad = folder / "data/landing/visits/2013-01-02/web-2.csv"
    good = bad.read_text()
    bad.write_text(good.replace("requests", "visits", 1))
    done = project.make(*run, timeout=RUN_SECONDS, APP_RETRIES__ATTEMPTS="0")
    assert done.returncode != 0
    assert "web-2.csv has another header (missing: requests; unknown: visits)" in done.stderr, done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    for other in ("web-1.csv", "worker.eu.csv"):
        assert other in done.stdout
    assert rows_of(folder, by_machine) == want
    bad.write_text(good + "2013-01-02T23:30:00Z,web-2\n")  # a line that cannot be split
    done = project.make(*run, timeout=RUN_SECONDS, APP_PIPELINES__VISITS__QUALITY__MAX_QUARANTINED_SHARE="0.5")
    assert done.returncode == 0, done.stderr
    assert rows_of(folder, by_machine) == want
    [(reason,)] = rows_of(folder, "SELECT reason FROM fact_visits_quarantine")
    assert reason.startswith("web-2.csv: ")
    bad.write_text(good)
    project.check_itself(TEST_SECONDS)


def rows_of(folder: Path, query: str) -> list[tuple]:
    with duckdb.connect(folder / "var/dev/warehouse.duckdb", read_only=True) as con:
        return con.execute(query).fetchall()
