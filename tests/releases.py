"""The template at its releases, and projects made from them: what the tests of updates start from.

The releases are commits of this repository's own history, the working tree is tagged as CURRENT, and NEXT is made up:
it changes, adds, removes and renames files of the platform, changes and adds some of the team, asks one question more.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import copier
import pytest
import yaml
from pathspec import PathSpec
from repository import ROOT, git

RELEASED = {"v0.1.0": "f456f755fcfadd44f59720648459a80fb705937e"}  # by commit, as a checkout may have no tags
CURRENT, NEXT = "v99.0.0", "v99.1.0"
SHARED = "template/[[shared]]"
ANSWERS = ".copier-answers.yml"
REMOVED_IN_NEXT = ".pre-commit-config.yaml"
RENAMED_IN_NEXT = ("scripts/standards.py", "scripts/check_standards.py")
NEW_LINE = "from the next release"
CHANGED_IN_NEXT = {
    "config/dev.toml": f"\n# {NEW_LINE}\n",
    "data/landing/flights_daily/2013-01-01/flights.csv": f"{NEW_LINE}\n",
    "src/[[package_name]]/pipelines/flights_daily/transform.py": f"\n# {NEW_LINE}\n",
}
ADDED_IN_NEXT = ("scripts/report.py", "src/[[package_name]]/pipelines/flights_daily/extra.py")
NEW_QUESTION = """
region:
  type: str
  help: |
    In which region does it run?
    Stands in CODEOWNERS.
  default: eu
"""


@dataclass
class Releases:
    """A repository of the template with a tag per release, and projects made from them."""

    folder: Path
    projects: dict[str, Path] = field(default_factory=dict)

    def tag(self, version: str) -> None:
        git("add", "--all", "--force", cwd=self.folder)
        git("commit", "--quiet", "--allow-empty", "--message", version, cwd=self.folder)
        git("tag", version, cwd=self.folder)

    def render(self, target: Path, version: str, **answers) -> Path:
        """A project as the template alone makes it."""
        with contextlib.redirect_stderr(io.StringIO()):
            copier.run_copy(
                str(self.folder), target, data=answers, vcs_ref=version, defaults=True, quiet=True, unsafe=False
            )
        return target

    def project(self, target: Path, version: str, **answers) -> Path:
        """A project of that version, committed; a copy, so that it can be changed."""
        key = repr((version, sorted(answers.items())))
        if key not in self.projects:
            made = self.render(self.folder.parent / f"project-{len(self.projects)}", version, **answers)
            git("init", "--quiet", cwd=made)
            commit(made)
            self.projects[key] = made
        return Path(shutil.copytree(self.projects[key], target))


def commit(repository: Path) -> None:
    git("add", "--all", cwd=repository)
    git("commit", "--quiet", "--allow-empty", "--message", "work", cwd=repository)


def clone_with_releases(folder: Path) -> Releases:
    """This repository's history, tagged, and the working tree on top of it as CURRENT."""
    if git("rev-parse", "--is-shallow-repository", cwd=ROOT) == "true":
        pytest.fail("the tests of updates need this repository's history: git fetch --unshallow", pytrace=False)
    git("clone", "--quiet", "--no-tags", str(ROOT), str(folder), cwd=ROOT)
    for version, revision in RELEASED.items():
        git("tag", version, revision, cwd=folder)
    for name in git("ls-files", cwd=folder).splitlines():
        (folder / name).unlink()
    for name in git("ls-files", "--cached", "--others", "--exclude-standard", cwd=ROOT).splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    releases = Releases(folder)
    releases.tag(CURRENT)
    return releases


def release_next(releases: Releases) -> None:
    shared = releases.folder / SHARED

    def source(name: str) -> Path:
        """The file of the template that becomes ``name``, in the shared folder or in that of a shape."""
        folders = [shared, *sorted(path for path in shared.glob("[[][[]*[]][]]") if path.is_dir())]
        return next(path for folder in folders for path in (folder / name, folder / f"{name}.jinja") if path.exists())

    def append(path: Path, text: str) -> None:
        path.write_text(path.read_text() + text)

    for name, text in CHANGED_IN_NEXT.items():
        append(source(name), text)
    for name in ADDED_IN_NEXT:
        (shared / name).parent.mkdir(parents=True, exist_ok=True)
        (shared / name).write_text(f'"""Added {NEW_LINE}."""\n')
    source(REMOVED_IN_NEXT).unlink()
    old, new = RENAMED_IN_NEXT
    renamed = source(old).rename(str(source(old)).replace(old, new))
    append(renamed, f"# {NEW_LINE}\n")
    makefile = source("Makefile")
    makefile.write_text(makefile.read_text().replace(old, new))
    append(releases.folder / "questions" / "pipeline.yml", NEW_QUESTION)
    append(source("CODEOWNERS"), "# region: [[ region ]]\n")
    releases.tag(NEXT)


def files_of(project: Path) -> dict[str, bytes]:
    """Contents by path, without what git keeps."""
    paths = [path for path in project.rglob("*") if path.is_file() and ".git" not in path.relative_to(project).parts]
    return {path.relative_to(project).as_posix(): path.read_bytes() for path in paths}


def answers_of(project: Path) -> dict:
    return yaml.safe_load((project / ANSWERS).read_text())


def stamp(answers_file: Path) -> None:
    """Write the checksum that an answers file not edited by hand has."""
    lines = answers_file.read_text().splitlines(keepends=True)
    answers = "".join(line for line in lines if not line.startswith("#"))
    checksum = hashlib.sha256(answers.strip().encode()).hexdigest()
    answers_file.write_text(f"# checksum: {checksum}\n{answers}")


def owners(project: Path) -> list[tuple[str, str]]:
    """Path and owner of each row in the project's docs/ownership.md."""
    lines = (project / "docs" / "ownership.md").read_text().splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| `")]
    return [(path.strip("`"), owner) for path, owner, _ in rows]


def owner(rows: list[tuple[str, str]], path: str) -> str:
    """Owner of a file by the longest path that fits it; empty when none does."""
    fitting = [(len(row), held_by) for row, held_by in rows if matches([row], path)]
    return max(fitting)[1] if fitting else ""


def matches(patterns: list[str], path: str) -> bool:
    """Whether one of the patterns, anchored at the root, fits the path."""
    return _spec(*patterns).match_file(path)


@cache
def _spec(*patterns: str) -> PathSpec:
    anchored = [pattern if pattern.startswith("!") else "/" + pattern.lstrip("/") for pattern in patterns]
    return PathSpec.from_lines("gitignore", anchored)


def update(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What `make update` runs, with the Copier of these tests."""
    command = [sys.executable, "scripts/update.py", *arguments]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)


def copier_update(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Copier's own command, without trust."""
    command = [sys.executable, "-m", "copier", "update", "--defaults", *arguments]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)


def update_from_outside(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What docs/updating.md has for projects of a release without `make update`."""
    script = ROOT / SHARED / "scripts" / "update.py"
    command = [sys.executable, script, "--project", ".", *arguments]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
