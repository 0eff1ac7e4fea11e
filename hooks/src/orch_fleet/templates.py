"""Templates: fetched once per run into a local mirror, whatever the number of repositories made from them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any

import pathspec
import yaml
from copier._vcs import get_repo  # expands gh: and gl: as Copier does
from packaging.version import InvalidVersion, Version

FETCH_SECONDS = 120
UPDATE_SCRIPT = "template/[[shared]]/scripts/update.py"
# Git must not ask for a password behind the progress, fetch large files for a trial, or refresh a repository's index.
UNSEEN = {"GIT_TERMINAL_PROMPT": "0", "GIT_LFS_SKIP_SMUDGE": "1", "GIT_OPTIONAL_LOCKS": "0"}


class TemplateError(Exception):
    """The template cannot be used; the message says why, in a sentence."""


def run_git(*arguments: str, cwd: Path | None = None) -> str:
    """Output of a git command. Raises subprocess.CalledProcessError, with what git said in ``stderr``."""
    command = ["git", "-c", "core.fsmonitor=false", *arguments]
    done = subprocess.run(
        command,
        cwd=cwd,
        capture_output=True,
        text=True,
        check=True,
        timeout=FETCH_SECONDS,
        stdin=subprocess.DEVNULL,
        env=os.environ | UNSEEN,
    )
    return done.stdout


@dataclass(frozen=True)
class Mirror:
    """A template's repository on this machine. source: as the answers files name it."""

    source: str
    folder: Path

    @property
    def releases(self) -> Sequence[tuple[Version, str]]:
        """Released versions and their tags, the oldest first; pre-releases are none."""
        return _releases(self.folder)

    def behind(self, tag: str) -> int:
        """How many releases came after the version that ``_commit`` of an answers file names."""
        own = _version(tag)
        if own is None or not self.has(tag):
            raise TemplateError(f"the template {self.source} has no version {tag}: set _commit to one that it has")
        return sum(version > own for version, _ in self.releases)

    def is_newer(self, tag: str) -> bool:
        """Whether a project's version came after every release, as one between releases does."""
        own = _version(tag)
        return bool(own and self.releases and own > self.releases[-1][0])

    def has(self, commit: str) -> bool:
        try:
            run_git("rev-parse", "--verify", "--quiet", f"{reference(commit)}^{{commit}}", cwd=self.folder)
        except subprocess.CalledProcessError:
            return False
        return True

    def released(self, commit: str) -> str:
        """The day of the version's commit, as 2026-01-31."""
        return run_git("log", "-1", "--format=%cs", reference(commit), cwd=self.folder).strip()

    def update_script(self, commit: str) -> ModuleType | None:
        """What `make update` of that version runs, else the newest release's; None where the template has none.

        It is the template's copy, not the project's: nothing that a repository holds is run.
        """
        newest = [tag for _, tag in self.releases[-1:]]
        return next(filter(None, (_update_script(self.folder, reference(each)) for each in (commit, *newest))), None)

    def team_files(self, commit: str, answers: Mapping[str, Any]) -> pathspec.PathSpec:
        """Which paths of a project belong to its team, as the template's manifests of that version say."""
        package = str(answers.get("package_name", "*"))
        patterns = _team_patterns(self.folder, reference(commit))
        rooted = [f"/{pattern.lstrip('/')}".replace("[[ package_name ]]", package) for pattern in patterns]
        return pathspec.PathSpec.from_lines("gitignore", rooted)


def mirror(source: str, folder: Path) -> Mirror:
    """Fetch a template into a folder of its own below ``folder``. Raises TemplateError when it cannot be reached."""
    url = get_repo(str(Path(source).expanduser()) if source.startswith("~") else source)
    if url is None:
        raise TemplateError(f"the template {source} is no git repository that can be reached: check _src_path")
    target = folder / sha256(source.encode()).hexdigest()[:16]
    try:
        run_git("clone", "--quiet", url, str(target))
    except subprocess.CalledProcessError as error:
        said = " ".join(error.stderr.split()) or "git gave no reason"
        raise TemplateError(f"the template {source} cannot be reached: {said}") from None
    except subprocess.TimeoutExpired:
        raise TemplateError(f"the template {source} did not answer within {FETCH_SECONDS} s") from None
    # Many loose objects are slow to clone and slow to remove, and a template on this machine may have them.
    run_git("repack", "-a", "-d", "--quiet", cwd=target)
    return Mirror(source, target)


@cache
def _releases(folder: Path) -> Sequence[tuple[Version, str]]:
    found = [(_version(tag), tag) for tag in run_git("tag", "--list", cwd=folder).split()]
    return sorted((version, tag) for version, tag in found if version and not version.is_prerelease)


@cache
def _update_script(folder: Path, commit: str) -> ModuleType | None:
    try:
        source = run_git("show", f"{commit}:{UPDATE_SCRIPT}", cwd=folder)
    except subprocess.CalledProcessError:
        return None
    if "--dry-run" not in source:
        return None  # of a version that could only try it on the project itself
    module = ModuleType(f"update_script_{sha256(f'{folder}{commit}'.encode()).hexdigest()[:8]}")
    module.__file__ = str(folder / UPDATE_SCRIPT)
    sys.modules[module.__name__] = module  # dataclasses look their module up
    exec(compile(source, module.__file__, "exec"), module.__dict__)  # noqa: S102  the template is trusted to render, too
    return module


@cache
def _team_patterns(folder: Path, commit: str) -> Sequence[str]:
    """As the manifests have them, names of answers in brackets."""
    patterns: list[str] = []
    for name in run_git("ls-tree", "-r", "-z", "--name-only", commit, cwd=folder).split("\0"):
        if name.startswith("template/") and name.endswith("/manifest.yml"):
            manifest = yaml.safe_load(run_git("show", f"{commit}:{name}", cwd=folder)) or {}
            patterns += [*manifest.get("team", {}), *manifest.get("seeds", [])]
    return patterns


def reference(commit: str) -> str:
    """What git knows a recorded version by: its tag, or the commit that `git describe` put at its end."""
    described = re.fullmatch(r".*-\d+-g([0-9a-f]+)", commit)
    return described[1] if described else commit


def _version(tag: str) -> Version | None:
    described = re.sub(r"-(\d+)-g([0-9a-f]+)$", r".post\1", tag)  # as `git describe` names a commit after a release
    try:
        return Version(described)
    except InvalidVersion:
        return None
