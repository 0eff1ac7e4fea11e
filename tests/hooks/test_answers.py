"""The answers file carries a checksum that survives updates and notices edits by hand."""

from __future__ import annotations

import contextlib
import io
import shutil
from pathlib import Path

import copier
import pytest
import yaml
from orch_standards import check
from repository import git

CHECK = ["answers-untouched", "no-update-leftovers"]
ANSWERS = ".copier-answers.yml"


@pytest.fixture
def project(template, tmp_path) -> Path:
    """A committed project of the first release of a template of its own."""
    source = shutil.copytree(template, tmp_path / "template")
    made = tmp_path / "project"
    answers = {"orchestrator": "prefect", "description": "Größe & more: #1"}
    copier.run_copy(str(source), made, data=answers, defaults=True, quiet=True)
    git("init", "--quiet", cwd=made)
    commit(made)
    return made


def commit(repository: Path) -> None:
    git("add", "--all", cwd=repository)
    git("commit", "--quiet", "--allow-empty", "--message", "work", cwd=repository)


def test_answers_are_untouched_after_copy_and_after_update(project):
    assert not check(project, CHECK)
    source = project.parent / "template"
    commit(source)
    git("tag", "v0.2.0", cwd=source)
    with contextlib.redirect_stderr(io.StringIO()):
        copier.run_update(project, data={"owning_team": "Team A"}, defaults=True, quiet=True, overwrite=True)
    text = (project / ANSWERS).read_text()
    assert yaml.safe_load(text)["_commit"] == "v0.2.0"
    assert yaml.safe_load(text)["owning_team"] == "Team A"
    assert text.count("# checksum: ") == 1
    assert not check(project, CHECK)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("_commit: v0.1.0", "_commit: v0.0.9"),
        lambda text: text + "new_answer: 1\n",
        lambda text: "\n".join(line for line in text.split("\n") if not line.startswith("timezone")),
    ],
    ids=["version changed", "answer added", "answer removed"],
)
def test_an_edit_by_hand_is_found(project, change):
    path = project / ANSWERS
    path.write_text(change(path.read_text()))
    assert [finding.rule for finding in check(project, CHECK)] == ["answers-edited"]


def test_other_line_endings_are_no_edit(project):
    path = project / ANSWERS
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert not check(project, CHECK)
