"""`copier update` of a project: platform files follow the template, files of the team are left alone. Without trust."""

from __future__ import annotations

import contextlib
import io
import shutil
from pathlib import Path

import copier
import pytest
import yaml
from conftest import git
from test_rendering import files_in

NEXT_RELEASE = "v0.2.0"


@pytest.fixture
def project(template, tmp_path) -> Path:
    """A committed project on Airflow, made from the first release of its own copy of the template."""
    source = tmp_path / "template"
    shutil.copytree(template, source)
    target = tmp_path / "project"
    copier.run_copy(str(source), target, data={"orchestrator": "airflow"}, defaults=True, quiet=True)
    git("init", "--quiet", cwd=target)
    commit(target)
    return target


def commit(repository: Path) -> None:
    git("add", "--all", cwd=repository)
    git("commit", "--quiet", "--allow-empty", "--message", "work", cwd=repository)


def release(template: Path, change: dict[str, str]) -> None:
    """The next release of the template: text added at the end of these files."""
    for name, text in change.items():
        path = template / name
        path.write_text(path.read_text() + text)
    commit(template)
    git("tag", NEXT_RELEASE, cwd=template)


def update(project: Path, **answers) -> None:
    with contextlib.redirect_stderr(io.StringIO()) as told:
        copier.run_update(project, data=answers, defaults=True, quiet=True, overwrite=True, unsafe=False)
    assert "Traceback" not in told.getvalue()


SHARED = "template/[[shared]]"
SEEDS_AND_PLATFORM = {
    f"{SHARED}/config/dev.toml": "\n# from the next release\n",
    f"{SHARED}/data/landing/2013-01-01/flights.csv": "from the next release\n",
    f"{SHARED}/src/[[package_name]]/pipelines/flights_daily/transform.py": "\n# from the next release\n",
}


def test_platform_files_follow_and_files_of_the_team_do_not_change(project):
    transform = project / "src" / "flight_marts" / "pipelines" / "flights_daily" / "transform.py"
    contract = transform.with_name("contract.py")
    transform.write_text(transform.read_text() + "\n# ours\n")
    contract.unlink()
    dags = {path: path.read_text() for path in (project / "dags").rglob("*.py")}
    assert dags
    makefile = project / "Makefile"
    makefile.write_text(makefile.read_text() + "\n# added by the team\n")
    commit(project)
    release(project.parent / "template", SEEDS_AND_PLATFORM)
    update(project)
    assert "from the next release" in (project / "config" / "dev.toml").read_text()
    assert transform.read_text().endswith("# ours\n")
    assert "from the next release" not in transform.read_text()
    assert "from the next release" not in (project / "data/landing/2013-01-01/flights.csv").read_text()
    assert not contract.exists()
    assert makefile.read_text().endswith("# added by the team\n")
    assert {path: path.read_text() for path in dags} == dags
    assert yaml.safe_load((project / ".copier-answers.yml").read_text())["_commit"] == NEXT_RELEASE


def test_adding_an_orchestrator_brings_its_files_and_dropping_the_first_keeps_the_teams(project, render):
    release(project.parent / "template", {})
    update(project, also_orchestrators=["dagster"])
    assert files_in(render(orchestrator="airflow", also_orchestrators=["dagster"])) <= files_in(project)
    commit(project)
    update(project, orchestrator="dagster", also_orchestrators=[])
    assert list((project / "dags").rglob("*.py")), "the team's DAG is gone"
    assert not (project / "scripts" / "airflow_run.py").exists()
    assert (project / "scripts" / "dagster_run.py").exists()


def test_an_untouched_project_equals_a_fresh_render(project, tmp_path):
    template = project.parent / "template"
    release(template, {f"{SHARED}/config/dev.toml": "\n# from the next release\n"})
    update(project)
    shutil.rmtree(project / ".git")
    copier.run_copy(str(template), tmp_path / "fresh", data={"orchestrator": "airflow"}, defaults=True, quiet=True)
    assert files_in(project) == files_in(tmp_path / "fresh")
    for name in files_in(project):
        assert (project / name).read_bytes() == (tmp_path / "fresh" / name).read_bytes(), name
