"""The way to a project from what is no orchestrator: the guide for that pair, and the sample before and after."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from combinations import MANIFESTS, ORCHESTRATORS, QUICK, SHAPES, answers_for, files_in
from orch_inventory import cli
from projects import RUN_SECONDS, SET_UP_SECONDS, UV, Project
from repository import ROOT

pytestmark = pytest.mark.deep
SOURCES = sorted(
    path.name.strip("[]").removeprefix("from_") for path in (ROOT / "template/[[shared]]").glob("?[[]from_*")
)
RUNNABLE = [source for source in SOURCES if source != "oozie"]
BIN = Path(sys.executable).parent
COMMANDS = re.compile(r"^```sh\n(.*?)^```", re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("name", ORCHESTRATORS)
@pytest.mark.parametrize("source", SOURCES)
def test_the_guide_is_for_exactly_this_pair(render, source, name):
    project = render(**answers_for((name,)), current_orchestrator=source)
    guide = (project / "migration" / "README.md").read_text()
    first = guide.splitlines()[0]
    assert source in first.lower()
    assert first.endswith(MANIFESTS[name]["name"])
    terms = {key: text.replace("<package>", "flight_marts") for key, text in MANIFESTS[name]["terms"].items()}
    missing = {key for key, text in terms.items() if text.replace("<name>", "flights_daily") not in guide}
    assert not missing
    for other in set(ORCHESTRATORS) - {name}:
        assert other not in guide.lower()


@pytest.mark.parametrize("shape", [shape for shape in SHAPES if shape != "batch_etl"])
def test_the_sample_of_another_shape_has_no_old_form(render, shape):
    project = render(orchestrator="dagster", pipeline_shape=shape, accept_exclusion="yes", current_orchestrator="luigi")
    assert files_in(project / "migration") == {"README.md", "same_rows.py"}


@pytest.fixture(scope="module")
def project(render, tmp_path_factory) -> Project:
    folder = shutil.copytree(render(**answers_for((QUICK,))), tmp_path_factory.mktemp("installed") / "project")
    made = Project(folder, (QUICK,))
    done = made.make("setup", timeout=SET_UP_SECONDS)
    assert done.returncode == 0, done.stderr
    return made


@pytest.fixture
def guided(project, render, tmp_path):
    """The project with the guide and the old form for a source, and what types the guide's commands."""

    def run(source: str):
        shutil.rmtree(project.folder / "migration", ignore_errors=True)
        shutil.rmtree(project.folder / "var", ignore_errors=True)
        rendered = render(**answers_for((QUICK,)), current_orchestrator=source)
        guide = Path(shutil.copytree(rendered / "migration", project.folder / "migration")) / "README.md"
        duckdb = tmp_path / "bin" / "duckdb"
        duckdb.parent.mkdir(exist_ok=True)
        duckdb.write_text(f'#!/bin/sh\nexec {UV} tool run --quiet --from "duckdb-cli<2" duckdb "$@"\n')
        duckdb.chmod(0o755)
        path = os.pathsep.join((str(duckdb.parent), str(Path(UV).parent), os.environ["PATH"]))
        commands = COMMANDS.search(guide.read_text())[1]
        return lambda text=commands: subprocess.run(
            ["sh", "-ec", text],
            cwd=project.folder,
            env={**os.environ, "PATH": path, "UV_SYSTEM_CERTS": "true"},
            capture_output=True,
            text=True,
            timeout=RUN_SECONDS,
            check=False,
        )

    return run


@pytest.mark.parametrize("source", RUNNABLE)
def test_the_commands_of_the_guide_end_in_identical_rows(guided, source):
    done = guided(source)()
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^fact_flights +943 +943 +0 +0", done.stdout, re.MULTILINE)
    assert done.stdout.splitlines()[-1] == "identical rows"


def test_a_difference_between_old_and_new_is_shown(guided, project):
    type_commands = guided("cron")
    sql = project.folder / "migration" / "before" / "publish.sql"
    sql.write_text(sql.read_text().replace("max(distance_mi)", "max(distance_mi) + 1"))
    done = type_commands()
    assert done.returncode == 1
    assert re.search(r"^daily_route_volume +176 +176 +176 +176", done.stdout, re.MULTILINE)
    assert "they differ" in done.stdout


def test_the_old_form_publishes_no_day_that_is_too_short(guided, project):
    type_commands = guided("luigi")
    landed = project.folder / "data" / "landing" / "flights_daily"
    short = shutil.copytree(landed / "2013-01-02", project.folder / "var" / "landing" / "2013-01-02")
    (short / "flights.csv").write_text("\n".join((short / "flights.csv").read_text().splitlines()[:200]))
    command = "LANDING=var/landing uv run --script migration/before/flights_daily.py PublishFlights --day 2013-01-02"
    done = type_commands(f"{command} --local-scheduler")
    assert done.returncode == 1
    assert "199 flights on 2013-01-02 are not a day of flights" in done.stderr


def test_wrong_use_of_the_comparison_ends_in_one_sentence(guided):
    type_commands = guided("cron")
    for arguments, said in (("nowhere", "name what the old form published"), ("data other", "no pipeline other")):
        done = type_commands(f".venv/bin/python migration/same_rows.py {arguments}")
        assert done.returncode == 1
        assert said in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("source", SOURCES)
def test_the_inventory_reads_the_old_form(render, source, capsys):
    project = render(**answers_for((QUICK,)), current_orchestrator=source, schedule="30 4 * * 1-5")
    assert cli.main([str(project / "migration"), "--format", "json"]) == 0
    inventory = json.loads(capsys.readouterr().out)
    assert [each["orchestrator"] for each in inventory["pipelines"]] == [source]
    assert "30 4 * * 1-5" in json.dumps(inventory["pipelines"])
    assert not inventory["problems"]


@pytest.mark.parametrize("source", SOURCES)
def test_linters_have_nothing_to_say(render, source):
    project = render(**answers_for((QUICK,)), current_orchestrator=source)
    commands = [
        [BIN / "ruff", "check", "--no-cache", "migration"],
        [BIN / "ruff", "format", "--check", "--no-cache", "migration"],
    ]
    commands += [[BIN / "shellcheck", script] for script in project.glob("migration/before/*.sh")]
    for command in [*commands, [BIN / "orch-standards"]]:
        done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
