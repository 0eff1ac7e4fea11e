"""The package as users get it: through pre-commit and through a generated project, needing no network afterwards."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from repository import ROOT, git

pytestmark = pytest.mark.project
BIN = Path(sys.executable).parent
UV = str(BIN / "uv")
UNREACHABLE = dict.fromkeys(
    ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), "http://127.0.0.1:9"
)


def run(command: list, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "PRE_COMMIT"))}
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**environment, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def repository(render, tmp_path) -> Path:
    """A generated project under version control."""
    folder = Path(shutil.copytree(render(orchestrator="prefect"), tmp_path / "project"))
    git("init", "--quiet", cwd=folder)
    git("add", "--all", cwd=folder)
    git("commit", "--quiet", "--message", "work", cwd=folder)
    return folder


@pytest.fixture(scope="module")
def wheels(tmp_path_factory) -> Path:
    """What a machine without a network has: the wheels that the package is built with and needs."""
    folder = tmp_path_factory.mktemp("wheels")
    project = tomllib.loads((ROOT / "hooks" / "pyproject.toml").read_text())
    needed = [*project["build-system"]["requires"], *project["project"]["dependencies"]]
    subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--dest", folder, *needed], check=True)
    return folder


def test_pre_commit_tries_the_repository_without_a_network(template, repository, wheels, tmp_path):
    offline = {
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(wheels),
        "PRE_COMMIT_HOME": str(tmp_path / "hooks"),
        **UNREACHABLE,
    }
    command = [BIN / "pre-commit", "try-repo", template, "--all-files"]
    done = run(command, repository, **offline)
    assert done.returncode == 0, done.stdout + done.stderr
    results = [line for line in done.stdout.splitlines() if line.endswith(("Passed", "Failed", "Skipped"))]
    assert len(results) == 9
    assert all(line.endswith("Passed") for line in results), done.stdout

    flow = repository / "flows" / "flights_daily.py"
    flow.write_text(flow.read_text().replace("name=PIPELINE.name,", ""))
    done = run([*command, "--verbose"], repository, **offline)
    assert done.returncode == 1
    assert "flows/flights_daily.py" in done.stdout
    assert "prefect-unnamed-flow" in done.stdout


def test_a_project_runs_the_standards_of_its_template_and_then_needs_no_network(repository, tmp_path):
    cache = {"UV_CACHE_DIR": str(tmp_path / "cache")}
    assert run(["make", "standards", f"UV={UV}"], repository, **cache).returncode == 0
    makefile = repository / "Makefile"
    makefile.write_text(f"<<<<<<< before updating\n{makefile.read_text()}>>>>>>> after updating\n")
    done = run([sys.executable, "scripts/standards.py", "--offline"], repository, UV=UV, **cache, **UNREACHABLE)
    assert done.returncode == 1
    assert "Makefile:1:1: conflict-marker: " in done.stdout, done.stdout + done.stderr


def test_an_installed_wheel_needs_nothing_of_this_repository(wheels, repository, tmp_path):
    environment = tmp_path / "environment"
    subprocess.run([UV, "venv", "--quiet", environment], check=True)
    python = environment / "bin" / "python"
    subprocess.run(
        [
            UV,
            "pip",
            "install",
            "--quiet",
            "--python",
            python,
            "--offline",
            "--find-links",
            wheels,
            "--no-index",
            ROOT / "hooks",
        ],
        check=True,
    )
    command = environment / "bin" / "orch-standards"
    assert run([command], repository).returncode == 0
    (repository / "src.rej").write_text("")
    assert run([command, "no-update-leftovers"], repository).returncode == 1
