"""What Copier works out again for each project, worked out once in a process that examines many.

Copier itself clones the template four times for an update, reads its questionnaire each time, and compiles each of
its Jinja strings. Here every version of a template is checked out, read and compiled once; what is rendered from
it, and how it is merged, remains Copier's work on each project.
"""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from tempfile import mkdtemp
from types import CodeType
from typing import Any

import copier._template
import jinja2


def begin(folder: Path) -> None:
    """Share from now on, in this process and for its whole life. folder: for the checkouts; they are never changed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started this one ends it
    os.environ["GIT_TEMPLATE_DIR"] = ""  # no sample hooks in each repository that Copier makes for a moment
    gc.set_threshold(50_000)  # what is shared stays, and need not be looked through all the time
    copier._template.clone = _checked_out_once(copier._template.clone, folder)
    copier._template.load_template_config = _read_once(copier._template.load_template_config)
    jinja2.Environment.compile = _compiled_once(jinja2.Environment.compile)


def _checked_out_once(clone: Callable[..., str], folder: Path) -> Callable[..., str]:
    places: dict[tuple[str, str], str] = {}

    def shared(url: str, ref: str = "HEAD", location: str | None = None) -> str:
        """``location`` stays empty: Copier reads from the folder returned, and removes its own."""
        if (url, ref) not in places:
            places[url, ref] = clone(url, ref, mkdtemp(dir=folder))
        return places[url, ref]

    return shared


def _read_once(load: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    read: dict[Path, dict[str, Any]] = {}

    def shared(conf_path: Path, quiet: bool = False) -> dict[str, Any]:
        if conf_path not in read:
            read[conf_path] = load(conf_path, quiet)
        return deepcopy(read[conf_path])

    return shared


def _compiled_once(compile_: Callable[..., CodeType | str]) -> Callable[..., CodeType | str]:
    compiled: dict[tuple, CodeType | str] = {}

    def shared(
        self: jinja2.Environment, source: Any, name: Any = None, filename: Any = None, *options: Any, **more: Any
    ) -> CodeType | str:
        if not isinstance(source, str) or options or more:
            return compile_(self, source, name, filename, *options, **more)
        # All that the code depends on: Jinja keeps one lexer for each set of delimiters and of rules about spaces.
        key = (source, name, filename, type(self), self.lexer, self.optimized, self.autoescape, *self.extensions)
        if key not in compiled:
            compiled[key] = compile_(self, source, name, filename)
        return compiled[key]

    return shared
