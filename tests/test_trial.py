"""`make trial` in a project with two orchestrators: what it measures, how it goes on, what it refuses and concludes."""

from __future__ import annotations

import json
import shutil
import subprocess
import textwrap
from pathlib import Path

import psutil
import pytest
from combinations import QUICK, answers_for
from projects import RUN_SECONDS, SET_UP_SECONDS, Project, processes_of

pytestmark = pytest.mark.deep
OTHER = "prefect"
NAMES = (QUICK, OTHER)
CONTENDERS = {*NAMES, f"{QUICK} again"}
TRIAL_SECONDS = 1800


@pytest.fixture(scope="module")
def project(render, tmp_path_factory) -> Project:
    folder = shutil.copytree(render(**answers_for(NAMES)), tmp_path_factory.mktemp("installed") / "project")
    made = Project(Path(folder), NAMES)
    done = made.make("setup", timeout=SET_UP_SECONDS)
    assert done.returncode == 0, done.stderr
    return made


@pytest.fixture
def trial(project):
    """Type `make trial` with these variables; `var/trial` is empty at first."""
    shutil.rmtree(project.folder / "var" / "trial", ignore_errors=True)
    return lambda *variables: project.make("trial", *variables, timeout=TRIAL_SECONDS)


def lines_of(project: Project) -> list[dict]:
    file = project.folder / "var" / "trial" / "results.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()[1:]]


def python(project: Project, program: str) -> subprocess.CompletedProcess[str]:
    """Run it in the project's environment."""
    command = [str(project.folder / ".venv" / "bin" / "python"), "-c", textwrap.dedent(program)]
    return subprocess.run(command, cwd=project.folder, capture_output=True, text=True, timeout=RUN_SECONDS, check=False)


def test_each_is_measured_and_the_first_one_twice(trial, project):
    done = trial("BLOCKS=1", "ONLY=load,first")
    assert done.returncode == 0, done.stdout + done.stderr
    cells = lines_of(project)
    assert {(cell["contender"], cell["metric"]) for cell in cells} == {
        (c, m) for c in CONTENDERS for m in ("load", "first")
    }
    assert all(cell["value"] > 0 for cell in cells)
    result = json.loads((project.folder / "var" / "trial" / "trial.json").read_text())
    assert [metric["id"] for metric in result["metrics"]] == ["first", "load"]
    page = (project.folder / "var" / "trial" / "index.html").read_text()
    for title in ("Dagster", "Prefect"):
        assert f"{title}." in page  # its paragraph
    assert page.count("<rect") == 4
    assert not (project.folder / "var" / "dev").exists(), "the project's own state is left alone"


