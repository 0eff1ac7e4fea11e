"""A project made with 0.1 runs on after the update: as it is on Airflow, with the documented step on the others."""

from __future__ import annotations

import contextlib
import io

import copier
import pytest
import releases as r
from conftest import ROOT
from projects import RUN_SECONDS, SET_UP_SECONDS, Project
from test_rendering import ORCHESTRATORS

pytestmark = pytest.mark.project
# What docs/updating.md tells to remove; the template then writes it anew.
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
    r.commit(folder)
    with contextlib.redirect_stderr(io.StringIO()):
        copier.run_update(folder, vcs_ref=r.CURRENT, defaults=True, overwrite=True, quiet=True, unsafe=False)
    r.commit(folder)
    guide = (ROOT / "docs" / "updating.md").read_text()
    for pattern in REWRITTEN[project]:
        assert pattern in guide
        for path in folder.glob(pattern):
            path.unlink()
    if REWRITTEN[project]:
        assert "copier recopy --defaults --skip '*'" in guide
        with contextlib.redirect_stderr(io.StringIO()):
            copier.run_recopy(folder, vcs_ref=r.CURRENT, defaults=True, skip_if_exists=["*"], quiet=True, unsafe=False)
    assert transform.read_text().endswith("# ours\n")
    made = Project(folder, (project,))
    done = made.make("run", "DATE=2013-01-02", timeout=SET_UP_SECONDS + RUN_SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "943" in done.stdout
