"""Moving a pipeline between two orchestrators of a project: nothing is lost or published twice, whatever is killed."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from projects import RUN_SECONDS, SET_UP_SECONDS, Project
from repository import ROOT
from servers import postgresql_server

ROUNDS = 100
ROUNDS_SECONDS = 1800
NAME, OLD, NEW = "flights_daily", "dagster", "prefect"
SETTINGS = f"config/pipelines/{NAME}.toml"


@pytest.fixture(scope="module")
def project(render, tmp_path_factory) -> Project:
    """Both have the pipeline's file; commands run in the environment of the first one."""
    rendered = render(orchestrator=OLD, also_orchestrators=[NEW])
    made = Project(Path(shutil.copytree(rendered, tmp_path_factory.mktemp("cutover") / "project")), (OLD, NEW))
    done = made.make(f".setup-{OLD}", timeout=SET_UP_SECONDS)
    assert done.returncode == 0, done.stderr
    return made


@pytest.mark.project
@pytest.mark.deep
def test_a_hundred_rounds_with_kills_lose_and_double_nothing(project):
    before = (project.folder / SETTINGS).read_text()
    with postgresql_server() as url:
        environment = {"APP_ROOT": str(project.folder), "APP_ENV": "dev", "APP_WAREHOUSE__URL": url, "PATH": "/usr/bin"}
        command = [project.folder / ".venv/bin/python", ROOT / "tests/cutover_rounds.py", "flight_marts", str(ROUNDS)]
        done = subprocess.run(
            [*command, OLD, NEW],
            env=environment,
            cwd=project.folder,
            capture_output=True,
            text=True,
            timeout=ROUNDS_SECONDS,
            check=False,
        )
    (project.folder / SETTINGS).write_text(before)  # the last round may have named either orchestrator
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert (result["lost"], result["doubled"], result["wrong"]) == (0, 0, 0), done.stderr
    assert result["rounds"] == ROUNDS
    assert result["rounds_that_moved"] > ROUNDS * 0.9
    assert result["kills"] > ROUNDS


@pytest.mark.project
@pytest.mark.deep
def test_the_command_moves_a_pipeline_goes_on_after_a_crash_and_gives_it_back(project):
    def cutover(*arguments: str) -> subprocess.CompletedProcess[str]:
        return project.make("cutover", f"ORCHESTRATOR={OLD}", *arguments, timeout=RUN_SECONDS)

    run = project.make("run", "DATE=2013-01-02", f"ORCHESTRATOR={OLD}", timeout=RUN_SECONDS)
    assert run.returncode == 0, run.stderr
    moved = cutover(f"TO={NEW}")
    assert moved.returncode == 0, moved.stderr
    assert f"{NAME}: {NEW} has 2013-01-03 and later" in moved.stdout
    assert "due, and not published: 2013-01-03" in moved.stdout
    assert f'orchestrator = "{NEW}"' in (project.folder / SETTINGS).read_text()
    first, again = (
        [line for line in each.stdout.splitlines() if not line.startswith("config/")]  # said only when it changes
        for each in (moved, cutover(f"TO={NEW}"))
    )
    assert again == first, "as after a crash"
    refused = project.make("run", "DATE=2013-01-03", f"ORCHESTRATOR={OLD}", timeout=RUN_SECONDS)
    assert f"2013-01-03 belongs to {NEW}, to which it was handed over, and this run is of {OLD}" in refused.stderr
    again = project.make("run", "DATE=2013-01-02", f"ORCHESTRATOR={OLD}", timeout=RUN_SECONDS)
    assert again.returncode == 0, "what it published before stays its own"
    back = cutover("BACK=1")
    assert f"{NAME}: {OLD} has 2013-01-03 and later" in back.stdout
    assert f'orchestrator = "{OLD}"' in (project.folder / SETTINGS).read_text()
    run = project.make("run", "DATE=2013-01-03", f"ORCHESTRATOR={OLD}", timeout=RUN_SECONDS)
    assert run.returncode == 0, run.stderr


@pytest.mark.project
@pytest.mark.deep
@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((), "say where the pipeline moves: TO=<orchestrator>, or BACK=1 for the one before"),
        (("TO=airflow",), "orchestrator airflow is not in this project"),
    ],
)
def test_what_cannot_be_moved_is_refused_in_a_sentence(project, arguments, reason):
    refused = project.make("cutover", f"ORCHESTRATOR={OLD}", *arguments, timeout=RUN_SECONDS)
    assert refused.returncode
    assert reason in refused.stderr
    assert "Traceback" not in refused.stderr
