"""The fleet as a table on the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime

from rich.console import Console
from rich.table import Table
from rich.text import Text

from .repositories import Report

COLOURS = {"current": "green", "clean": "green", "conflicts": "red", "fails": "red", "not tried": "dim"}
GAP = 2
# In the order shown. A narrow terminal has room for the first group, a wider one for the second, then the third.
NARROW = ("repository", "version", "behind", "drift", "findings", "update", "runs on")
WIDTHS = {100: ("age", "updated", "owner"), 125: ("hosting",)}
NUMBERS = ("age", "behind", "drift", "findings")
LONGEST_VERSION = 12


def show(reports: Sequence[Report], out: Console) -> None:
    """One line a repository, then what there is to say about single ones, then the sums."""
    titles = (*NARROW, *(title for width, more in WIDTHS.items() if out.width >= width for title in more))
    rows = [[_cells(report)[title] for title in titles] for report in reports]
    drawn = Table(box=None, pad_edge=False, header_style="bold", padding=(0, GAP, 0, 0))
    for title, width in zip(titles, _widths(titles, rows, out.width), strict=True):
        drawn.add_column(
            title, width=width, no_wrap=title != "runs on", justify="right" if title in NUMBERS else "left"
        )
    for row in rows:
        drawn.add_row(*row)
    out.print(drawn)
    for report in reports:
        for sentence in remarks(report):
            out.print(Text(f"{report.name}: {sentence}", style="red" if report.problem else "yellow"))
    out.print()
    for line in _sums(reports):
        out.print(line)
    out.print("behind: releases; drift: platform files changed; findings: of the standards", style="dim")
    if "age" in titles:
        out.print("age: days since that version was released; updated: when the project took it", style="dim")


def remarks(report: Report) -> list[str]:
    """What the columns cannot say, in sentences."""
    if report.problem:
        return [report.problem]
    failed = [f"update fails: {reason}" for reason in report.update_detail if report.update == "fails"]
    return [*failed, *report.notes]


def update_text(report: Report) -> str:
    """Such as "clean", or "2 conflicts"."""
    if report.problem:
        return "unknown"
    if report.update == "conflicts":
        count = len(report.update_detail)
        return f"{count} conflict{'s'[: count != 1]}"
    return report.update


def _cells(report: Report) -> dict[str, str | Text]:
    """What each column shows; what is not known is a dash."""
    return {
        "repository": report.name,
        "version": report.version or "-",
        "age": age(report),
        "behind": "-" if report.behind is None else str(report.behind),
        "drift": "-" if report.behind is None else str(len(report.drift)),
        "findings": str(sum(report.standards.values())),
        "update": Text(update_text(report), style="red" if report.problem else COLOURS[report.update]),
        "updated": report.updated or "-",
        "owner": report.owner or "-",
        "runs on": ", ".join(report.orchestrators),
        "hosting": report.hosting,
    }


def age(report: Report) -> str:
    """Days since the project's version was released."""
    if not report.released:
        return "-"
    return str((datetime.now(UTC).date() - date.fromisoformat(report.released)).days)


def _widths(titles: Sequence[str], rows: Sequence[Sequence[str | Text]], room: int) -> list[int]:
    """What each column needs, the names of repositories what is left; several orchestrators stand below each other."""
    needed = []
    for number, title in enumerate(titles):
        cells = [str(row[number]) for row in rows]
        words = [word for cell in cells for word in cell.split()] if title == "runs on" else cells
        needed.append(max(map(len, [title, *words])))
    needed[1] = min(needed[1], LONGEST_VERSION)
    left = room - sum(needed[1:]) - GAP * (len(titles) - 1)
    return [max(len(titles[0]), min(needed[0], left)), *needed[1:]]


def _sums(reports: Sequence[Report]) -> list[str]:
    def count(*those: object) -> int:
        return sum(map(bool, those))

    readable = [report for report in reports if not report.problem]
    behind = count(*(report.behind for report in readable))
    by_hand = sum(report.update in ("conflicts", "fails") for report in readable)
    drifted, failing = count(*(report.drift for report in readable)), count(*(report.standards for report in readable))
    name = "repository" if len(reports) == 1 else "repositories"
    unread = len(reports) - len(readable)
    return [
        f"{len(reports)} {name}: {len(readable) - behind} current, {behind} behind, {unread} not readable",
        f"{drifted} with drift, {failing} failing standards, {by_hand} whose update needs a hand",
    ]
