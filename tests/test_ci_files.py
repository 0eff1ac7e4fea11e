"""Files that other services read: CI of each provider, and Renovate's configuration."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import copier
import pytest
import yaml
from conftest import git

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


def github_job(folder: Path) -> tuple[list[subprocess.CompletedProcess[str]], str]:
    """Run the commands of the update workflow as its runner does, one after the other; and what `gh` was asked."""
    tools, asked = folder.parent / "tools", folder.parent / "asked"
    tools.mkdir(exist_ok=True)
    asked.touch()
    # Stands for GitHub's own program, which needs GitHub.
    (tools / "gh").write_text(f'#!/bin/sh\necho "$@" >> {asked}\n')
    (tools / "gh").chmod(0o755)
    path = f"{tools}:{BIN}:{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "RUNNER_TEMP": str(folder.parent)}
    workflow = yaml.safe_load((folder / ".github" / "workflows" / "template-update.yml").read_text())
    done = []
    for step in workflow["jobs"]["propose"]["steps"]:
        if "run" in step and all(each.returncode == 0 for each in done):
            command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
            done.append(
                subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
            )
    return done, asked.read_text()


def branches(remote: Path) -> list[str]:
    return git("branch", "--list", "--format=%(refname:short)", cwd=remote).split()


def test_the_scheduled_job_proposes_a_clean_update_once(cloned):
    done, asked = github_job(cloned)
    assert all(each.returncode == 0 for each in done), done
    remote = cloned.parent / "remote.git"
    assert branches(remote) == ["main", "template-update"]
    assert "from the next release" in git("show", "template-update:config/dev.toml", cwd=remote)
    assert "from the next release" not in git("show", "main:config/dev.toml", cwd=remote)
    assert "pr create" in asked


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


def test_the_scheduled_job_has_nothing_to_propose_when_the_project_is_current(cloned):
    github_job(cloned)
    git("pull", "--quiet", "--ff-only", "origin", "template-update", cwd=cloned)
    done, asked = github_job(cloned)
    assert all(each.returncode == 0 for each in done), done
    assert "nothing new" in done[0].stdout
    assert asked.count("pr create") == 1


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
