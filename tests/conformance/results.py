"""The tables orchestrator by behaviour, one for each shape: kept in tests, printed, written as JSON and Markdown.

What rows a table has comes from the marks of the tests alone.
"""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest
import yaml
from rich.console import Console
from rich.table import Table

Found = dict[str, dict[str, dict]]  # by orchestrator and behaviour: outcome ("passed" or "failed"), seen (sentences)
SEEN = pytest.StashKey[list[str]]()
SHOWN = "behaviour shown"  # property of a test's report
BEGIN, END = "<!-- results of {}: written by make conformance-page -->", "<!-- end of results of {} -->"
SHAPES = {"PRODUCTS": "data_products", "MODELS": "ml_dynamic"}  # by the stacks in test_shapes.py
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
    "B20": "a late file of a published partition",
}


def record(found: Found, orchestrator: str, behaviour: str, outcome: str, seen: list[str]) -> None:
    """Add what a test has seen; a behaviour with several tests has passed when all have."""
    cell = found.setdefault(orchestrator, {}).setdefault(behaviour, {"outcome": outcome, "seen": []})
    cell["outcome"] = outcome if cell["outcome"] == "passed" else cell["outcome"]
    cell["seen"] += seen


def titles(found: Found) -> dict[str, str]:
    """The behaviours that were shown, in order, with what they are called; those of one shape have no number."""
    shown = dict.fromkeys(behaviour for cells in found.values() for behaviour in cells)
    numbered = {each: title for each, title in BEHAVIOURS.items() if each in shown}
    return numbered | {each: "" for each in shown if each not in BEHAVIOURS}


def table(found: Found) -> str:
    drawn = Table(box=None, pad_edge=False, header_style="bold")
    drawn.add_column("behaviour", no_wrap=True)
    for name in found:
        drawn.add_column(name)
    for behaviour, title in titles(found).items():
        cells = [found[name].get(behaviour, {}).get("outcome", "not run") for name in found]
        drawn.add_row(f"{behaviour:<4}{title}", *cells)
    text = io.StringIO()
    Console(file=text, width=100).print(drawn)
    return text.getvalue().rstrip()


def markdown(found: Found) -> str:
    lines = ["| behaviour | " + " | ".join(found) + " |", "|---" * (len(found) + 1) + "|"]
    for behaviour, title in titles(found).items():
        cells = [found[name].get(behaviour, {"outcome": "not run", "seen": []}) for name in found]
        shown = ["; ".join([f"**{cell['outcome']}**", *cell["seen"]]).replace("|", "/") for cell in cells]
        lines.append(f"| {f'{behaviour} {title}'.strip()} | " + " | ".join(shown) + " |")
    return "\n".join(lines) + "\n"


def read(text: str) -> Found:
    """What `markdown` has written, without the cells of what was not run."""
    header, _, *lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.strip().splitlines()]
    found: Found = {name: {} for name in header[1:]}
    for title, *cells in lines:
        behaviour = title.split()[0] if title.split()[0] in BEHAVIOURS else title
        for name, cell in zip(found, cells, strict=True):
            outcome, _, seen = cell.removeprefix("**").partition("**; ")
            if outcome != "not run**":
                found[name][behaviour] = {"outcome": outcome.removesuffix("**"), "seen": [seen] if seen else []}
    return found


def file_of(folder: Path, shape: str) -> Path:
    return folder / f"{shape}.json"


def write(file: Path, found: Found) -> None:
    """Keep what was seen; engines and behaviours that did not run this time keep what the file says of them."""
    file.parent.mkdir(parents=True, exist_ok=True)
    known: Found = json.loads(file.read_text()) if file.exists() else {}
    for name, cells in found.items():
        known[name] = known.get(name, {}) | cells
    known = {name: known[name] for name in sorted(known)}
    file.write_text(json.dumps(known, indent=2) + "\n")
    file.with_suffix(".md").write_text(markdown(known))


def marked(shape: str) -> list[str]:
    """The behaviours that the marks of the tests name for a shape, in the order of the tests."""
    tests = Path(__file__).with_name("test_shapes.py").read_text()
    shapes = dict(re.findall(r"^(\w+) = pytest.mark.parametrize\(\"stack\", (\w+),", tests, re.M))
    marks = re.findall(r"^@(\w+)\n@pytest\.mark\.behaviour\(\"([^\"]+)\"\)", tests, re.MULTILINE)
    return [behaviour for each, behaviour in marks if each in shapes and SHAPES[shapes[each]] == shape]


def orchestrators(shape: str) -> list[str]:
    """Those that the suite can start, as they have a port on this machine, and that take the shape."""
    files = sorted((Path(__file__).parents[2] / "template").glob("*/manifest.yml"))
    manifests = {file.parent.name.strip("[]"): yaml.safe_load(file.read_text()) for file in files}
    return [name for name, each in manifests.items() if each.get("port") and shape in each.get("shapes", [])]


def show(file: Path, page: Path) -> None:
    """Write the results of a shape as a table into the page, between the two comments there.

    What another machine has run stays, and what no run has shown says so. Without results, the table stays as it is.
    """
    if not file.exists():
        return
    begin, end = (each.format(file.stem) for each in (BEGIN, END))
    before, rest = page.read_text().split(begin)
    known, _, after = rest.partition(end)
    found = read(known)
    for name, cells in json.loads(file.read_text()).items():
        found[name] = found.get(name, {}) | cells
    for name in orchestrators(file.stem) if file.stem in SHAPES.values() else ():
        cells = found.setdefault(name, {})
        for behaviour in marked(file.stem):
            cells.setdefault(behaviour, {"outcome": "not run", "seen": []})
    page.write_text(f"{before}{begin}\n\n{markdown(dict(sorted(found.items())))}\n{end}{after}")


if __name__ == "__main__":
    ROOT = Path(__file__).parents[2]
    for shape in ("batch_etl", *SHAPES.values()):
        show(file_of(ROOT / "build" / "conformance", shape), ROOT / "docs" / "conformance.md")
