"""`copier copy --defaults` of this template against the same Copier copying as many static files."""

from __future__ import annotations

import json
import shutil
import statistics
import sys
from collections.abc import Callable
from pathlib import Path

from projects import COPIER, answers, environment, options, released, scratch, template
from report import Figure, Usage, conclude, median_ratio, progress, spent

AT_MOST = 2.0
PHASES = Path(__file__).with_name("workers") / "copy_phases.py"


def main() -> None:
    asked = options(__doc__, repetitions=9)
    figures, measured = [], {}
    with scratch() as folder:
        source = template(folder)
        for name in asked.orchestrators:
            found = measured[name] = measure(folder / name, source, name, asked.repetitions)
            figures += [
                Figure(f"{name}: copy, static copy = 1 (CPU)", found["ratio_cpu"], "times", AT_MOST),
                Figure(f"{name}: copy, static copy = 1 (wall)", found["ratio_wall"], "times", AT_MOST),
                Figure(f"{name}: {found['files']} files copied", found["seconds"], "s"),
                Figure(f"{name}: {found['files']} static files copied", found["seconds_static"], "s"),
            ]
    figures += where_it_goes([found["extra"] for found in measured.values()])
    conclude("copying", figures, asked, measured)


def where_it_goes(found: list[dict[str, float]]) -> list[Figure]:
    """Phases that take longer than in the static copy, the longest first; medians over the orchestrators."""
    extra = {name: statistics.median(each.get(name, 0.0) for each in found) for name in found[0]}
    longest = sorted(extra, key=extra.get, reverse=True)
    return [Figure(f"more than static: {name} (CPU)", extra[name], "s") for name in longest if extra[name] > 0.005]


def measure(folder: Path, source: Path, orchestrator: str, repetitions: int) -> dict:
    folder.mkdir()
    copies = copier(folder, source, *answers(orchestrator))
    progress(f"{orchestrator}: the first copy, whose files become the static template")
    copies()
    static = folder / "static"
    # In a sub-folder as ours are: from its root Copier would walk through the repository's .git as well.
    shutil.copytree(folder / "target", static / "template")
    (static / "copier.yml").write_text("_subdirectory: template\n")
    files = sum(path.is_file() for path in (static / "template").rglob("*"))
    static_copies = copier(folder, released(static))
    static_copies()
    if (written := sum(path.is_file() for path in (folder / "target").rglob("*"))) != files:
        sys.exit(f"error: the static template has {files} files, its copy {written}")
    pairs: list[tuple[Usage, Usage]] = []
    for number in range(repetitions):
        # Who comes first changes, so that neither always finds the caches warm.
        if number % 2:
            floor, ours = static_copies(), copies()
        else:
            ours, floor = copies(), static_copies()
        pairs.append((ours, floor))
        progress(
            f"{orchestrator} {number + 1}/{repetitions}: {ours.cpu:.2f} s CPU, {ours.wall:.2f} s wall; "
            f"static {floor.cpu:.2f} s CPU, {floor.wall:.2f} s wall"
        )
    ours, floor = phases(folder, source, orchestrator), phases(folder, static, "")
    return {
        "files": files,
        "ratio_cpu": median_ratio((ours.cpu, floor.cpu) for ours, floor in pairs),
        "ratio_wall": median_ratio((ours.wall, floor.wall) for ours, floor in pairs),
        "seconds": statistics.median(ours.wall for ours, _ in pairs),
        "seconds_static": statistics.median(floor.wall for _, floor in pairs),
        "pairs_cpu": [(ours.cpu, floor.cpu) for ours, floor in pairs],
        "pairs_wall": [(ours.wall, floor.wall) for ours, floor in pairs],
        "extra": {name: ours["seconds"][name] - floor["seconds"].get(name, 0.0) for name in ours["seconds"]},
        "phases": ours,
        "phases_static": floor,
    }


def copier(folder: Path, source: Path, *options: str) -> Callable[[], Usage]:
    """A command that copies into an empty folder, and says what it used."""

    def copy() -> Usage:
        shutil.rmtree(folder / "target", ignore_errors=True)
        command = [COPIER, "copy", "--defaults", *options, source, folder / "target"]
        return spent(command, environment=environment())

    return copy


def phases(folder: Path, source: Path, orchestrator: str) -> dict:
    """Medians of the CPU seconds per phase of three copies, in a process each."""
    runs = []
    for _ in range(3):
        shutil.rmtree(folder / "target", ignore_errors=True)
        done = spent([sys.executable, PHASES, source, folder / "target", orchestrator], environment=environment())
        runs.append(json.loads(done.output.splitlines()[-1]))
    names = runs[0]["seconds"]
    return {
        "seconds": {name: statistics.median(run["seconds"].get(name, 0.0) for run in runs) for name in names},
        "calls": runs[0]["calls"],
    }


if __name__ == "__main__":
    main()
