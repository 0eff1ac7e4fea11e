"""What every benchmark says in the same way: a table on the screen, a JSON file, and the page made of those files.

Run by itself it shows the tables of the last results; with ``--page`` it writes them into docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).with_name("results")
PAGE = ROOT / "docs" / "benchmarks.md"
START, END = "<!-- results: written by benchmarks/report.py --page -->", "<!-- end of results -->"
SCREEN = Console(highlight=False, soft_wrap=True)


@dataclass(frozen=True)
class Figure:
    """One line of the closing table. at_most: the target in the same unit, None where there is none."""

    what: str
    value: float
    unit: str
    at_most: float | None = None

    @property
    def shown(self) -> str:
        return f"{self.value:.2f} {self.unit}" if self.value < 100 else f"{self.value:,.0f} {self.unit}"

    @property
    def target(self) -> str:
        return "" if self.at_most is None else f"at most {self.at_most:g} {self.unit}"

    @property
    def verdict(self) -> str:
        if self.at_most is None:
            return ""
        return "met" if self.value <= self.at_most else "missed"


@dataclass(frozen=True)
class Usage:
    """What a process and the children it waited for have used: seconds, and its own peak memory in bytes."""

    wall: float
    cpu: float
    peak_memory: int
    output: str


def machine() -> dict[str, str | int]:
    """What a reader needs to judge the figures, and nothing that tells whose machine it was."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "cores": os.cpu_count() or 1,
        "memory_gb": round(pages / 2**30),
        "system": platform.system(),
        "architecture": platform.machine(),
        "python": platform.python_version(),
    }


def progress(text: str) -> None:
    SCREEN.print(text, style="dim")


def spent(
    command: Sequence[str | Path], cwd: Path | None = None, environment: Mapping[str, str] | None = None
) -> Usage:
    """Run a command to its end and say what it used. Stops the benchmark with its output when it fails."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    with subprocess.Popen(
        [str(part) for part in command],
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as child:
        output = child.stdout.read()
        child.wait()
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if child.returncode:
        sys.exit(f"error: {' '.join(map(str, command))} ended with {child.returncode}\n{output[-3000:]}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Usage(wall, cpu, after.ru_maxrss * (1 if sys.platform == "darwin" else 1024), output)


def median_ratio(pairs: Iterable[tuple[float, float]]) -> float:
    """Median of the ratios within pairs that ran right after each other, so that a busy moment slows both."""
    return statistics.median(measured / floor for measured, floor in pairs)


def earlier(name: str) -> dict:
    """What the last run of this benchmark measured; empty where there was none."""
    file = RESULTS / f"{name}.json"
    return json.loads(file.read_text(encoding="utf-8"))["measured"] if file.is_file() else {}


def conclude(name: str, figures: Sequence[Figure], options: argparse.Namespace, measured: Mapping) -> None:
    """Write benchmarks/results/<name>.json and show the closing table. measured: whatever the figures were made of."""
    record = {
        "benchmark": name,
        "machine": machine(),
        "options": {key: value for key, value in vars(options).items() if not isinstance(value, Path)},
        "figures": [asdict(figure) for figure in figures],
        "measured": measured,
    }
    RESULTS.mkdir(exist_ok=True)
    target = RESULTS / f"{name}.json"
    target.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    show(name, figures)
    SCREEN.print(f"written: {target.relative_to(ROOT)}")


def show(name: str, figures: Iterable[Figure]) -> None:
    table = Table(title=name.replace("_", " "), title_justify="left", box=None, pad_edge=False, header_style="bold")
    table.add_column("measured")
    table.add_column("result", justify="right", no_wrap=True)
    table.add_column("target", no_wrap=True)
    table.add_column("")
    for figure in figures:
        colour = {"met": "green", "missed": "red"}.get(figure.verdict, "default")
        table.add_row(figure.what, figure.shown, figure.target, f"[{colour}]{figure.verdict}[/]")
    SCREEN.print()
    SCREEN.print(table)


def recorded() -> list[tuple[dict, list[Figure]]]:
    records = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(RESULTS.glob("*.json"))]
    # tools/measure_stability.py keeps its own record there, without a table.
    return [(each, [Figure(**figure) for figure in each["figures"]]) for each in records if "figures" in each]


def write_page() -> None:
    """Replace what stands between the two marks in docs/benchmarks.md."""
    lines = []
    for record, figures in recorded():
        facts = record["machine"]
        lines += [f"### {record['benchmark'].replace('_', ' ').capitalize()}", ""]
        lines += ["| Measured | Result | Target | |", "|---|---:|---|---|"]
        lines += [f"| {each.what} | {each.shown} | {each.target} | {each.verdict} |" for each in figures]
        lines += ["", f"{facts['cores']} cores, {facts['memory_gb']} GB, {facts['system']} {facts['architecture']}, "]
        lines[-1] += f"Python {facts['python']}."
        lines += [""]
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(START)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{START}\n\n" + "\n".join(lines) + f"\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Show the last results, or write them into the page.")
    parser.add_argument("--page", action="store_true", help="write docs/benchmarks.md")
    if parser.parse_args().page:
        write_page()
    else:
        for record, figures in recorded():
            show(record["benchmark"], figures)
