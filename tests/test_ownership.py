"""Every rendered file has one owner, and what CODEOWNERS and updates do follows from it."""

from __future__ import annotations

import subprocess
import sys

import pytest
import yaml
from combinations import CI_PROVIDERS, FILE_COMBINATIONS, ORCHESTRATORS, SETS, SHAPES, answers_for, files_in
from releases import matches, owner, owners
from repository import ROOT

EVERY_PROJECT = pytest.mark.parametrize("names", SETS, ids="+".join)
CONTACTS = {"team": "ours@example.com", "platform": "theirs@example.com"}
TOLD_APART = {"owner_contact": CONTACTS["team"], "platform_contact": CONTACTS["platform"]}


def without_one_owner(files: set[str], rows: list[tuple[str, str]]) -> set[str]:
    """Files that no path fits, or one that stands there twice."""
    twice = [row for row, _ in rows if [path for path, _ in rows].count(row) > 1]
    return {name for name in files if not owner(rows, name) or matches(twice, name)}


@pytest.mark.parametrize(("names", "environments", "ci_provider"), FILE_COMBINATIONS)
def test_every_file_has_exactly_one_owner(render, names, environments, ci_provider):
    project = render(**answers_for(names), environments=environments, ci_provider=ci_provider)
    missing = without_one_owner(files_in(project), owners(project))
    assert not missing, f"name them under `team` or `platform` in the manifest.yml of their folder: {missing}"


def test_a_file_without_an_owner_or_with_two_is_noticed(render):
    rows = owners(render(orchestrator="airflow"))
    assert without_one_owner({"Makefile", "new/file.py"}, rows) == {"new/file.py"}
    assert without_one_owner({"Makefile"}, [*rows, ("Makefile", "team")]) == {"Makefile"}


@EVERY_PROJECT
def test_code_owners_follow_from_the_same_list(render, names):
    project = render(**answers_for(names), **TOLD_APART)
    lines = [line.rsplit(" ", 1) for line in (project / "CODEOWNERS").read_text().splitlines() if line[0] != "#"]
    rows = owners(project)
    for name in files_in(project):
        reviewer = [contact for pattern, contact in lines if pattern == "*" or matches([pattern], name)][-1]
        assert reviewer == CONTACTS[owner(rows, name)], name
    assert lines[0] == ["*", CONTACTS["team"]], "what the team adds is the team's"


@EVERY_PROJECT
def test_updates_leave_exactly_the_files_of_the_team_alone(render, names):
    project = render(**answers_for(names), **TOLD_APART)
    lists = [yaml.safe_load((ROOT / f"template/[[{folder}]]/seeds.yml").read_text()) for folder in ("shared", *names)]
    seeds = [pattern for each in lists for pattern in each["_skip_if_exists"]]
    rows = owners(project)
    assert {name for name in files_in(project) if matches(seeds, name)} == {
        name for name in files_in(project) if owner(rows, name) == "team"
    }


def test_every_path_that_has_an_owner_is_rendered_in_some_project(render):
    projects = [render(**answers_for(ORCHESTRATORS), ci_provider=provider) for provider in CI_PROVIDERS]
    projects += [render(orchestrator="dagster", pipeline_shape=shape, accept_exclusion="yes") for shape in SHAPES]
    files = set().union(*(files_in(project) for project in projects))
    stale = {path for project in projects for path, _ in owners(project) if not any(matches([path], n) for n in files)}
    assert not stale, f"take them out of the manifests: {stale}"


def test_the_lists_for_updates_are_those_of_the_manifests():
    command = [sys.executable, ROOT / "tools" / "write_seeds.py", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_readme_names_every_path_of_the_team(render):
    project = render(orchestrator="airflow", also_orchestrators=["dagster"])
    readme = (project / "README.md").read_text()
    for path, held_by in owners(project):
        assert held_by == "platform" or f"| `{path}` |" in readme, path


def test_without_a_platform_team_the_team_reviews_everything(render):
    lines = (render() / "CODEOWNERS").read_text().splitlines()[1:]
    assert {line.split()[-1] for line in lines} == {"data-team@example.com"}
