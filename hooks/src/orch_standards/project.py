"""A folder to check: its files, each read and parsed at most once and only when a check asks for it."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from .names import Module

NOT_OURS = {"node_modules", "site-packages", "__pycache__", "build", "dist", "target", "venv", "env"}
LARGEST_FILE = 20_000_000  # bytes; what is larger is data
Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class ProjectError(Exception):
    """The folder cannot be checked; the message says why and what to do."""


class Project:
    """The files of a folder, by their path relative to it with forward slashes."""

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root).resolve()
        if not self.root.is_dir():
            raise ProjectError(f"{root} is not a folder: name the repository's root")
        self._bytes: dict[str, bytes] = {}
        self._texts: dict[str, str] = {}
        self._modules: dict[str, Module | None] = {}

    @cached_property
    def files(self) -> tuple[str, ...]:
        """Files under version control or about to be; all but hidden and installed ones where there is no git."""
        found = self._listed_by_git() if (self.root / ".git").exists() else None
        paths = sorted(self._walked() if found is None else found)
        excluded = self.settings.get("exclude", [])
        return tuple(path for path in paths if not any(fnmatchcase(path, pattern) for pattern in excluded))

    def _listed_by_git(self) -> list[str] | None:
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate"]
        try:
            done = subprocess.run(command, cwd=self.root, capture_output=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            return None
        names = os.fsdecode(done.stdout).split("\0")
        return [name for name in names if name and (self.root / name).is_file()]

    def _walked(self) -> list[str]:
        found = []
        for folder, folders, names in os.walk(self.root):
            folders[:] = [
                name
                for name in folders
                if name not in NOT_OURS
                and (not name.startswith(".") or name in {".github", ".circleci"})
                and not (Path(folder) / name / "pyvenv.cfg").exists()
            ]
            inside = Path(folder).relative_to(self.root)
            found += [(inside / name).as_posix() for name in names]
        return found

    @cached_property
    def settings(self) -> dict[str, Any]:
        """``[tool.orch-standards]`` of pyproject.toml. Raises ProjectError when that file cannot be read."""
        path = self.root / "pyproject.toml"
        if not path.is_file():
            return {}
        try:
            return tomllib.loads(path.read_text(encoding="utf-8")).get("tool", {}).get("orch-standards", {})
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            if b"<<<<<<< " in path.read_bytes():
                return {}  # left by an update, which is a finding of its own
            raise ProjectError(f"{path.name} cannot be read: {error}") from None

    def matching(self, *patterns: str) -> Iterator[str]:
        """Files that match one of these patterns, in which ``*`` spans folders."""
        for path in self.files:
            if any(fnmatchcase(path, pattern) for pattern in patterns):
                yield path

    def with_suffix(self, *suffixes: str) -> Iterator[str]:
        for path in self.files:
            if path.endswith(suffixes):
                yield path

    def bytes(self, path: str) -> bytes:
        if path not in self._bytes:
            file = self.root / path
            try:
                self._bytes[path] = file.read_bytes() if file.stat().st_size <= LARGEST_FILE else b""
            except OSError:
                self._bytes[path] = b""
        return self._bytes[path]

    def text(self, path: str) -> str:
        """The file as text; empty for what is not text."""
        if path not in self._texts:
            content = self.bytes(path)
            text = "" if b"\0" in content else content.decode("utf-8", errors="replace")
            self._texts[path] = text.replace("\r\n", "\n")
        return self._texts[path]

    def toml(self, path: str) -> dict[str, Any]:
        try:
            return tomllib.loads(self.text(path))
        except tomllib.TOMLDecodeError:
            return {}

    def yaml(self, path: str) -> Any:
        """The file's first document, None when it cannot be parsed."""
        try:
            return next(iter(yaml.load_all(self.text(path), Loader=Loader)), None)
        except yaml.YAMLError:
            return None

    def yaml_node(self, path: str) -> yaml.Node | None:
        """As `yaml`, as nodes that know their lines."""
        try:
            return next(iter(yaml.compose_all(self.text(path), Loader=Loader)), None)
        except yaml.YAMLError:
            return None

    def environment_files(self) -> Iterator[str]:
        """Files that set variables for processes: lists of them, images, Compose, charts."""
        yield from self.matching(
            "*.env", ".env*", "*/.env*", "*Dockerfile*", "*compose*.y*ml", "*values*.y*ml", "*airflow.cfg"
        )

    def sets_variable(self, *names: str) -> bool:
        """Whether some file sets one of these variables. A commented line does not."""
        wanted = re.compile(rf"^[^#\n]*\b(?:{'|'.join(names)})\b", re.MULTILINE)
        return any(wanted.search(self.text(path)) for path in self.environment_files())

    @cached_property
    def answers(self) -> dict[str, Any]:
        """Copier's answers, empty in a repository that was not generated."""
        found = self.yaml(".copier-answers.yml") if (self.root / ".copier-answers.yml").is_file() else None
        return found if isinstance(found, dict) else {}

    # Python modules

    @cached_property
    def _by_name(self) -> dict[str, list[str]]:
        """Paths by dotted name, under every name a file may be imported by: ``src/a/b.py`` is a.b, and src.a.b.

        A file in a package is not known by less than the package's name.
        """
        packages = {path.rpartition("/")[0] for path in self.with_suffix("/__init__.py")}
        found: dict[str, list[str]] = {}
        for path in self.with_suffix(".py"):
            parts = list(PurePosixPath(path).with_suffix("").parts)
            if parts[-1] == "__init__":
                parts.pop()
            for start in range(len(parts)):
                if "/".join(parts[:start]) not in packages:
                    found.setdefault(".".join(parts[start:]), []).append(path)
        return found

    def module(self, path: str) -> Module | None:
        """The parsed file, None when it is no valid Python."""
        if path not in self._modules:
            try:
                tree = ast.parse(self.bytes(path))
            except (SyntaxError, ValueError, RecursionError):
                self._modules[path] = None
            else:
                self._modules[path] = Module(self, path, tree)
        return self._modules[path]

    def module_path(self, dotted: str, near: str) -> str | None:
        """File of an imported module, None for one that is not of this project. near: the importing file."""
        paths = self._by_name.get(dotted)
        if not paths:
            return None
        folder = near.split("/")[:-1]
        # The nearest one: a helper beside the file before one of the same name in another folder.
        return max(paths, key=lambda path: _shared(folder, path.split("/")[:-1]))

    def python(self, *words: str) -> Iterator[Module]:
        """Modules whose text has one of these words, or all when none is given."""
        wanted = [word.encode() for word in words]
        for path in self.with_suffix(".py"):
            content = self.bytes(path)
            if not wanted or any(word in content for word in wanted):
                module = self.module(path)
                if module:
                    yield module


def _shared(first: list[str], second: list[str]) -> int:
    """How many folders two paths begin with in common."""
    number = 0
    while number < min(len(first), len(second)) and first[number] == second[number]:
        number += 1
    return number
