"""A project on each orchestrator runs on the newer versions of Python that its pyproject.toml accepts."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from combinations import ORCHESTRATORS, answers_for
from projects import RUN_SECONDS, SET_UP_SECONDS, TEST_SECONDS, Project, python_of

NEWER = ("3.12", "3.13")  # than the one that all other tests run on


@pytest.mark.project
@pytest.mark.deep
@pytest.mark.parametrize("version", NEWER)
@pytest.mark.parametrize("project", ORCHESTRATORS)
def test_a_project_runs_and_its_tests_pass(render, tmp_path, project, version):
    if not (interpreter := python_of(version)):
        pytest.skip(f"Python {version} is not on this machine: install it, or with pyenv")
    made = Project(Path(shutil.copytree(render(**answers_for((project,))), tmp_path / "project")), (project,))
    chosen = {"UV_PYTHON": interpreter}
    done = made.make("run", "DATE=2013-01-02", timeout=SET_UP_SECONDS + RUN_SECONDS, **chosen)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "943 typed" in done.stdout
    python = made.folder / ".venv" / "bin" / "python"
    stated = subprocess.run([python, "--version"], capture_output=True, text=True, check=True).stdout
    assert stated.startswith(f"Python {version}.")
    done = made.make("test", timeout=TEST_SECONDS, **chosen)
    assert done.returncode == 0, done.stdout + done.stderr
