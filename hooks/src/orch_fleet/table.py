"""The fleet as a table on the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from .repositories import Report

COLOURS = {"current": "green", "clean": "green", "conflicts": "red", "fails": "red", "not tried": "dim"}


def show(reports: Sequence[Report], out: Console) -> None:
    """One line a repository, then the reasons of those that could not be read, then the sums."""
    drawn = Table(box=None, pad_edge=False, header_style="bold")
    drawn.add_column("repository", overflow="fold")
    drawn.add_column("version", no_wrap=True)
    for title in ("behind", "drift", "findings"):
        drawn.add_column(title, justify="right")
    drawn.add_column("update", no_wrap=True)
    drawn.add_column("orchestrators", overflow="fold")
    drawn.add_column("hosting", overflow="fold")
    for report in reports:
        if report.problem:
            drawn.add_row(report.name, report.version or "-", "-", "-", "-", Text("unknown", style="red"), "", "")
            continue
        drawn.add_row(
            report.name,
            report.version,
            str(report.behind),
            str(len(report.drift)),
            str(sum(report.standards.values())),
            Text(update_told(report), style=COLOURS[report.update]),
            ", ".join(report.orchestrators),
            report.hosting,
        )
    out.print(drawn)
    for report in reports:
        if report.problem:
            out.print(f"{report.name}: {report.problem}", style="red", markup=False)
    out.print(
        f"{len(reports)} repositories: {sum(report.behind == 0 for report in reports)} current, "
        f"{sum(bool(report.behind) for report in reports)} behind, "
        f"{sum(bool(report.drift) for report in reports)} with drift, "
        f"{sum(bool(report.standards) for report in reports)} failing standards, "
        f"{sum(bool(report.problem) for report in reports)} not readable"
    )
    out.print(
        "behind: releases of the template; drift: platform files changed here; findings: of the standards", style="dim"
    )


def update_told(report: Report) -> str:
    """Such as "clean", or "conflicts in 2"."""
    return f"conflicts in {len(report.update_detail)}" if report.update == "conflicts" else report.update
