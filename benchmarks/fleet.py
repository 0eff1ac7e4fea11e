"""`orch-fleet` over 50 repositories one release behind, over a single `copier update` for each of them.

The repositories are copies of one project per orchestrator; in every fifth a platform file is edited where the next
release changes it, so that its update ends in a conflict. The floor is the median of a few real updates, times 50.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
from pathlib import Path

from projects import COPIER, ORCHESTRATORS, environment, git, render, scratch, template
from report import Figure, conclude, progress, spent

SECONDS = 120.0  # what 50 repositories may take on two cores
CHANGED = Path("template") / "[[shared]]" / "config" / "dev.toml"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repositories", type=int, default=50)
    parser.add_argument("--updates", type=int, default=5, help="updates the floor is taken from")
    options = parser.parse_args()
    with scratch() as folder:
        source = template(folder)
        repositories = fleet(folder / "fleet", source, options.repositories)
        add(source / CHANGED, "\n# from the next release\n")
        commit(source)
        git("tag", "v0.2.0", cwd=source)
        updates = []
        for number in range(options.updates):
            copy = shutil.copytree(repositories[1], folder / f"update-{number}")
            updates.append(spent([COPIER, "update", "--defaults", "--quiet"], cwd=copy, environment=environment()).wall)
        progress(f"orch-fleet over {len(repositories)} repositories")
        command = [sys.executable, "-m", "orch_fleet.cli", folder / "fleet", "--json", folder / "fleet.json"]
        used = spent(command, environment=environment())
        found = json.loads((folder / "fleet.json").read_text())["repositories"]
    endings = {name: sum(report["update"] == name for report in found) for name in ("clean", "conflicts")}
    if sum(endings.values()) != len(repositories) or not endings["conflicts"]:
        sys.exit(f"error: {endings} of {len(repositories)} repositories")
    floor = statistics.median(updates) * len(repositories)
    figures = [
        Figure(f"{len(repositories)} repositories", used.wall, "s", at_most=SECONDS),
        Figure("orch-fleet, one update after the other = 1 (wall)", used.wall / floor, "times"),
        Figure("CPU per repository", used.cpu / len(repositories), "s"),
    ]
    conclude("fleet", figures, options, {"updates": updates, "endings": endings})


def fleet(folder: Path, source: Path, number: int) -> list[Path]:
    """Committed projects, by orchestrator in turn."""
    made = {name: render(source, folder.parent / f"made-{name}", name) for name in ORCHESTRATORS}
    for project in made.values():
        git("init", "--quiet", "--initial-branch=main", cwd=project)
        commit(project)
    repositories = []
    for place in range(number):
        repository = shutil.copytree(made[ORCHESTRATORS[place % len(made)]], folder / f"project-{place:02}")
        if place % 5 == 0:
            add(repository / "config" / "dev.toml", "\n# ours\n")
            commit(repository)
        repositories.append(repository)
    return repositories


def add(file: Path, text: str) -> None:
    with file.open("a", encoding="utf-8") as opened:
        opened.write(text)


def commit(repository: Path) -> None:
    git("add", "--all", cwd=repository)
    git("commit", "--quiet", "--message", "work", cwd=repository)


if __name__ == "__main__":
    main()
