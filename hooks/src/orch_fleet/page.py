"""The fleet as one HTML page that needs nothing else: a chart, and the table with all details."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

import jinja2

from .repositories import Report
from .table import update_told


def drawn(reports: Sequence[Report]) -> str:
    """The page; chart bars are counts of repositories by releases behind and by how an update would end."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("orch_fleet", "."), autoescape=True, undefined=jinja2.StrictUndefined
    )
    behind = Counter(report.behind for report in reports if report.behind is not None)
    endings = Counter("unknown" if report.problem else report.update for report in reports)
    rules = Counter(rule for report in reports for rule in report.standards)
    return environment.get_template("page.html.jinja").render(
        reports=reports,
        update_told=update_told,
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        charts=[
            ("Releases behind", [(_behind_told(count), number) for count, number in sorted(behind.items())]),
            ("How an update would end", sorted(endings.items())),
            ("Failing standards, by repositories", rules.most_common(10)),
        ],
    )


def _behind_told(count: int) -> str:
    return "current" if count == 0 else f"{count} behind"
