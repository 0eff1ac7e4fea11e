"""A project made with 0.1 runs after the update and the steps that docs/updating.md says."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
import releases as r
from projects import RUN_SECONDS, SET_UP_SECONDS, Project
from repository import ROOT

pytestmark = pytest.mark.project
# What docs/updating.md copies for each orchestrator, from a fresh render.
OWN = {"airflow": "dags/", "dagster": "src/*/defs/", "prefect": "flows/"}


@pytest.mark.deep
@pytest.mark.parametrize("project", OWN)
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
    [commands] = re.findall(r"^```\n(uvx copier copy .*?)```", guide, re.MULTILINE | re.DOTALL)
    commands = commands.replace("uvx copier", f"{sys.executable} -m copier").replace("/tmp/as-rendered", str(rendered))  # noqa: S108  as it stands in the guide
    commands = commands.replace("<address of the template>", f"--vcs-ref {r.CURRENT} {releases.folder}")
    others = [path for name, path in OWN.items() if name != project]
    for command in commands.splitlines():
        if not any(f"cp --parents {path}" in command for path in others):
            subprocess.run(["bash", "-euc", command], cwd=folder, check=True, capture_output=True)
    assert not (folder / ".pre-commit-config.yaml").exists(), "what the team deleted stays away"
    assert transform.read_text().endswith("# ours\n")
    made = Project(folder, (project,))
    done = made.make("run", "DATE=2013-01-02", timeout=SET_UP_SECONDS + RUN_SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "943" in done.stdout
