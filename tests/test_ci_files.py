"""Files that other services read: CI of each provider, and Renovate's configuration."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import copier
import pytest
import yaml
from combinations import answers_for_variant
from repository import ROOT, git

BIN = Path(sys.executable).parent
CI_FILES = {
    "github": {
        ".github/workflows/ci.yml": "vendor.github-workflows",
        ".github/workflows/template-update.yml": "vendor.github-workflows",
    },
    "gitlab": {".gitlab-ci.yml": "vendor.gitlab-ci"},
    "azure_pipelines": {"azure-pipelines.yml": "vendor.azure-pipelines"},
}


@pytest.mark.parametrize("provider", CI_FILES)
def test_each_provider_would_accept_its_files(render, provider):
    project = render(ci_provider=provider)
    for name, schema in {**CI_FILES[provider], "renovate.json": "vendor.renovate"}.items():
        command = [
            BIN / "check-jsonschema",
            "--regex-variant",
            "nonunicode",
            "--builtin-schema",
            schema,
            project / name,
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


def test_github_workflows_have_no_mistake_that_a_linter_sees(render):
    files = sorted((render(ci_provider="github") / ".github" / "workflows").glob("*.yml"))
    done = subprocess.run([BIN / "actionlint", *files], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def deployments(project: Path, provider: str, file: str = "release") -> dict[str, tuple[str, str, bool]]:
    """By environment, in order: the job before it, its command, and whether the provider asks its approvers."""
    if provider == "github":
        jobs = yaml.safe_load((project / ".github" / "workflows" / f"{file}.yml").read_text())["jobs"]
        return {
            name: (job["needs"][0], job["steps"][-1]["run"], job["environment"] == name)
            for name, job in jobs.items()
            if name in ("staging", "prod")
        }
    if provider == "gitlab":
        jobs = yaml.safe_load((project / ".gitlab" / f"{file}.yml").read_text())
        return {
            name: (
                jobs[f"{file}-{name}"]["needs"][0].removeprefix(f"{file}-"),
                jobs[f"{file}-{name}"]["script"][-1],
                jobs[f"{file}-{name}"]["environment"]["name"] == name
                and (name != "prod" or jobs[f"{file}-prod"]["rules"][0]["when"] == "manual"),
            )
            for name in ("staging", "prod")
        }
    stages = yaml.safe_load((project / ".azure" / f"{file}.yml").read_text())["stages"]
    found = {}
    for stage in stages:
        if stage["stage"] in ("staging", "prod"):
            [job] = stage["jobs"]
            command = job["strategy"]["runOnce"]["deploy"]["steps"][-1]["bash"]
            found[stage["stage"]] = (stage["dependsOn"], command, job["environment"] == stage["stage"])
    return found


@pytest.mark.parametrize("provider", CI_FILES)
@pytest.mark.parametrize(("variant", "in_cloud"), [("mwaa", True), ("astronomer", False)])
def test_a_package_goes_to_one_environment_after_the_other(render, provider, variant, in_cloud):
    project = render(**answers_for_variant(variant), ci_provider=provider)
    assert deployments(project, provider) == {
        "staging": ("test", "make deploy ENV=staging YES=1", True),
        "prod": ("staging", "make deploy ENV=prod YES=1", True),
    }
    if provider == "github":
        # Only where what runs is recorded in tags may a job write to the repository.
        jobs = yaml.safe_load((project / ".github" / "workflows" / "release.yml").read_text())["jobs"]
        assert jobs["prod"]["permissions"].get("contents") == ("read" if in_cloud else "write")
        assert ("id-token" in jobs["prod"]["permissions"]) == in_cloud
        assert jobs["test"]["permissions"] == {"contents": "read"}


@pytest.mark.parametrize("provider", CI_FILES)
@pytest.mark.parametrize("variant", ["airflow_celery", "prefect_process"])
def test_a_release_goes_to_the_machines_of_one_environment_after_the_other(render, provider, variant):
    project = render(**answers_for_variant(variant), ci_provider=provider)
    assert deployments(project, provider, "machines") == {
        "staging": ("test", "make deploy ENV=staging YES=1", True),
        "prod": ("staging", "make deploy ENV=prod YES=1", True),
    }
    if provider == "github":
        jobs = yaml.safe_load((project / ".github" / "workflows" / "machines.yml").read_text())["jobs"]
        assert {str(job["permissions"]) for job in jobs.values()} == {"{'contents': 'read'}"}
        assert jobs["prod"]["steps"][-1]["env"].keys() == {"MACHINE", "SSH_KEY", "SSH_KNOWN_HOSTS"}
    if provider == "gitlab":
        assert {"local": ".gitlab/machines.yml"} in yaml.safe_load((project / ".gitlab-ci.yml").read_text())["include"]


@pytest.fixture
def cloned(template, tmp_path):
    """A project cloned from its remote, made from the first of two releases of a copy of the template."""
    source = shutil.copytree(template, tmp_path / "template")
    made = tmp_path / "made"
    copier.run_copy(str(source), made, defaults=True, quiet=True)
    git("init", "--quiet", "--initial-branch=main", cwd=made)
    commit(made)
    readme = source / "template" / "[[shared]]" / "config" / "dev.toml"
    readme.write_text(readme.read_text() + "\n# from the next release\n")
    commit(source)
    git("tag", "v0.2.0", cwd=source)
    git("clone", "--quiet", "--bare", str(made), str(tmp_path / "remote.git"), cwd=tmp_path)
    git("clone", "--quiet", str(tmp_path / "remote.git"), str(tmp_path / "clone"), cwd=tmp_path)
    return tmp_path / "clone"


def commit(folder: Path) -> None:
    git("add", "--all", cwd=folder)
    git("commit", "--quiet", "--message", "work", cwd=folder)


def github_job(
    folder: Path, workflow: dict | None = None, job: str = "propose"
) -> tuple[list[subprocess.CompletedProcess[str]], str]:
    """Run the commands of the update workflow as its runner does, one after the other; and what `gh` was asked."""
    tools, asked = folder.parent / "tools", folder.parent / "asked"
    tools.mkdir(exist_ok=True)
    asked.touch()
    # Stands for GitHub's own program, which needs GitHub.
    (tools / "gh").write_text(f'#!/bin/sh\necho "$@" >> {asked}\n')
    (tools / "gh").chmod(0o755)
    path = f"{tools}:{BIN}:{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "RUNNER_TEMP": str(folder.parent)}
    if workflow is None:
        workflow = yaml.safe_load((folder / ".github" / "workflows" / "template-update.yml").read_text())
    place = folder / workflow.get("defaults", {}).get("run", {}).get("working-directory", "")
    done = []
    for step in workflow["jobs"][job]["steps"]:
        if "run" in step and all(each.returncode == 0 for each in done):
            command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
            done.append(
                subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, check=False)
            )
    return done, asked.read_text()


def branches(remote: Path) -> list[str]:
    return git("branch", "--list", "--format=%(refname:short)", cwd=remote).split()


@pytest.mark.deep
def test_the_scheduled_job_proposes_a_clean_update_once(cloned):
    done, asked = github_job(cloned)
    assert all(each.returncode == 0 for each in done), done
    remote = cloned.parent / "remote.git"
    assert branches(remote) == ["main", "template-update"]
    assert "from the next release" in git("show", "template-update:config/dev.toml", cwd=remote)
    assert "from the next release" not in git("show", "main:config/dev.toml", cwd=remote)
    assert "pr create" in asked


@pytest.mark.deep
def test_proposing_leaves_the_branch_and_the_files_that_are_there(cloned):
    """On a developer's machine: with work that is not committed, and hooks that would refuse the commit."""
    (cloned / "config" / "dev.toml").write_text("# half-done\n")
    for hook in ("pre-commit", "commit-msg", "post-checkout"):
        (cloned / ".git" / "hooks" / hook).write_text("#!/bin/sh\necho refused >&2\nexit 1\n")
        (cloned / ".git" / "hooks" / hook).chmod(0o755)
    before = git("rev-parse", "HEAD", cwd=cloned), git("branch", cwd=cloned), git("status", "--porcelain", cwd=cloned)
    environment = os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}"}
    command = ["sh", "scripts/propose_update.sh"]
    done = subprocess.run(command, cwd=cloned, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (
        git("rev-parse", "HEAD", cwd=cloned),
        git("branch", cwd=cloned),
        git("status", "--porcelain", cwd=cloned),
    ) == before
    assert git("worktree", "list", cwd=cloned).count("\n") == 0
    assert "from the next release" in git("show", "template-update:config/dev.toml", cwd=cloned.parent / "remote.git")


@pytest.mark.deep
def test_the_scheduled_job_has_nothing_to_propose_when_the_project_is_current(cloned):
    github_job(cloned)
    git("pull", "--quiet", "--ff-only", "origin", "template-update", cwd=cloned)
    done, asked = github_job(cloned)
    assert all(each.returncode == 0 for each in done), done
    assert "nothing new" in done[0].stdout
    assert asked.count("pr create") == 1


@pytest.mark.deep
def test_the_scheduled_job_proposes_no_conflict_markers(cloned):
    (cloned / "config" / "dev.toml").write_text((cloned / "config" / "dev.toml").read_text() + "\n# ours\n")
    commit(cloned)
    git("push", "--quiet", "origin", "main", cwd=cloned)
    done, asked = github_job(cloned)
    assert done[-1].returncode != 0
    assert "config/dev.toml" in done[-1].stdout + done[-1].stderr
    assert branches(cloned.parent / "remote.git") == ["main"]
    assert "pr create" not in asked


def test_the_proposing_script_itself_stops_at_markers(cloned):
    """Should `make update` ever leave them and end well."""
    (cloned / "Makefile").write_text(
        "update:\n\t@printf '<<<<<<< before updating\\n>>>>>>> after updating\\n' > notes.txt\n"
    )
    commit(cloned)
    done = subprocess.run(["sh", "scripts/propose_update.sh"], cwd=cloned, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "notes.txt" in done.stderr
    assert branches(cloned.parent / "remote.git") == ["main"]


def documented(name: str) -> str:
    """The file of that name that docs/adopting.md has for a repository with the project in a folder."""
    page = (ROOT / "docs" / "adopting.md").read_text().partition("## In a folder of a larger repository")[2]
    blocks = re.findall(r"`(\.[^`]+|azure[^`]+)`.*:\n\n```yaml\n((?:.*\n)*?)```", page)
    return dict(blocks)[name]


MONOREPO_FILES = {
    ".github/workflows/flights.yml": "vendor.github-workflows",
    ".gitlab-ci.yml": "vendor.gitlab-ci",
    "azure-pipelines.yml": "vendor.azure-pipelines",
}


@pytest.mark.parametrize("name", MONOREPO_FILES)
def test_each_provider_would_accept_the_files_documented_for_a_larger_repository(tmp_path, name):
    file = tmp_path / Path(name).name
    file.write_text(documented(name))
    command = [
        BIN / "check-jsonschema",
        "--regex-variant",
        "nonunicode",
        "--builtin-schema",
        MONOREPO_FILES[name],
        file,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_documented_workflow_checks_what_the_projects_own_checks(render):
    own = yaml.safe_load((render(ci_provider="github") / ".github" / "workflows" / "ci.yml").read_text())
    commands = [step["run"] for step in own["jobs"]["test"]["steps"] if "run" in step]
    root = yaml.safe_load(documented(".github/workflows/flights.yml"))
    assert [step["run"] for step in root["jobs"]["test"]["steps"] if "run" in step] == commands
    azure = yaml.safe_load(documented("azure-pipelines.yml"))["steps"][-1]
    assert azure["script"].removeprefix("make ").split() == [
        word for command in commands for word in command.removeprefix("make ").split()
    ]


@pytest.mark.deep
def test_the_documented_job_updates_a_project_below_the_root(cloned):
    """The same project in a folder, with nothing of CI but the documented file at the root."""
    whole = cloned.parent / "whole"
    shutil.copytree(cloned, whole / "pipelines" / "flights", ignore=shutil.ignore_patterns(".git"))
    git("init", "--quiet", "--initial-branch=main", cwd=whole)
    commit(whole)
    git("clone", "--quiet", "--bare", str(whole), str(cloned.parent / "whole.git"), cwd=whole)
    git("remote", "add", "origin", str(cloned.parent / "whole.git"), cwd=whole)
    done, asked = github_job(whole, yaml.safe_load(documented(".github/workflows/flights.yml")), "template-update")
    assert all(each.returncode == 0 for each in done), done
    assert "pr create --head template-update-pipelines-flights" in asked
    changed = git(
        "show", "template-update-pipelines-flights:pipelines/flights/config/dev.toml", cwd=cloned.parent / "whole.git"
    )
    assert "from the next release" in changed


@pytest.mark.deep
def test_a_clone_that_changes_line_ends_works(cloned):
    """As git for Windows does: scripts run, and an update touches what the release changed."""
    there = cloned.parent / "windows"
    git(
        "-c", "core.autocrlf=true", "clone", "--quiet", str(cloned.parent / "remote.git"), str(there), cwd=cloned.parent
    )
    git("config", "core.autocrlf", "true", cwd=there)
    for path in (there / "Makefile", there / "scripts" / "propose_update.sh"):
        assert b"\r" not in path.read_bytes()
    done, _ = github_job(there)
    assert all(each.returncode == 0 for each in done), done
    changed = git("diff", "--name-only", "origin/main", "origin/template-update", cwd=there).split()
    assert changed == [".copier-answers.yml", "config/dev.toml"]


def test_line_ends_are_the_same_on_every_machine_in_the_template_too():
    attributes = git("check-attr", "text", "eol", "--", "template/[[shared]]/scripts/update.py", cwd=ROOT)
    assert attributes.splitlines()[0].endswith("text: auto")
    assert attributes.splitlines()[1].endswith("eol: lf")
    assert not git("ls-files", "--eol", cwd=ROOT).count("i/crlf")


def test_the_hook_stops_conflict_markers_without_the_standards(render, tmp_path):
    project = Path(shutil.copytree(render(ci_provider="none"), tmp_path / "project"))
    git("init", "--quiet", cwd=project)
    (project / "notes.md").write_text("<<<<<<< before updating\n=======\n>>>>>>> after updating\n")
    git("add", "--all", cwd=project)
    command = [BIN / "pre-commit", "run", "conflict-markers", "--all-files"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "notes.md:1:<<<<<<< before updating" in done.stdout
    git("rm", "--quiet", "--force", "notes.md", cwd=project)
    assert subprocess.run(command, cwd=project, capture_output=True, check=False).returncode == 0
