"""The table of docs/conformance.md for orchestrators that run in their cloud alone: how each behaviour is shown.

Their projects' own tests say so: ``@pytest.mark.shows("B2", "E")`` in template/<orchestrator>/tests; where a test needs
the template, in tests/test_<orchestrator>.py. No cell is written by hand. ``--check`` only tells whether the page is
current.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import yaml
from results import BEHAVIOURS

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "conformance.md"
BEGIN, END = "<!-- letters: written by make conformance-page -->", "<!-- end of letters -->"
LETTERS = ("E", "E*", "D")  # the best evidence first; what no test shows is N
MARK = re.compile(r'@pytest\.mark\.shows\("([BI]\d+)", "([^"]+)"\)')
# What the suite does not show on any orchestrator, and those that it does.
MORE = {"B17": "approval", "B21": "repeated launches, late answers"}
TITLES = dict(sorted((BEHAVIOURS | MORE).items(), key=lambda each: int(each[0][1:])))
# Bad input: what is wrong in a definition, in what runs exchange, or in what reaches them.
INPUTS = {
    "I1": "a state that does not exist",
    "I2": "an error name that does not exist",
    "I3": "a payload over the limit",
    "I4": "a step that hangs",
    "I5": "throttling",
    "I6": "a second start of a partition",
    "I7": "an event that comes twice",
    "I8": "an event after the deadline",
}


def shown(orchestrator: Path) -> dict[str, set[str]]:
    """The letters of each behaviour, by the marks of the orchestrator's tests. Raises ValueError for an unknown one."""
    letters: dict[str, set[str]] = {}
    of_the_template = ROOT / "tests" / f"test_{orchestrator.name.strip('[]')}.py"
    for file in [*sorted((orchestrator / "tests").rglob("test_*")), of_the_template]:
        for behaviour, letter in MARK.findall(file.read_text(encoding="utf-8")):
            if behaviour not in TITLES | INPUTS or letter not in LETTERS:
                raise ValueError(f"{file.name}: shows({behaviour!r}, {letter!r}) is neither a behaviour nor a letter")
            letters.setdefault(behaviour, set()).add(letter)
    return letters


def table() -> str:
    manifests = {path.parent: yaml.safe_load(path.read_text()) for path in sorted(ROOT.glob("template/*/manifest.yml"))}
    columns = {each["name"]: shown(path) for path, each in manifests.items() if "shapes" in each and "port" not in each}
    return _rows("behaviour", TITLES, columns) + "\n" + _rows("bad input", INPUTS, columns)


def _rows(what: str, titles: dict[str, str], columns: dict[str, dict[str, set[str]]]) -> str:
    lines = [f"| {what} | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for behaviour, title in titles.items():
        cells = [
            ", ".join(each for each in LETTERS if each in seen.get(behaviour, ())) or "N" for seen in columns.values()
        ]
        lines.append(f"| {behaviour} {title} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Write or check the page; the return value is the exit code."""
    text = PAGE.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    wanted = f"{before}{BEGIN}\n\n{table()}\n{END}{rest.partition(END)[2]}"
    if "--check" in sys.argv:
        if text != wanted:
            print("docs/conformance.md is not what the tests' marks say: make conformance-page", file=sys.stderr)
        return int(text != wanted)
    PAGE.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
