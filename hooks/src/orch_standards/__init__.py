"""Checks that data pipelines on Airflow, Dagster and Prefect are shaped for production.

``check(root)`` reads the files of a repository, runs nothing of it, and returns what a reviewer would ask to change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from . import answers, configuration, contracts, layering, leftovers, production, secrets, silences
from .findings import Finding, Rule, checks, rules
from .project import Project, ProjectError
from .report import Report

__all__ = ["Finding", "ProjectError", "Rule", "check", "checks", "rules"]
__version__ = "0.1.0"

CHECKS: dict[str, Callable[[Project], Iterator[Report]]] = {
    "production-shape": production.check,
    "layering": layering.check,
    "no-plaintext-secrets": secrets.check,
    "config-complete": configuration.check,
    "no-update-leftovers": leftovers.check,
    "answers-untouched": answers.check,
    "contract-present": contracts.check,
}
SILENCES = "silences"  # checked whatever else is


def check(root: Path | str, only: Iterable[str] | None = None) -> list[Finding]:
    """Findings in a repository, by path and line.

    only: names of checks or ids of rules, all by default. Raises ProjectError when the folder or its pyproject.toml
    cannot be read, ValueError for a name that is neither.
    """
    wanted = _wanted(only)
    project = Project(root)
    ignored = _ignored(project)
    found = [
        report
        for name, run in CHECKS.items()
        if wanted & set(checks()[name])
        for report in run(project)
        if report.rule in wanted
    ]
    comments = silences.read(project)
    reports = [*found, *silences.problems(comments), *silences.unused(comments, found, wanted)]
    visible = {report for report in silences.kept(reports, comments, ignored) if report.rule in wanted}
    local_documents = (project.root / "docs" / "conventions.md").is_file()
    return sorted(_finding(report, local_documents) for report in visible)


def _wanted(only: Iterable[str] | None) -> set[str]:
    if only is None:
        return set(rules())
    wanted = set(checks()[SILENCES])
    for name in only:
        if name in checks():
            wanted.update(checks()[name])
        elif name in rules():
            wanted.add(name)
        else:
            raise ValueError(f"no check or rule {name!r}: use one of {', '.join(CHECKS)}, or a rule's id")
    return wanted


def _ignored(project: Project) -> dict[str, list[str]]:
    """Rules that pyproject.toml switches off, by patterns of paths: ``ignore = [{rule, paths, reason}]``."""
    found: dict[str, list[str]] = {}
    for each in project.settings.get("ignore", []):
        entry = each if isinstance(each, dict) else {}
        rule, reason = entry.get("rule"), entry.get("reason")
        if rule not in rules() or not isinstance(reason, str) or not reason.strip():
            raise ProjectError(
                'pyproject.toml, [tool.orch-standards] ignore: write {rule = "<id>", paths = ["*"], reason = "<why>"}'
            )
        found.setdefault(rule, []).extend(entry.get("paths", ["*"]))
    return found


def _finding(report: Report, local_documents: bool) -> Finding:
    rule = rules()[report.rule]
    link = rule.link if local_documents else rule.docs
    return Finding(report.path, report.line, rule.id, rule.sentence.replace("{what}", report.what), link)
