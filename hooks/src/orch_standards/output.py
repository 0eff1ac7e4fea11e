"""How findings are printed."""

from __future__ import annotations

import json
import sys
from collections import Counter

from .findings import SEVERITIES, Finding, Rule, rules

SARIF = "https://json.schemastore.org/sarif-2.1.0.json"
SARIF_LEVELS = {"blocker": "error", "warning": "warning", "advice": "note"}
GITHUB_LEVELS = {"blocker": "error", "warning": "warning", "advice": "notice"}


def as_text(found: list[Finding], notes: list[str], version: str) -> None:
    for finding in found:
        print(finding)
    print("; ".join([counted(found), *notes]))


def counted(found: list[Finding]) -> str:
    """How many findings there are, of which severity."""
    if not found:
        return "no findings"
    files = len({finding.path for finding in found})
    by_severity = Counter(finding.severity for finding in found)
    parts = [
        f"{by_severity[each]} {_plural(each, by_severity[each])}" for each in SEVERITIES[::-1] if by_severity[each]
    ]
    return f"{len(found)} {_plural('finding', len(found))} in {files} {_plural('file', files)}: {', '.join(parts)}"


def _plural(word: str, number: int) -> str:
    return word if number == 1 or word == "advice" else f"{word}s"


def as_json(found: list[Finding], notes: list[str], version: str) -> None:
    print(json.dumps([finding.as_dict() for finding in found], indent=1))
    _aside(notes)


def as_github(found: list[Finding], notes: list[str], version: str) -> None:
    for finding in found:
        text = f"{finding.sentence} ({finding.link})".replace("%", "%25")
        place = f"file={finding.path},line={finding.line},col={finding.column},title={finding.rule}"
        print(f"::{GITHUB_LEVELS[finding.severity]} {place}::{text}")
    _aside(notes)


def as_sarif(found: list[Finding], notes: list[str], version: str) -> None:
    used = sorted({finding.rule for finding in found})
    driver = {"name": "orch-standards", "version": version, "rules": [_sarif_rule(rules()[each]) for each in used]}
    results = [_sarif_result(finding, used.index(finding.rule)) for finding in found]
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    print(json.dumps({"$schema": SARIF, "version": "2.1.0", "runs": [run]}, indent=1))
    _aside(notes)


def _sarif_rule(rule: Rule) -> dict[str, object]:
    return {
        "id": rule.id,
        "shortDescription": {"text": rule.sentence.replace("{what}", "…")},
        "fullDescription": {"text": rule.why},
        "defaultConfiguration": {"level": SARIF_LEVELS[rule.severity]},
        **({"helpUri": rule.docs} if rule.docs.startswith("https://") else {}),
    }


def _sarif_result(finding: Finding, index: int) -> dict[str, object]:
    region = {"startLine": finding.line, "startColumn": finding.column}
    place = {"artifactLocation": {"uri": finding.path}, "region": region}
    return {
        "ruleId": finding.rule,
        "ruleIndex": index,
        "level": SARIF_LEVELS[finding.severity],
        "message": {"text": f"{finding.sentence} ({finding.link})"},
        "locations": [{"physicalLocation": place}],
    }


def as_summary(found: list[Finding], notes: list[str], version: str) -> None:
    """How many findings each rule has, the most first."""
    number = Counter(finding.rule for finding in found)
    severity = {finding.rule: finding.severity for finding in found}
    for rule, count in sorted(number.items(), key=lambda item: (-item[1], item[0])):
        print(f"{count:6}  {severity[rule]:8} {rule}")
    print("; ".join([counted(found), *notes]))


def _aside(notes: list[str]) -> None:
    for note in notes:
        print(f"orch-standards: {note}", file=sys.stderr)


FORMATS = {"text": as_text, "json": as_json, "github": as_github, "sarif": as_sarif, "summary": as_summary}


def explained(rule: Rule) -> str:
    """All that is known of a rule, for people."""
    since = f", from version {rule.since} on" if rule.since else ""
    lines = [
        f"{rule.id} ({rule.severity}, {rule.check}{f', {rule.engine}{since}' if rule.engine else ''})",
        "",
        f"  {rule.sentence.replace('{what}', '...')}",
        "",
        f"Why: {rule.why}",
        f"Read on: {rule.docs}",
        f"Silence one line: # standards: allow {rule.id} -- <reason>",
    ]
    return "\n".join(lines)
