"""Copying the template into a repository with files of its own: nothing is overwritten unasked (docs/adopting.md)."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest
import releases as r
from releases import NEW_LINE, NEXT, Releases, commit, files_of, update
from repository import ROOT, git

OWN = {
    "README.md": "# Our warehouse\n",
    "Makefile": "run:\n\techo ours\n",
    "pyproject.toml": '[project]\nname = "our-warehouse"\nversion = "3.1"\n',
    ".github/workflows/ci.yml": "on: push\n",
    "src/our_warehouse/__init__.py": '"""Ours."""\n',
    "dags/bookings.py": '"""Our DAG."""\n',
    "tests/conftest.py": '"""Our fixtures."""\n',
}
COPIER = [sys.executable, "-m", "copier", "copy"]
ANSWERS = ("--data", "orchestrator=airflow", "--vcs-ref", r.CURRENT)


@pytest.fixture(scope="module")
def releases(tmp_path_factory) -> Releases:
    made = r.clone_with_releases(tmp_path_factory.mktemp("releases") / "orch-starter")
    r.release_next(made)
    return made


@pytest.fixture
def repository(tmp_path) -> Path:
    """A repository with business code, a README, a Makefile and a pyproject.toml of its own."""
    folder = tmp_path / "repository"
    for name, text in OWN.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    git("init", "--quiet", cwd=folder)
    commit(folder)
    return folder


def own_files(repository: Path) -> dict[str, str]:
    return {name: (repository / name).read_text() for name in OWN}


def copy(releases: Releases, repository: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [*COPIER, "--defaults", *ANSWERS, *arguments, str(releases.folder), "."]
    return subprocess.run(
        command, cwd=repository, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
    )


def test_the_documented_command_adds_what_is_missing_and_touches_nothing(releases, repository, tmp_path):
    assert "copier copy --skip '*'" in (ROOT / "docs" / "adopting.md").read_text()
    done = copy(releases, repository, "--skip", "*")
    assert done.returncode == 0, done.stderr
    assert own_files(repository) == OWN
    rendered = files_of(releases.render(tmp_path / "rendered", r.CURRENT, orchestrator="airflow"))
    assert files_of(repository).keys() == rendered.keys() | OWN.keys()
    for name in OWN.keys() & rendered.keys():
        assert re.search(rf"skip\S*  {re.escape(name)}\n", done.stderr), f"{name} is not named"


def test_without_a_terminal_it_stops_at_the_first_file_that_exists(releases, repository):
    done = copy(releases, repository)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert own_files(repository) == OWN


@pytest.mark.deep
def test_at_a_terminal_it_asks_for_each_file(releases, repository):
    command = [*COPIER[1:], "--defaults", *ANSWERS, str(releases.folder), "."]
    asked = []
    options = {"cwd": repository, "dimensions": (50, 100), "encoding": "utf-8", "timeout": 60}
    with pexpect.spawn(sys.executable, command, **options) as screen:
        while screen.expect([r"Overwrite (\S+)\? ", pexpect.EOF]) == 0:
            if screen.match[1] not in asked:
                asked.append(screen.match[1])
                screen.send("n")
    assert screen.wait() == 0
    assert own_files(repository) == OWN
    assert set(asked) == {".github/workflows/ci.yml", "Makefile", "README.md", "pyproject.toml"}


def test_files_of_the_team_stay_even_when_all_is_to_be_overwritten(releases, repository):
    done = copy(releases, repository, "--overwrite")
    assert done.returncode == 0, done.stderr
    now = own_files(repository)
    team = ("dags/bookings.py", "tests/conftest.py", "src/our_warehouse/__init__.py")
    assert {name: now[name] for name in team} == {name: OWN[name] for name in team}
    assert now["README.md"] != OWN["README.md"]


@pytest.mark.deep
def test_an_adopted_repository_is_updated_and_skips_what_it_keeps_for_itself(releases, repository):
    assert copy(releases, repository, "--skip", "*").returncode == 0
    commit(repository)
    done = update(repository, "--skip", "README.md Makefile pyproject.toml .github/")
    assert done.returncode == 0, done.stdout + done.stderr
    assert own_files(repository) == OWN
    assert NEW_LINE in (repository / "config" / "dev.toml").read_text()
    assert r.answers_of(repository)["_commit"] == NEXT
