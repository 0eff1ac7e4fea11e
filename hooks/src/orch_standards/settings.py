"""``[tool.orch-standards]`` of pyproject.toml: what is checked, and what of it counts."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .findings import SEVERITIES, checks, rules

TABLE = "pyproject.toml, [tool.orch-standards]"
LISTS = ("business", "orchestration", "exclude", "select")
KEYS = (*LISTS, "ignore", "severity", "fail-on", "baseline")
IGNORE = 'write {rule = "<id>", paths = ["*"], reason = "<why>"}'


class ProjectError(Exception):
    """The folder cannot be checked; the message says why and what to do."""


@dataclass
class Settings:
    """business, orchestration, exclude: patterns of paths. select: checks and rules. ignored: patterns by rule.

    forbidden: dotted names of modules that import-linter forbids an orchestrator.
    """

    business: list[str] = field(default_factory=list)
    orchestration: list[str] = field(default_factory=list)
    exclude: list[str] = field(default_factory=list)
    select: list[str] = field(default_factory=list)
    ignored: dict[str, list[str]] = field(default_factory=dict)
    severity: dict[str, str] = field(default_factory=dict)
    fail_on: str = ""
    baseline: str = ""
    forbidden: list[str] = field(default_factory=list)


def read(root: Path, engines: Iterable[str]) -> Settings:
    """The settings of a repository. Raises ProjectError for a file that cannot be read and for an unknown key."""
    path = root / "pyproject.toml"
    if not path.is_file():
        return Settings()
    try:
        tools = tomllib.loads(path.read_text(encoding="utf-8")).get("tool", {})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        if b"<<<<<<< " in path.read_bytes():
            return Settings()  # left by an update, which is a finding of its own
        raise ProjectError(f"{path.name} cannot be read: {error}") from None
    settings = _of_table(tools.get("orch-standards", {}))
    settings.forbidden = _forbidden(tools.get("importlinter", {}), set(engines))
    return settings


def _of_table(table: dict[str, Any]) -> Settings:
    unknown = sorted(table.keys() - set(KEYS))
    if unknown:
        raise ProjectError(f"{TABLE}: there is no key {unknown[0]!r}: use {', '.join(KEYS)}")
    for key in LISTS:
        if not _is_texts(table.get(key, [])):
            raise ProjectError(f"{TABLE}: {key} is a list of texts")
    found = Settings(**{key: list(table.get(key, [])) for key in LISTS})
    for name in found.select:
        if name not in checks() and name not in rules():
            raise ProjectError(f"{TABLE} select: there is no check or rule {name!r}: orch-standards --rules lists them")
    for each in table.get("ignore", []):
        rule, paths = _ignored(each)
        found.ignored.setdefault(rule, []).extend(paths)
    for rule, severity in dict(table.get("severity", {})).items():
        if rule not in rules() or severity not in SEVERITIES:
            raise ProjectError(
                f'{TABLE} severity: write "<rule>" = "advice", "warning" or "blocker", not {rule} = {severity!r}'
            )
        found.severity[rule] = severity
    found.fail_on, found.baseline = table.get("fail-on", ""), table.get("baseline", "")
    if found.fail_on not in ("", *SEVERITIES):
        raise ProjectError(f"{TABLE} fail-on: use {', '.join(SEVERITIES)}, not {found.fail_on!r}")
    if not isinstance(found.baseline, str):
        raise ProjectError(f"{TABLE}: baseline is the path of a file")
    return found


def _ignored(entry: object) -> tuple[str, list[str]]:
    """A rule and the paths it is ignored in: ``{rule, paths, reason}``."""
    given = entry if isinstance(entry, dict) else {}
    rule, reason, paths = given.get("rule"), given.get("reason"), given.get("paths", ["*"])
    reasoned = isinstance(reason, str) and reason.strip()
    if rule not in rules() or not reasoned or not _is_texts(paths) or given.keys() - {"rule", "paths", "reason"}:
        raise ProjectError(f"{TABLE} ignore: {IGNORE}")
    return rule, paths


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _forbidden(linter: dict[str, Any], engines: set[str]) -> list[str]:
    """Modules that a contract of import-linter forbids an orchestrator: business code by the team's own word."""
    contracts = [each for each in linter.get("contracts", []) if isinstance(each, dict)]
    return [
        module
        for each in contracts
        if each.get("type") == "forbidden" and engines & set(each.get("forbidden_modules", []))
        for module in each.get("source_modules", [])
    ]
