"""What a team needs to adopt the checks in a repository that has findings: baseline, severities, selection, formats."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from orch_standards import ProjectError, check, inspect, rules
from orch_standards.cli import main

TASK = """from prefect import flow, task


@task(timeout_seconds=3)
def {name}(): ...


@flow(name="{name}", timeout_seconds=3)
def run_{name}():
    {name}()
"""


@pytest.fixture
def repository(tmp_path) -> Path:
    """Two files with an advice and a warning each, under version control."""
    (tmp_path / "flows").mkdir()
    for name in ("first", "second"):
        (tmp_path / "flows" / f"{name}.py").write_text(TASK.format(name=name))
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "--all")
    git(tmp_path, "commit", "--quiet", "--message", "work")
    return tmp_path


def git(folder: Path, *arguments: str) -> None:
    identity = {f"GIT_{role}_{key}": "a@b.c" for role in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")}
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, **identity}
    subprocess.run(["git", *arguments], cwd=folder, check=True, env=environment)


def settings(repository: Path, text: str) -> None:
    (repository / "pyproject.toml").write_text(f"[tool.orch-standards]\n{text}\n")


def typed(repository: Path, *arguments: str) -> int:
    return main(["--root", str(repository), *arguments])


# Baseline


def test_only_what_is_new_fails_after_a_baseline(repository, capsys):
    file = str(repository / "known.json")
    assert typed(repository, "--baseline", file, "--write-baseline") == 0
    assert capsys.readouterr().out == f"4 findings written into {file}\n"
    assert typed(repository, "--baseline", file) == 0
    assert capsys.readouterr().out == "no findings; 4 known from known.json\n"

    # Lines move, and the findings are known still.
    first = repository / "flows" / "first.py"
    first.write_text(f"# A comment.\n\n{first.read_text()}")
    (repository / "flows" / "third.py").write_text(TASK.format(name="third"))
    assert typed(repository, "--baseline", file, "--format", "json") == 1
    assert {finding["path"] for finding in json.loads(capsys.readouterr().out)} == {"flows/third.py"}


def test_a_second_finding_like_a_known_one_is_new(repository, capsys):
    file = str(repository / "known.json")
    (repository / "prod.toml").write_text('[a]\npassword = "Tr0ub4dor"\n')
    typed(repository, "--baseline", file, "--write-baseline")
    assert "Tr0ub4dor" not in Path(file).read_text()
    (repository / "prod.toml").write_text('[a]\npassword = "Tr0ub4dor"\n[b]\npassword = "other-Tr0ub4dor"\n')
    assert typed(repository, "--baseline", file) == 1
    assert "prod.toml:4:1: plaintext-secret" in capsys.readouterr().out


def test_what_is_gone_is_said_and_a_baseline_may_stand_in_pyproject(repository, capsys):
    settings(repository, 'baseline = "known.json"')
    typed(repository, "--write-baseline")
    (repository / "flows" / "second.py").unlink()
    capsys.readouterr()
    assert typed(repository) == 0
    assert capsys.readouterr().out.endswith("2 of known.json are gone: --write-baseline takes them out\n")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "there is no baseline "),
        ("[]", "known.json is not a baseline: write it again"),
        ('{"version": 9}', "is of another version"),
    ],
)
def test_a_baseline_that_cannot_be_used_is_one_sentence(repository, capsys, content, message):
    file = repository / "known.json"
    if content is not None:
        file.write_text(content)
    assert typed(repository, "--baseline", str(file)) == 2
    told = capsys.readouterr()
    assert message in told.err
    assert len(told.err.splitlines()) == 1


# Which files


def test_files_and_folders_can_be_named(repository, capsys, monkeypatch):
    monkeypatch.chdir(repository)
    assert typed(Path(), "flows/first.py", "prefect-no-retries", "--fail-on", "advice") == 1
    out = capsys.readouterr().out
    assert out.startswith("flows/first.py:4:2: prefect-no-retries")
    assert "second.py" not in out
    assert typed(Path(), "flows") == 1
    assert typed(Path(), "flows/none.py") == 2
    assert "no check, rule or file 'flows/none.py'" in capsys.readouterr().err


def test_only_changed_files(repository, capsys):
    assert typed(repository, "--changed") == 0
    second = repository / "flows" / "second.py"
    second.write_text(second.read_text().replace("timeout_seconds=3", "timeout_seconds=4"))
    (repository / "flows" / "third.py").write_text(TASK.format(name="third"))
    capsys.readouterr()
    typed(repository, "--changed", "--format", "json")
    assert {each["path"] for each in json.loads(capsys.readouterr().out)} == {"flows/second.py", "flows/third.py"}
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--message", "more")
    assert typed(repository, "--changed") == 0
    assert typed(repository, "--changed-since", "HEAD~1") == 1
    assert typed(repository, "--changed-since", "no-such-branch") == 2
    assert "git cannot compare with no-such-branch" in capsys.readouterr().err


# Severities, selection, settings


def test_advice_does_not_fail_unless_it_is_asked_to(repository):
    assert typed(repository, "prefect-no-retries") == 0
    assert typed(repository, "prefect-no-retries", "--fail-on", "advice") == 1
    assert typed(repository, "prefect-no-deployment") == 1
    assert typed(repository, "prefect-no-deployment", "--fail-on", "blocker") == 0
    settings(repository, 'fail-on = "advice"')
    assert typed(repository, "prefect-no-retries") == 1
    settings(repository, 'severity = {prefect-no-retries = "blocker"}')
    assert typed(repository, "prefect-no-retries") == 1


def test_a_project_of_the_template_stays_clean_of_advice_too(repository):
    (repository / ".copier-answers.yml").write_text("_commit: v1.0.0\n")
    assert typed(repository, "prefect-no-retries") == 1


def test_what_is_selected(repository):
    settings(repository, 'select = ["prefect-no-retries"]')
    assert {finding.rule for finding in check(repository)} == {"prefect-no-retries"}
    assert {finding.rule for finding in check(repository, ["prefect-no-deployment"])} == {"prefect-no-deployment"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('selected = ["layering"]', "there is no key 'selected': use business, "),
        ('select = ["layring"]', "there is no check or rule 'layring'"),
        ('select = "layering"', "select is a list of texts"),
        ('ignore = [{rule = "known-token", path = "a", reason = "b"}]', 'write {rule = "<id>"'),
        ('ignore = ["known-token"]', 'write {rule = "<id>"'),
        ('fail-on = "error"', "fail-on: use advice, warning, blocker, not 'error'"),
        ('severity = {known-token = "low"}', "not known-token = 'low'"),
        ("baseline = 3", "baseline is the path of a file"),
    ],
)
def test_settings_that_mean_nothing_are_refused(repository, text, message):
    settings(repository, text)
    with pytest.raises(ProjectError, match=r"pyproject\.toml, \[tool\.orch-standards\]") as refused:
        inspect(repository)
    assert message in str(refused.value)


# Output


def test_sarif(repository, capsys):
    typed(repository, "--format", "sarif")
    (run,) = json.loads(capsys.readouterr().out)["runs"]
    named = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    result = run["results"][0]
    assert named[result["ruleIndex"]] == result["ruleId"] == "prefect-no-retries"
    assert result["level"] == "note"
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "flows/first.py"
    assert place["region"] == {"startLine": 4, "startColumn": 2}


def test_a_summary_counts_by_rule(repository, capsys):
    (repository / "flows" / "second.py").unlink()
    (repository / "flows" / "third.py").write_text(TASK.format(name="third").replace("@task(", "@task(retries=1, "))
    typed(repository, "--format", "summary")
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[:2] == [["2", "warning", "prefect-no-deployment"], ["1", "advice", "prefect-no-retries"]]
    assert " ".join(lines[-1]) == "3 findings in 2 files: 2 warnings, 1 advice"


@pytest.mark.parametrize("rule", rules())
def test_every_rule_is_explained(rule, capsys):
    assert main(["--explain", rule]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"{rule} (")
    assert "\nWhy: " in out


def test_an_unknown_rule_cannot_be_explained(capsys):
    assert main(["--explain", "no-such-rule"]) == 2
    assert capsys.readouterr().err == "orch-standards: no rule 'no-such-rule': orch-standards --rules lists them\n"


def test_a_reader_who_has_enough_ends_it_quietly(repository):
    """As `orch-standards | head -1` does: the pipe is closed before all is printed."""
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "orch_standards", "--root", str(repository)]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert done.stderr == ""
    assert done.returncode == 1
