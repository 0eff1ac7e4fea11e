"""A project made with 0.1 runs on after the update: as it is on Airflow, with the documented step on the others."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest
import releases as r
from conftest import ROOT
from projects import RUN_SECONDS, SET_UP_SECONDS, Project
from test_rendering import ORCHESTRATORS

pytestmark = pytest.mark.project
# What docs/updating.md copies from a fresh render.
REWRITTEN = {
    "airflow": [],
    "dagster": ["src/*/defs/flights_daily.py", "tests/integration/dagster/test_flights_daily.py"],
    "prefect": ["flows/flights_daily.py", "tests/integration/prefect/test_flights_daily.py"],
}


@pytest.mark.parametrize("project", ORCHESTRATORS)
def test_a_project_of_0_1_runs_after_the_update(tmp_path, project):
    releases = r.clone_with_releases(tmp_path / "orch-starter")
    folder = releases.project(tmp_path / "project", "v0.1.0", orchestrator=project)
    transform = next(folder.glob("src/*/pipelines/flights_daily/transform.py"))
    transform.write_text(transform.read_text() + "\n# ours\n")
    (folder / ".pre-commit-config.yaml").unlink()
    r.commit(folder)
    guide = (ROOT / "docs" / "updating.md").read_text()
    assert 'scripts/update.py" --project .' in guide
    done = r.update_from_outside(folder, "--version", r.CURRENT)
    assert done.returncode == 0, done.stdout + done.stderr
    r.commit(folder)
    rendered = tmp_path / "as-rendered"
    command = [sys.executable, "-m", "copier", "copy", "--defaults", "--data-file", r.ANSWERS, "--vcs-ref", r.CURRENT]
    subprocess.run([*command, str(releases.folder), str(rendered)], cwd=folder, check=True, capture_output=True)
    for pattern in REWRITTEN[project]:
        assert pattern in guide
        for path in rendered.glob(pattern):
            shutil.copy(path, folder / path.relative_to(rendered))
    assert not (folder / ".pre-commit-config.yaml").exists(), "what the team deleted stays away"
    assert transform.read_text().endswith("# ours\n")
    made = Project(folder, (project,))
    done = made.make("run", "DATE=2013-01-02", timeout=SET_UP_SECONDS + RUN_SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "943" in done.stdout
