"""All standards checks over a repository of 500 Python files, over parsing the same files with `ast` alone.

The files are those of the labelled corpus, as all of them name an orchestrator, and those of the template, which are of
the usual length; each copy stands in a folder of its own. Both commands run in a fresh interpreter, the two in turn.
"""

from __future__ import annotations

import argparse
import itertools
import shutil
import statistics
import sys
from pathlib import Path

from projects import scratch
from report import ROOT, Figure, conclude, median_ratio, progress, spent

sys.path.insert(0, str(ROOT / "tests" / "hooks"))

from corpus_score import repositories  # it stands beside the corpus

SECONDS = 5.0  # what 500 files may take; one thread does it, so on an idle machine it is what one waits
PARSE = "import ast, pathlib, sys; [ast.parse(path.read_bytes()) for path in pathlib.Path(sys.argv[1]).rglob('*.py')]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=7, help="pairs of interpreters")
    parser.add_argument("--files", type=int, default=500, help="Python files in the repository")
    options = parser.parse_args()
    with scratch() as folder:
        lines = fill(folder / "repository", options.files)
        pairs = measure(folder / "repository", options.repetitions)
    ratio = median_ratio((ours["cpu"], floor["cpu"]) for ours, floor in pairs)
    cpu = statistics.median(ours["cpu"] for ours, _ in pairs)
    figures = [
        Figure(f"checking {options.files} files (CPU)", cpu, "s", at_most=SECONDS),
        Figure("checking, parsing the same files = 1 (CPU)", ratio, "times"),
    ]
    conclude("standards", figures, options, {"lines": lines, "pairs": pairs})


def fill(repository: Path, number: int) -> int:
    """Write so many files; returns their lines."""
    cases = [path for each in repositories() for path in sorted(each.rglob("*.py"))]
    corpus = [path for path in cases if path.stat().st_size and "unparsed" not in path.parts]
    template = [path for path in sorted((ROOT / "template").rglob("*.py")) if path.stat().st_size > 200]
    lines = 0
    for copy, path in zip(range(number), itertools.cycle([*corpus, *template]), strict=False):
        folder = repository / f"team_{copy // (len(corpus) + len(template)):02}" / path.parent.name.strip("[]")
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / f"{path.stem}_{copy}.py")
        lines += len(path.read_text(encoding="utf-8").splitlines())
    return lines


def measure(repository: Path, repetitions: int) -> list[tuple[dict, dict]]:
    check = [sys.executable, "-c", "from orch_standards.cli import main; main()", "--root", repository]
    commands = {"ours": check, "floor": [sys.executable, "-c", PARSE, repository]}
    pairs = []
    for number in range(repetitions):
        order = list(commands) if number % 2 else list(commands)[::-1]
        used = {name: spent(commands[name]) for name in order}
        done = {name: {"wall": each.wall, "cpu": each.cpu} for name, each in used.items()}
        pairs.append((done["ours"], done["floor"]))
        ours, floor = pairs[-1]
        progress(f"{number + 1}/{repetitions}: checking {ours['cpu']:.2f} s CPU, parsing {floor['cpu']:.2f} s CPU")
    return pairs


if __name__ == "__main__":
    main()
