"""A new orchestrator, shape or hosting variant is a folder and rows of data: made-up ones render in a copy."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import copier
import pytest
import yaml
from releases import owner, owners
from repository import git

MANIFEST = """\
name: Made Up
dependencies: [made-up>=1]
import_names: [made_up]
port: 9999
shapes: [batch_etl, stars]
lint: []
team:
  jobs/: jobs, a file for each pipeline
platform:
  src/[[ package_name ]]/orchestration/made_up/: what the commands need of Made Up
  deploy/vm/: files of a machine
docs: https://example.com
first_steps: []
"""
HIDDEN = """\
{name}:
  type: str
  when: false
  default: "[[ '.' if {condition} else '' ]]"
"""
RUNBOOK = "\n\n".join(
    f"## {heading}\n\nLook at it."
    for heading in (
        *("A failed run", "A late input", "A missed SLA", "A bad partition", "A backfill"),
        *("A decision", "Rotating a secret", "The engine is down"),
    )
)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture
def extended(template, tmp_path) -> Path:
    """A copy of the repository with a made-up orchestrator, one hosting variant of it, and a made-up shape."""
    root = shutil.copytree(template, tmp_path / "extended")
    folder = root / "template" / "[[made_up]]"
    write(folder / "manifest.yml", MANIFEST)
    hidden = {"made_up": "'made_up' in orchestrators", "made_up_vm": "hosting_variant == 'made_up_vm'"}
    write(folder / "questions.yml", "\n".join(HIDDEN.format(name=n, condition=c) for n, c in hidden.items()))
    write(folder / "constraints.txt", "# None.\nmade-up==1.0\n")
    write(folder / "runbook.md", RUNBOOK)
    write(folder / "deployment.jinja", "[% set section = '## Made Up' %]\n")
    write(folder / "src" / "[[package_name]]" / "orchestration" / "made_up" / "__init__.py", "ENGINE = None\n")
    write(folder / "deploy" / "local" / "made_up.env", "MADE_UP=1\n")
    write(folder / "[[batch_etl]]" / "jobs" / "[[pipeline_name]].py.jinja", "NAME = '[[ pipeline_name ]]'\n")
    write(folder / "[[made_up_vm]]" / "deploy" / "vm" / "made_up.service", "[Service]\n")
    shape = root / "template" / "[[shared]]" / "[[stars]]"
    write(shape / "sample.json", '{"shape": "stars", "prefix": "star_", "tables": ["star_flights"]}\n')
    write(shape / "questions.yml", HIDDEN.format(name="stars", condition="pipeline_shape == 'batch_etl'"))
    write(shape / "src" / "[[package_name]]" / "pipelines" / "stars" / "__init__.py", '"""Stars."""\n')
    system = yaml.safe_load((root / "decision" / "systems" / "prefect.yml").read_text())
    variant = {**system["variants"][2], "id": "made_up_vm", "name": "Made Up on a machine"}
    system |= {"id": "made_up", "name": "Made Up", "docs": "docs/prefect.md", "variants": [variant]}
    write(root / "decision" / "systems" / "made_up.yml", yaml.safe_dump(system, sort_keys=False))
    costs = root / "decision" / "costs.yml"
    row = next(line for line in costs.read_text().splitlines() if line.startswith("  prefect:"))
    costs.write_text(costs.read_text().replace(row, f"{row}\n{row.replace('prefect', 'made_up')}", 1))
    for tool in ("write_decision_page.py", "write_seeds.py"):
        done = subprocess.run([sys.executable, f"tools/{tool}"], cwd=root, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    git("add", "--all", "--force", cwd=root)
    git("commit", "--quiet", "--message", "made up", cwd=root)
    git("tag", "v9.0.0", cwd=root)
    return root


def test_made_up_ones_render(extended, tmp_path):
    answers = {"orchestrator": "made_up", "accept_exclusion": "yes"}
    project = tmp_path / "project"
    copier.run_copy(str(extended), project, data=answers, defaults=True, quiet=True)
    for path in (
        "jobs/flights_daily.py",
        "src/flight_marts/orchestration/made_up/__init__.py",
        "src/flight_marts/pipelines/stars/__init__.py",
        "deploy/vm/made_up.service",
    ):
        assert (project / path).is_file(), path
    assert "made_up" in (project / "config" / "base.toml").read_text()
    assert "Made Up" in (project / "README.md").read_text()
    assert "\n## Made Up\n" in (project / "docs" / "deployment.md").read_text()
    assert '"made-up==1.0"' in (project / "pyproject.toml").read_text()
    assert "[tool.orch-starter.shapes.stars]" in (project / "pyproject.toml").read_text()
    rows = owners(project)
    assert owner(rows, "jobs/flights_daily.py") == "team"
    assert owner(rows, "deploy/vm/made_up.service") == "platform"


def test_other_projects_know_nothing_of_them(extended, tmp_path):
    project = tmp_path / "project"
    copier.run_copy(str(extended), project, data={"orchestrator": "dagster"}, defaults=True, quiet=True)
    assert not (project / "jobs").exists()
    assert not (project / "deploy" / "vm").exists()
