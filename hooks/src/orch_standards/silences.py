"""Silences: a comment that allows one finding, and says why.

``# standards: allow airflow-no-retries -- loads once a year, by hand`` on the line of the finding, or on a line of its
own right above it. Several rules are separated by commas. A silence without a reason, or of a rule there is none of,
is a finding itself and silences nothing.
"""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from .findings import rules
from .project import Project
from .report import Report

MARK = b"standards: allow"
SILENCE = re.compile(
    r"#\s*standards: allow\b\s*(?P<rules>[a-z0-9-]+(?:\s*,\s*[a-z0-9-]+)*)?\s*(?:--\s*(?P<reason>.*\S))?"
)
COMMENTED = (".py", ".toml", ".yml", ".yaml", ".env", ".cfg", ".ini", ".conf", ".sh", ".sql", ".tf", ".txt")


@dataclass(frozen=True)
class Silence:
    """line: where it stands. covers: the line it is about."""

    path: str
    line: int
    covers: int
    rules: tuple[str, ...]
    reason: str

    @property
    def valid(self) -> bool:
        return bool(self.reason) and bool(self.rules) and all(rule in rules() for rule in self.rules)


def read(project: Project) -> list[Silence]:
    """The silences in all files that can have comments."""
    found = []
    for path in project.files:
        if MARK in project.bytes(path) and (path.endswith(COMMENTED) or "." not in path.rpartition("/")[2][1:]):
            text = project.text(path)
            lines = text.split("\n")
            for number, comment in _comments(path, text):
                match = SILENCE.search(comment)
                if match:
                    alone = lines[number - 1].lstrip().startswith("#")
                    names = tuple(name.strip() for name in (match["rules"] or "").split(",") if name.strip())
                    covers = _next_line(lines, number) if alone else number
                    found.append(Silence(path, number, covers, names, match["reason"] or ""))
    return found


def _comments(path: str, text: str) -> Iterator[tuple[int, str]]:
    if not path.endswith(".py"):
        yield from enumerate(text.split("\n"), 1)
        return
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.COMMENT:
                yield token.start[0], token.string
    except (tokenize.TokenError, SyntaxError):
        return


def _next_line(lines: list[str], number: int) -> int:
    """The first line below that is no comment."""
    while number < len(lines) and lines[number].lstrip().startswith("#"):
        number += 1
    return number + 1


def problems(silences: Iterable[Silence]) -> Iterator[Report]:
    for each in silences:
        unknown = [name for name in each.rules if name not in rules()]
        if not each.rules or unknown:
            yield Report("silence-of-unknown-rule", each.path, each.line, unknown[0] if unknown else "")
        elif not each.reason:
            yield Report("silence-without-reason", each.path, each.line, ", ".join(each.rules))


def unused(silences: Iterable[Silence], reports: Iterable[Report], ran: set[str]) -> Iterator[Report]:
    """Silences of rules that were run and found nothing there."""
    found = {(report.path, report.line, report.rule) for report in reports}
    for each in silences:
        if each.valid:
            idle = [name for name in each.rules if name in ran and (each.path, each.covers, name) not in found]
            if idle:
                yield Report("unused-silence", each.path, each.line, idle[0])


def kept(reports: Iterable[Report], silences: Iterable[Silence], ignored: dict[str, list[str]]) -> Iterator[Report]:
    """Reports that nothing silences. ignored: patterns of paths by rule, from pyproject.toml."""
    allowed = {(each.path, each.covers, rule) for each in silences if each.valid for rule in each.rules}
    for report in reports:
        if (report.path, report.line, report.rule) in allowed:
            continue
        if not any(fnmatchcase(report.path, pattern) for pattern in ignored.get(report.rule, [])):
            yield report
