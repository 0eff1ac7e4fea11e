"""The command, its settings, and what a user reads when something is wrong with them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from importlib import resources
from pathlib import Path

import pytest
import yaml
from conftest import ROOT
from orch_standards import CHECKS, Finding, ProjectError, check, checks, rules
from orch_standards.cli import main

FLOW = 'from prefect import flow\n\n\n@flow(name="a", timeout_seconds=3)\ndef a(): ...\n'


@pytest.fixture
def repository(tmp_path) -> Path:
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows" / "a.py").write_text(FLOW)
    return tmp_path


def test_a_finding_is_one_line_with_place_rule_sentence_and_link(repository, capsys):
    assert main(["--root", str(repository)]) == 1
    line, summary = capsys.readouterr().out.splitlines()
    assert line.startswith("flows/a.py:4: prefect-no-deployment: no deployment runs the flow a")
    assert line.endswith("(https://docs.prefect.io/v3/how-to-guides/deployments/prefect-yaml)")
    assert summary == "1 finding in 1 file"


def test_the_link_is_to_the_projects_own_conventions_where_it_has_some(repository, capsys):
    (repository / "docs").mkdir()
    (repository / "docs" / "conventions.md").write_text("# Conventions\n")
    main(["--root", str(repository)])
    assert "(docs/conventions.md#deployments)" in capsys.readouterr().out


def test_a_single_check_finds_nothing_else(repository):
    assert main(["layering", "--root", str(repository)]) == 0
    assert main(["production-shape", "--root", str(repository)]) == 1
    assert [finding.rule for finding in check(repository, ["prefect-no-deployment"])] == ["prefect-no-deployment"]


def test_findings_as_json_and_as_annotations(repository, capsys):
    main(["--root", str(repository), "--format", "json"])
    (found,) = json.loads(capsys.readouterr().out)
    assert Finding(**found) == check(repository)[0]
    main(["--root", str(repository), "--format", "github"])
    assert capsys.readouterr().out.startswith("::error file=flows/a.py,line=4,title=prefect-no-deployment::")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--root", "nowhere"], "orch-standards: nowhere is not a folder: name the repository's root"),
        (["no-such-check"], "orch-standards: no check or rule 'no-such-check': use one of production-shape, "),
    ],
)
def test_what_cannot_be_used_is_one_sentence(arguments, message, capsys):
    assert main(arguments) == 2
    told = capsys.readouterr()
    assert told.err.startswith(message)
    assert len(told.err.splitlines()) == 1
    assert not told.out


def test_a_rule_is_ignored_with_a_reason_only(repository):
    entry = 'rule = "prefect-no-deployment", paths = ["flows/*"]'
    (repository / "pyproject.toml").write_text(f'[tool.orch-standards]\nignore = [{{ {entry}, reason = "by hand" }}]\n')
    assert not check(repository)
    (repository / "pyproject.toml").write_text(f"[tool.orch-standards]\nignore = [{{ {entry} }}]\n")
    with pytest.raises(ProjectError, match="reason"):
        check(repository)


def test_files_that_git_ignores_are_not_checked(repository):
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull}
    subprocess.run(["git", "init", "--quiet"], cwd=repository, check=True, env=environment)
    (repository / ".gitignore").write_text(".env\n")
    (repository / ".env").write_text("DB_PASSWORD=Tr0ub4dor\n")
    (repository / "shown.env").write_text("DB_PASSWORD=Tr0ub4dor\n")
    assert [finding.path for finding in check(repository, ["plaintext-secret"])] == ["shown.env"]


def test_a_secret_is_never_shown(repository, capsys):
    (repository / "prod.toml").write_text('password = "Tr0ub4dor"\nurl = "pg://etl:Tr0ub4dor@db/x"\n')
    main(["no-plaintext-secrets", "--root", str(repository)])
    told = capsys.readouterr().out
    assert "prod.toml:1: plaintext-secret" in told
    assert "prod.toml:2: password-in-url" in told
    assert "Tr0ub4dor" not in told


def test_files_that_cannot_be_parsed_do_not_stop_the_others(repository):
    (repository / "broken.py").write_text("import prefect\n<<<<<<< before updating\n")
    (repository / "broken.toml").write_text("[tool\n")
    (repository / "pyproject.toml").write_text("<<<<<<< before updating\n[tool\n>>>>>>> after updating\n")
    (repository / "broken.yaml").write_text("a: [\n")
    (repository / "latin.py").write_bytes("# prefect: Größe\n".encode("latin-1"))
    (repository / "picture.png").write_bytes(b"\x89PNG\0<<<<<<< ")
    assert {finding.rule for finding in check(repository)} == {"conflict-marker", "prefect-no-deployment"}


def test_every_rule_says_what_is_wrong_and_where_to_read_on():
    assert set(checks()) == {*CHECKS, "silences"}
    for rule in rules().values():
        assert rule.link.startswith("docs/"), rule.id
        assert rule.docs, rule.id
        assert rule.engine == ("" if rule.check != "production-shape" else rule.id.split("-")[0])
        assert len(rule.sentence) <= 130
        assert not rule.sentence.endswith(".")


def test_pre_commit_offers_every_check_and_all_of_them_together():
    hooks = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert {hook["id"] for hook in hooks} == {"orch-standards", *CHECKS}
    for hook in hooks:
        name = [] if hook["id"] == "orch-standards" else [hook["id"]]
        assert hook["entry"].split() == ["orch-standards", *name]


def test_the_roots_package_is_the_one_in_hooks():
    root, hooks = (tomllib.loads((ROOT / name).read_text()) for name in ("pyproject.toml", "hooks/pyproject.toml"))
    for key in ("dependencies", "scripts", "requires-python"):
        assert root["project"][key] == hooks["project"][key]
    assert root["build-system"] == hooks["build-system"]
    assert resources.files("orch_standards").joinpath("data/rules.toml").is_file()


def test_it_runs_as_a_module(repository):
    command = [sys.executable, "-m", "orch_standards", "--root", str(repository), "layering"]
    assert subprocess.run(command, check=False).returncode == 0
