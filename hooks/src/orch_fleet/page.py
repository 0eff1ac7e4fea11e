"""The fleet as one HTML page that needs nothing else: charts, and the table with all details."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import jinja2

from .repositories import Report
from .table import age, remarks, update_text

MOST_RULES = 8  # bars of a chart


@dataclass(frozen=True)
class Bar:
    """One bar of a chart. number: of repositories. tone: how it is coloured, a class of the page."""

    label: str
    number: int
    tone: str


def drawn(reports: Sequence[Report]) -> str:
    """The page, repositories in the order given."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("orch_fleet", "."), autoescape=True, undefined=jinja2.StrictUndefined
    )
    readable = [report for report in reports if not report.problem]
    behind = Counter(report.behind or 0 for report in readable)
    rules = Counter(rule for report in reports for rule in report.standards)
    return environment.get_template("page.html.jinja").render(
        reports=reports,
        update_text=update_text,
        remarks=remarks,
        age=age,
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        several_templates=len({report.template for report in readable}) > 1,
        charts=[
            ("How an update would end", _endings(reports)),
            ("Releases behind", [_behind(count, number) for count, number in sorted(behind.items())]),
            ("Failing standards", [Bar(rule, number, "bad") for rule, number in rules.most_common(MOST_RULES)]),
        ],
    )


def _endings(reports: Iterable[Report]) -> list[Bar]:
    counts = Counter("unknown" if report.problem else report.update for report in reports)
    tones = {"unknown": "bad", "fails": "bad", "conflicts": "warn", "clean": "good", "current": "good"}
    ordered = [*tones, *(ending for ending in counts if ending not in tones)]
    return [Bar(ending, counts[ending], tones.get(ending, "quiet")) for ending in ordered if counts[ending]]


def _behind(count: int, number: int) -> Bar:
    return Bar(f"{count} behind" if count else "current", number, "warn" if count else "good")
