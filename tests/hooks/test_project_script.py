"""scripts/standards.py of a generated project: which version it takes, from where, and what it says when it cannot."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from repository import ROOT

SCRIPT = ROOT / "template" / "[[shared]]" / "scripts" / "standards.py"
UV = str(Path(sys.executable).with_name("uv"))


@pytest.fixture(scope="module")
def standards():
    spec = importlib.util.spec_from_file_location("standards", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("source", "version", "wanted"),
    [
        ("gh:org/orch-starter", "v1.2.0", "git+https://github.com/org/orch-starter.git@v1.2.0#subdirectory=hooks"),
        ("gh:org/orch-starter.git", "v1.2.0", "git+https://github.com/org/orch-starter.git@v1.2.0#subdirectory=hooks"),
        ("gl:/data/starter", "v1.2.0-4-gabc1234", "git+https://gitlab.com/data/starter.git@abc1234#subdirectory=hooks"),
        ("https://git.example/t.git", "0a1b2c3", "git+https://git.example/t.git@0a1b2c3#subdirectory=hooks"),
        ("git+https://git.example/t", "v2", "git+https://git.example/t@v2#subdirectory=hooks"),
        ("git@git.example:org/t.git", "v2", "git+ssh://git@git.example/org/t.git@v2#subdirectory=hooks"),
        ("ssh://git@git.example:22/t.git", "v2", "git+ssh://git@git.example:22/t.git@v2#subdirectory=hooks"),
    ],
)
def test_the_version_comes_from_where_the_template_is(standards, source, version, wanted):
    assert standards.requirement(source, version) == f"orch-standards @ {wanted}"


def test_a_template_on_this_machine_stays_local(standards, tmp_path):
    folder = tmp_path / "the template"
    folder.mkdir()
    place = f"file://{tmp_path}/the%20template"
    wanted = f"orch-standards @ git+{place}@v1#subdirectory=hooks"
    assert standards.requirement(str(folder), "v1") == wanted
    assert standards.requirement(str(folder), "") == f"orch-standards @ {place}/hooks"
    with pytest.raises(standards.StandardsError, match=r"the template is not at .*gone any more: see _src_path"):
        standards.requirement(str(tmp_path / "gone"), "v1")


@pytest.fixture
def project(render, tmp_path) -> Path:
    return Path(shutil.copytree(render(orchestrator="prefect"), tmp_path / "project"))


def typed(project: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "UV": UV, **variables}
    command = [sys.executable, "scripts/standards.py", *arguments]
    return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)


def point_to(project: Path, source: str) -> None:
    answers = project / ".copier-answers.yml"
    lines = [
        f"_src_path: {source}" if line.startswith("_src_path") else line for line in answers.read_text().split("\n")
    ]
    answers.write_text("\n".join(lines))


def test_an_unreachable_template_is_one_clear_sentence_above_what_uv_said(project, tmp_path):
    point_to(project, "http://127.0.0.1:9/org/orch-starter.git")
    done = typed(project, UV_CACHE_DIR=str(tmp_path / "cache"))
    assert done.returncode == 1
    sentence, *said = done.stderr.splitlines()
    assert sentence == (
        "standards: the template at http://127.0.0.1:9/org/orch-starter.git (v0.1.0) cannot be reached: "
        "check the network and your access to it, then run make standards again. uv said:"
    )
    assert all(line.startswith("  ") for line in said)
    assert any("fatal: unable to access" in line for line in said)


def test_standards_that_cannot_be_installed_are_told_from_an_unreachable_template(project, tmp_path):
    nowhere = {"UV_DEFAULT_INDEX": "http://127.0.0.1:9/simple", "UV_HTTP_RETRIES": "0"}
    done = typed(project, UV_CACHE_DIR=str(tmp_path / "cache"), **nowhere)
    assert done.returncode == 1
    sentence, *said = done.stderr.splitlines()
    assert sentence.startswith("standards: the standards of the template at ")
    assert "cannot be installed: check the network and the package index, then run make standards again" in sentence
    assert any("http://127.0.0.1:9/simple" in line for line in said)


def test_before_a_commit_nothing_is_fetched(project, tmp_path):
    point_to(project, "http://127.0.0.1:9/org/orch-starter.git")
    done = typed(project, "--offline", UV_CACHE_DIR=str(tmp_path / "cache"))
    assert done.returncode == 0
    assert done.stdout == "not checked: the standards are not on this machine yet, make standards fetches them once\n"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.unlink(), "standards: .copier-answers.yml is missing: restore it"),
        (lambda path: path.write_text("orchestrator: prefect\n"), "standards: .copier-answers.yml does not say where"),
    ],
    ids=["missing", "without a source"],
)
def test_a_damaged_answers_file_is_one_clear_sentence(project, damage, message):
    damage(project / ".copier-answers.yml")
    done = typed(project)
    assert done.returncode == 1
    assert done.stderr.startswith(message)
    assert len(done.stderr.splitlines()) == 1


def test_a_missing_uv_is_said(project):
    done = typed(project, UV="no-such-uv")
    assert done.stderr == "standards: uv is not installed: run make setup\n"


def test_hooks_of_a_project_need_no_uv_on_the_path():
    """uv may stand in .uv/ alone, which is on no path; what it has installed stands in .venv."""
    config = yaml.safe_load((SCRIPT.parents[1] / ".pre-commit-config.yaml").read_text())
    hooks = [hook for repository in config["repos"] for hook in repository["hooks"]]
    entries = [hook["entry"] for hook in hooks if hook["language"] == "system"]  # the others are patterns
    assert entries
    assert all(entry.startswith(".venv/bin/") for entry in entries)


def test_uv_of_the_projects_own_is_found(standards, tmp_path, monkeypatch):
    own = tmp_path / ".uv" / "bin" / "uv"
    own.parent.mkdir(parents=True)
    own.write_text("#!/bin/sh\n")
    own.chmod(0o755)
    monkeypatch.setattr(standards, "ROOT", tmp_path)
    monkeypatch.delenv("UV", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert standards.uv() == str(own)
