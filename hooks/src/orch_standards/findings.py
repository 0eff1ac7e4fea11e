"""Findings, and the rules they come from: ``data/rules.toml`` says what each one means and where to read on.

Rules of a cloud's own orchestrator stand beside its module, in ``services/``.
"""

from __future__ import annotations

import tomllib
from dataclasses import asdict, dataclass
from functools import cache
from importlib import resources

SEVERITIES = ("advice", "warning", "blocker")  # the mildest first


@dataclass(frozen=True)
class Rule:
    """One thing a reviewer would ask for.

    check: the hook it belongs to. engine: empty where it holds for every orchestrator. severity: of SEVERITIES.
    since: the version of the engine that it holds from, empty for all. sentence: what is wrong, with ``{what}`` for
    the thing it is about. why: what goes wrong otherwise. link: section of a generated project's own documents.
    docs: the same in public documentation, for repositories that have no such document.
    """

    id: str
    check: str
    severity: str
    sentence: str
    why: str
    link: str
    docs: str
    engine: str = ""
    since: str = ""


@dataclass(frozen=True, order=True)
class Finding:
    """A place that breaks a rule. path: relative to the checked folder, with forward slashes. line, column: from 1."""

    path: str
    line: int
    column: int
    rule: str
    severity: str
    sentence: str
    link: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}: {self.rule}: {self.sentence} ({self.link})"

    def as_dict(self) -> dict[str, str | int]:
        return asdict(self)

    def at_least(self, severity: str) -> bool:
        return SEVERITIES.index(self.severity) >= SEVERITIES.index(severity)


@cache
def rules() -> dict[str, Rule]:
    """All rules by id, in the order they are documented."""
    package = resources.files("orch_standards")
    services = sorted((each for each in package.joinpath("services").iterdir() if each.name.endswith(".toml")), key=str)
    files = [*services, package.joinpath("data/rules.toml")]
    tables = [tomllib.loads(file.read_text(encoding="utf-8"))["rule"] for file in files]
    return {each["id"]: Rule(**each) for table in tables for each in table}


@cache
def checks() -> dict[str, tuple[str, ...]]:
    """The rules of each check, by its name."""
    names = dict.fromkeys(rule.check for rule in rules().values())
    return {name: tuple(rule.id for rule in rules().values() if rule.check == name) for name in names}
