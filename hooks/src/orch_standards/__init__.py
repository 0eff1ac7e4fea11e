"""Checks that data pipelines on Airflow, Dagster and Prefect are shaped for production.

``check(root)`` reads the files of a repository, runs nothing of it, and returns what a reviewer would ask to change.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from . import answers, configuration, contracts, layering, leftovers, production, secrets, services, silences
from .engines import Engines
from .findings import Finding, Rule, checks, rules
from .project import Project
from .report import Report
from .settings import ProjectError, Settings

__all__ = ["Finding", "ProjectError", "Result", "Rule", "check", "checks", "inspect", "rules"]
__version__ = "0.1.0"

CHECKS: dict[str, Callable[[Project], Iterator[Report]]] = {
    "production-shape": production.check,
    "cloud-services": services.check,
    "layering": layering.check,
    "no-plaintext-secrets": secrets.check,
    "config-complete": configuration.check,
    "no-update-leftovers": leftovers.check,
    "answers-untouched": answers.check,
    "contract-present": contracts.check,
}
ALWAYS = ("silences", "files")  # checked whatever else is


@dataclass
class Result:
    findings: list[Finding]
    settings: Settings


def check(root: Path | str, only: Iterable[str] | None = None) -> list[Finding]:
    """Findings in a repository, by path and line.

    only: names of checks or ids of rules, by default those that pyproject.toml selects, or all. Raises ProjectError
    when the folder or its pyproject.toml cannot be read, ValueError for a name that is neither.
    """
    return inspect(root, only).findings


def inspect(root: Path | str, only: Iterable[str] | None = None, paths: Collection[str] | None = None) -> Result:
    """As `check`, with the settings. paths: files and folders whose findings are wanted, relative to the root."""
    project = Project(root)
    settings = project.settings
    # A project of the template starts clean, and stays so.
    settings.fail_on = settings.fail_on or ("advice" if project.answers else "warning")
    wanted = _wanted(only if only is not None else settings.select or None)
    engines = Engines(project)
    found = [
        report
        for name, run in CHECKS.items()
        if wanted & set(checks()[name])
        for report in run(project)
        if report.rule in wanted and _applies(rules()[report.rule], report.path, engines)
    ]
    found += [Report("file-not-parsed", each.path, each.line, each.reason) for each in sorted(project.problems)]
    comments = silences.read(project)
    reports = [*found, *silences.problems(comments), *silences.unused(comments, found, wanted)]
    visible = {report for report in silences.kept(reports, comments, settings.ignored) if report.rule in wanted}
    if paths is not None:
        visible = {report for report in visible if _is_below(report.path, paths)}
    return Result(sorted(_finding(report, project) for report in visible), settings)


def _applies(rule: Rule, path: str, engines: Engines) -> bool:
    """Whether the version of the engine that runs a file has what the rule asks for."""
    return not rule.since or engines.has(rule.engine, rule.since, path)


def _is_below(path: str, places: Collection[str]) -> bool:
    return any(path == place or place == "." or path.startswith(f"{place}/") for place in places)


def _wanted(only: Iterable[str] | None) -> set[str]:
    if only is None:
        return set(rules())
    wanted = {rule for name in ALWAYS for rule in checks()[name]}
    for name in only:
        if name in checks():
            wanted.update(checks()[name])
        elif name in rules():
            wanted.add(name)
        else:
            raise ValueError(f"no check or rule {name!r}: use one of {', '.join(CHECKS)}, or a rule's id")
    return wanted


def _finding(report: Report, project: Project) -> Finding:
    rule = rules()[report.rule]
    link = rule.link if (project.root / rule.link.partition("#")[0]).is_file() else rule.docs
    severity = project.settings.severity.get(rule.id, rule.severity)
    column = report.column or _first_column(project, report)
    return Finding(
        report.path, report.line, column, rule.id, severity, rule.sentence.replace("{what}", report.what), link
    )


def _first_column(project: Project, report: Report) -> int:
    """Where the text of a line begins, from 1."""
    lines = project.text(report.path).split("\n")
    line = lines[report.line - 1] if report.line <= len(lines) else ""
    return len(line) - len(line.lstrip()) + 1 if line.strip() else 1
