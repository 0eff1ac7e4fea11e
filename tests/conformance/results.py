"""The table orchestrator by behaviour: kept while the tests run, printed, and written as JSON and Markdown."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

Found = dict[str, dict[str, dict]]  # by orchestrator and behaviour: outcome ("passed" or "failed"), seen (sentences)
SEEN = pytest.StashKey[list[str]]()
SHOWN = "behaviour shown"  # property of a test's report
BEGIN, END = "<!-- results: written by make conformance-page -->", "<!-- end of results -->"
BEHAVIOURS = {
    "B1": "happy path",
    "B2": "transient failure is retried",
    "B3": "permanent failure is not",
    "B4": "late input holds no worker",
    "B5": "bad rows",
    "B6": "same day twice, kill in publishing",
    "B7": "backfill resumes",
    "B8": "SLA",
    "B9": "hung step",
    "B10": "shared limit",
    "B11": "secrets",
    "B12": "structured logs",
    "B13": "configuration per environment",
    "B14": "schedule and time zone",
    "B15": "engine restart",
    "B16": "a second, hourly pipeline",
    "B18": "failover",
    "B19": "old history is removed",
}


def record(found: Found, orchestrator: str, behaviour: str, outcome: str, seen: list[str]) -> None:
    """Add what a test has seen; a behaviour with several tests has passed when all have."""
    cell = found.setdefault(orchestrator, {}).setdefault(behaviour, {"outcome": outcome, "seen": []})
    cell["outcome"] = outcome if cell["outcome"] == "passed" else cell["outcome"]
    cell["seen"] += seen


def table(found: Found) -> str:
    drawn = Table(box=None, pad_edge=False, header_style="bold")
    drawn.add_column("behaviour", no_wrap=True)
    for name in found:
        drawn.add_column(name)
    for behaviour, title in BEHAVIOURS.items():
        cells = [found[name].get(behaviour, {}).get("outcome", "not run") for name in found]
        drawn.add_row(f"{behaviour:<4}{title}", *cells)
    text = io.StringIO()
    Console(file=text, width=100).print(drawn)
    return text.getvalue().rstrip()


def markdown(found: Found) -> str:
    lines = ["| behaviour | " + " | ".join(found) + " |", "|---" * (len(found) + 1) + "|"]
    for behaviour, title in BEHAVIOURS.items():
        cells = [found[name].get(behaviour, {"outcome": "not run", "seen": []}) for name in found]
        shown = ["; ".join([f"**{cell['outcome']}**", *cell["seen"]]).replace("|", "/") for cell in cells]
        lines.append(f"| {behaviour} {title} | " + " | ".join(shown) + " |")
    return "\n".join(lines) + "\n"


def write(folder: Path, found: Found) -> None:
    """results.json and results.md; engines that did not run this time keep what the files say of them."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "results.json"
    known: Found = json.loads(file.read_text()) if file.exists() else {}
    for name, cells in found.items():
        known[name] = known.get(name, {}) | cells
    known = {
        name: {behaviour: known[name][behaviour] for behaviour in BEHAVIOURS if behaviour in known[name]}
        for name in sorted(known)
    }
    file.write_text(json.dumps(known, indent=2) + "\n")
    (folder / "results.md").write_text(markdown(known))


def show(folder: Path, page: Path) -> None:
    """Write results.json of the folder as a table into the page, between the two comments there."""
    before, rest = page.read_text().split(BEGIN)
    after = rest.partition(END)[2]
    shown = markdown(json.loads((folder / "results.json").read_text()))
    page.write_text(f"{before}{BEGIN}\n\n{shown}\n{END}{after}")


if __name__ == "__main__":
    ROOT = Path(__file__).parents[2]
    show(ROOT / "build" / "conformance", ROOT / "docs" / "conformance.md")