def test_a_trial_that_was_cut_off_measures_only_what_is_missing(trial, project):
    assert trial("BLOCKS=1", "ONLY=load").returncode == 0
    file = project.folder / "var" / "trial" / "results.jsonl"
    first, *rest = file.read_text().splitlines()
    kept = [first, rest[0], rest[1], rest[2][: len(rest[2]) // 2]]  # as when the machine stops
    file.write_text("\n".join(kept))
    done = trial("BLOCKS=1", "ONLY=load")
    assert done.returncode == 0, done.stderr
    assert sum("block 1 of 1" in line for line in done.stdout.splitlines()) == 1
    assert len(lines_of(project)) == 3
    again = trial("BLOCKS=1", "ONLY=load")
    assert "block 1 of 1" not in again.stdout
    assert again.returncode == 0


def test_measurements_of_another_state_of_the_project_are_not_mixed(trial, project):
    assert trial("BLOCKS=1", "ONLY=load").returncode == 0
    config = project.folder / "config" / "dev.toml"
    before = config.read_text()
    config.write_text(before + "\n[quality]\nmin_rows = 2\n")
    try:
        done = trial("BLOCKS=2", "ONLY=load")
    finally:
        config.write_text(before)
    assert done.returncode != 0
    assert "begin again: rm -r var/trial" in done.stderr
    assert len(lines_of(project)) == 3


def test_services_are_measured_and_are_down_afterwards(trial, project):
    done = trial("BLOCKS=1", "ONLY=up,overhead,memory,failure,worker_killed,server_killed")
    assert done.returncode == 0, done.stdout + done.stderr
    values = {(cell["contender"], cell["metric"]): cell for cell in lines_of(project)}
    assert len(values) == 18
    for name in CONTENDERS:
        for metric in ("up", "overhead", "memory", "failure", "server_killed"):
            assert values[name, metric]["value"], values[name, metric]
        cut = values[name, "worker_killed"]
        assert cut["value"] or cut["note"], cut
    assert not processes_of(project.folder)


def test_services_are_measured_with_the_settings_of_their_makers_too(trial, project):
    done = trial("BLOCKS=1", "ONLY=load,up", "AS_MADE=1")
    assert done.returncode == 0, done.stdout + done.stderr
    measured = {(cell["contender"], cell["metric"]) for cell in lines_of(project)}
    as_made = {(f"{name} as made", "up") for name in NAMES}  # loading needs no services
    assert measured == {(name, metric) for name in CONTENDERS for metric in ("load", "up")} | as_made
    result = json.loads((project.folder / "var" / "trial" / "trial.json").read_text())
    assert set(result["as_made"]) == {"up"}
    assert all(result["as_made"]["up"][name]["median"] > 0 for name in NAMES)
    assert "with the settings of the makers" in done.stdout
    settings = project.folder / "var" / "trial" / "dagster-as-made" / "as_made" / "dagster.yaml"
    assert "run_retries" not in settings.read_text()
    assert not processes_of(project.folder)


def test_wrong_use_ends_in_one_sentence(trial, project):
    done = trial("BLOCKS=1", "ONLY=speed")
    assert "there is no measurement speed" in done.stderr
    program = """
        from flight_marts import orchestration
        from flight_marts.orchestration import trial
        from flight_marts.platform import pipelines
        from flight_marts.platform.errors import ConfigError

        CHANGE
        try:
            trial.run(pipelines.chosen(None), 1, [], 1)
        except ConfigError as error:
            print(error)
        """
    small = python(project, program.replace("CHANGE", "trial.FREE_MB = 10**7"))
    assert "MB are free; stop other programs" in small.stdout, small.stderr
    alone = python(project, program.replace("CHANGE", "orchestration.names = lambda: ['dagster']"))
    assert "this project has only dagster, so there is nothing to compare" in alone.stdout, alone.stderr
    assert not (project.folder / "var" / "trial").exists()


def test_a_command_that_takes_too_long_is_ended_with_all_that_it_has_started(project):
    program = """
        import random, subprocess
        from pathlib import Path
        from flight_marts import orchestration
        from flight_marts.orchestration.trial import Contender
        from flight_marts.platform import pipelines

        contender = Contender(orchestration.get("dagster"), Path("."), pipelines.chosen(None), random.Random(1))
        try:
            contender._run(["sh", "-c", "sleep 600 & echo $! > var/child; wait"], 0.5)
        except subprocess.TimeoutExpired:
            print("it took too long")
        """
    (project.folder / "var").mkdir(exist_ok=True)
    assert "it took too long" in python(project, program).stdout
    assert not psutil.pid_exists(int((project.folder / "var" / "child").read_text()))


def test_a_difference_is_told_from_noise(project):
    program = """
        import json, random
        from flight_marts import orchestration
        from flight_marts.orchestration.trial_result import Cell, summary

        chance, cells = random.Random(3), []
        centres = {"load": (1.0, 3.0), "first": (5.0, 5.02), "tests": ("broken", 7.0), "run_killed": ("no end", 7.0)}
        for metric, (one, two) in centres.items():
            for block in range(1, 11):
                for name, centre in (("dagster", one), ("prefect", two), ("dagster again", one)):
                    has_none = isinstance(centre, str)
                    value = None if has_none else centre + chance.gauss(0, 0.1)
                    cells.append(Cell(name, metric, block, value, "it broke" if has_none else "", centre == "no end"))
        engines = {name: orchestration.get(name) for name in ("dagster", "prefect")}
        print(json.dumps(summary(cells, list(engines), engines)))
        """
    done = python(project, program)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    verdicts = {m["id"]: {name: r["verdict"] for name, r in m["results"].items()} for m in result["metrics"]}
    assert verdicts["load"] == {"dagster": "best", "prefect": "worse"}
    assert "no difference seen" in verdicts["first"].values()
    assert verdicts["tests"] == {"dagster": "not measured", "prefect": "best"}
    assert verdicts["run_killed"] == {"dagster": "worse", "prefect": "best"}
    load = next(m for m in result["metrics"] if m["id"] == "load")["results"]["prefect"]
    low, high = load["interval"]
    assert low < 2.0 < high
    assert load["quartiles"][0] <= load["median"] <= load["quartiles"][1]
    assert "it broke" in result["words"]["dagster"]
    few = json.loads(python(project, program.replace("range(1, 11)", "range(1, 3)")).stdout)
    verdicts = {m["id"]: {name: r["verdict"] for name, r in m["results"].items()} for m in few["metrics"]}
    assert set(verdicts["load"].values()) == {"too few measurements to tell"}, "nor is one the best"
    assert verdicts["run_killed"]["dagster"] == "worse", "it never ended"
