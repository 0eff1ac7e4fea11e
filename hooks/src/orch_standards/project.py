"""A folder to check: its files, each read and parsed at most once and only when a check asks for it."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from . import newer_syntax, settings
from .names import ENGINES, Module
from .settings import ProjectError, Settings

# Folders that are on the path of the interpreter, whatever is in them: what stands below is imported from there.
ROOTS = {"src", "dags", "plugins", "lib", "libs"}
TESTS = {"test", "tests"}
NOT_OURS = {"node_modules", "site-packages", "__pycache__", "build", "dist", "target", "venv", "env"}
LARGEST_FILE = 20_000_000  # bytes; what is larger is data
TEMPLATED = re.compile(rb"\{\{|\{%|\[%|<%")  # Helm, Jinja and the like make YAML of it later


class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """Reads tags of other programs, such as ``!Ref`` and ``!vault``, as what they stand before."""


def _tagged(loader: Loader, suffix: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return loader.construct_scalar(node)
    build = loader.construct_sequence if isinstance(node, yaml.SequenceNode) else loader.construct_mapping
    return build(node, deep=True)


Loader.add_multi_constructor("!", _tagged)
Loader.add_multi_constructor("tag:yaml.org,2002:python/", _tagged)


@dataclass(frozen=True, order=True)
class Problem:
    """A file that could not be read, with the line (from 1) and why."""

    path: str
    line: int
    reason: str


def is_test(path: str) -> bool:
    """Whether a file is a test or its fixture: code that makes things up, and never runs in production."""
    name = path.rpartition("/")[2]
    return bool(TESTS & set(path.split("/")[:-1])) or name.startswith(("test_", "conftest."))


class Project:
    """The files of a folder, by their path relative to it with forward slashes."""

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root).resolve()
        if not self.root.is_dir():
            raise ProjectError(f"{root} is not a folder: name the repository's root")
        self._bytes: dict[str, bytes] = {}
        self._texts: dict[str, str] = {}
        self._modules: dict[str, Module | None] = {}
        self._yaml: dict[str, tuple[yaml.Node, ...]] = {}
        self.problems: set[Problem] = set()  # of the files that were to be read until now

    @cached_property
    def files(self) -> tuple[str, ...]:
        """Files under version control or about to be; all but hidden and installed ones where there is no git."""
        found = self._listed_by_git() if (self.root / ".git").exists() else None
        paths = sorted(self._walked() if found is None else found)
        excluded = self.settings.exclude
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
    def settings(self) -> Settings:
        """``[tool.orch-standards]`` of pyproject.toml. Raises ProjectError when that file cannot be read."""
        return settings.read(self.root, ENGINES)

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
            except OSError as error:
                self._bytes[path] = b""
                self._note(path, 1, error.strerror or "it cannot be opened")
        return self._bytes[path]

    def text(self, path: str) -> str:
        """The file as text; empty for what is not text."""
        if path not in self._texts:
            content = self.bytes(path)
            text = "" if b"\0" in content else content.decode("utf-8", errors="replace")
            self._texts[path] = text.replace("\r\n", "\n")
        return self._texts[path]

    def _note(self, path: str, line: int, reason: str) -> None:
        """A file that a check wanted to read and could not; those of tests may be broken on purpose."""
        if not is_test(path):
            self.problems.add(Problem(path, line, reason))

    def toml(self, path: str) -> dict[str, Any]:
        """The file's content, empty when it cannot be parsed."""
        try:
            return tomllib.loads(self.text(path))
        except tomllib.TOMLDecodeError as error:
            at = re.search(r"at line (\d+)", str(error))
            self._note(path, int(at[1]) if at else 1, str(error).partition(" (at")[0])
            return {}

    def yaml(self, path: str) -> Any:
        """The file's first document, None when it cannot be parsed."""
        return next(iter(self.yaml_documents(path)), None)

    def yaml_documents(self, path: str) -> list[Any]:
        """What the documents of a file hold, none when it cannot be parsed."""
        loader = Loader("")
        try:
            return [loader.construct_document(node) for node in self.yaml_nodes(path)]
        except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
            self._note_yaml(path, error)
            return []

    def yaml_nodes(self, path: str) -> tuple[yaml.Node, ...]:
        """The file's documents as nodes that know their lines."""
        if path not in self._yaml:
            try:
                self._yaml[path] = tuple(filter(None, yaml.compose_all(self.text(path), Loader=Loader)))
            except (yaml.YAMLError, RecursionError) as error:
                self._yaml[path] = ()
                self._note_yaml(path, error)
        return self._yaml[path]

    def _note_yaml(self, path: str, error: Exception) -> None:
        if not TEMPLATED.search(self.bytes(path)):
            mark = getattr(error, "problem_mark", None)
            self._note(path, mark.line + 1 if mark else 1, getattr(error, "problem", None) or str(error))

    def yaml_node(self, path: str) -> yaml.Node | None:
        """As `yaml`, as nodes that know their lines."""
        return next(iter(self.yaml_nodes(path)), None)

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
                if "/".join(parts[:start]) not in packages or parts[start - 1] in ROOTS:
                    found.setdefault(".".join(parts[start:]), []).append(path)
        return found

    def module(self, path: str) -> Module | None:
        """The parsed file, None when it is no valid Python."""
        if path not in self._modules:
            content = self.bytes(path)
            reason = (1, "it cannot be read")
            try:
                tree: ast.Module | None = ast.parse(content)
            except (SyntaxError, ValueError, RecursionError) as error:
                tree = None if isinstance(error, RecursionError) else newer_syntax.parse(content)
                reason = (getattr(error, "lineno", None) or 1, getattr(error, "msg", None) or str(error))
            self._modules[path] = Module(self, path, tree) if tree else None
            if tree is None:
                self._note(path, *reason)
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
