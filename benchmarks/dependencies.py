"""What each dependency of a project costs: megabytes on the disk and CPU time to import; written into
docs/dependencies.md.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import tomllib
from pathlib import Path

from projects import ORCHESTRATORS, environment, render, scratch, set_up, template
from report import PAGE, ROOT, Figure, conclude, earlier, progress, spent

MEGABYTES_AT_MOST = 600
TARGET = ROOT / "docs" / "dependencies.md"
START, END = "<!-- table: written by benchmarks/dependencies.py -->", "<!-- end of table -->"
# By name: the module to import, and why it is there. A dependency that is missing here stops the script.
WHY = {
    "apprise": ("apprise", "alerts to mail, chat and webhooks, through one address each"),
    "boto3": ("boto3", "AWS Secrets Manager; only where the answer `secrets_backend` names it"),
    "cronsim": ("cronsim", "schedules: which partition is due"),
    "duckdb": ("duckdb", "the default warehouse, and the reader of files for every warehouse"),
    "filelock": ("filelock", "metrics and claims that several processes write"),
    "httpx": ("httpx", "HTTP APIs as a source"),
    "ibis-framework": ("ibis", "transformations and contracts for DuckDB and PostgreSQL alike"),
    "jinja2": ("jinja2", "the pages of `make report`"),
    "obstore": ("obstore", "landing in S3, Google Cloud Storage and Azure"),
    "packaging": ("packaging.version", "Ibis compares versions with it"),
    "prometheus-client": ("prometheus_client", "metrics"),
    "psutil": ("psutil", "whether the process that holds a partition is alive"),
    "psycopg": ("psycopg", "PostgreSQL as the warehouse"),
    "pydantic-settings": ("pydantic_settings", "typed configuration"),
    "python-dotenv": ("dotenv", "secrets on a laptop"),
    "pyyaml": ("yaml", "data contracts, and the configuration of `make observe`"),
    "rich": ("rich.console", "tables in the terminal"),
    "sqlglot": ("sqlglot", "Ibis writes SQL with it"),
    "stamina": ("stamina", "retries of HTTP requests"),
    "structlog": ("structlog", "logs"),
    "supervisor": ("supervisor", "keeps the services of `make up` running"),
    "typer": ("typer", "the project's command"),
    "import-linter": ("", "development: business code imports no orchestrator"),
    "pre-commit": ("", "development: the commit hooks"),
    "pytest": ("pytest", "development: tests"),
    "ruff": ("", "development: lint and format"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=" ".join(__doc__.split()))
    parser.add_argument("--orchestrators", nargs="+", default=ORCHESTRATORS, choices=ORCHESTRATORS)
    parser.add_argument("--repetitions", type=int, default=3, help="imports of each package")
    asked = parser.parse_args()
    measured = earlier("dependencies")
    with scratch() as folder:
        source = template(folder)
        for name in asked.orchestrators:
            project = render(source, folder / name, name)
            measured[name] = measure(project, set_up(project, name), name, asked.repetitions)
    figures, measured = [], dict(sorted(measured.items()))
    for name, found in measured.items():
        total, own = found["environment"], found["engine"][name]["megabytes"]
        figures.append(Figure(f"{name}: environment", total, "MB", MEGABYTES_AT_MOST))
        figures.append(Figure(f"{name}: of that, {name} and what only it brings", own, "MB"))
    conclude("dependencies", figures, asked, measured)
    write_page(measured)


def measure(project: Path, python: Path, orchestrator: str, repetitions: int) -> dict:
    """Megabytes of the environment, and of each dependency of the project and of the orchestrator."""
    worker = Path(__file__).with_name("workers") / "installed.py"
    packages = json.loads(subprocess.run([python, worker], check=True, capture_output=True, text=True).stdout)
    declared = tomllib.loads((project / "pyproject.toml").read_text())
    groups = {
        "project": declared["project"]["dependencies"] + declared["dependency-groups"]["dev"],
        "engine": declared["dependency-groups"][orchestrator],
    }
    roots = {key: [_name(text) for text in texts if _name(text) in packages] for key, texts in groups.items()}
    declarations = [*groups["project"], *groups["engine"]]
    extras = {_name(text): re.findall(r"\w+", text.partition("[")[2].partition("]")[0]) for text in declarations}
    everything = [*roots["project"], *roots["engine"]]
    found: dict = {"environment": _megabytes(project / ".venv"), "project": {}, "engine": {}}
    progress(f"{orchestrator}: {found['environment']:.0f} MB, {len(packages)} packages")
    for name in roots["project"]:
        others = [each for each in everything if each != name]
        brings = _reached(packages, everything, extras) - _reached(packages, others, extras)
        module = WHY[name][0]
        cpu = _import_cpu(python, module, repetitions) if module else None
        found["project"][name] = {"megabytes": sum(packages[each]["bytes"] for each in brings) / 1e6, "import_cpu": cpu}
    # The packages of an orchestrator need each other, so they are counted as one.
    brings = _reached(packages, everything, extras) - _reached(packages, roots["project"], extras)
    found["engine"][orchestrator] = {"megabytes": sum(packages[each]["bytes"] for each in brings) / 1e6}
    return found


def _name(requirement: str) -> str:
    return re.split(r"[\[<>=~! ;]", requirement)[0].lower().replace("_", "-")


def _reached(packages: dict, roots: list[str], extras: dict[str, list[str]]) -> set[str]:
    """The packages that these need, themselves included."""
    reached: set[str] = set()
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        if name in reached or name not in packages:
            continue
        reached.add(name)
        waiting += packages[name]["requires"]
        for extra in extras.get(name, ()):
            waiting += packages[name]["extras"].get(extra, [])
    return reached


def _megabytes(folder: Path) -> float:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink()) / 1e6


def _import_cpu(python: Path, module: str, repetitions: int) -> float:
    """Seconds of CPU that importing takes in a fresh interpreter, beyond what the interpreter itself takes."""
    code = f"import time; start = time.process_time(); import {module}; print(time.process_time() - start)"
    done = [spent([python, "-c", code], environment=environment()).output for _ in range(repetitions + 1)]
    return statistics.median(float(output) for output in done[1:])  # the first one writes byte code


def write_page(measured: dict) -> None:
    names = list(measured)
    rows = sorted(
        {name for found in measured.values() for name in found["project"]},
        key=lambda name: -max(found["project"].get(name, {"megabytes": 0})["megabytes"] for found in measured.values()),
    )
    lines = [f"| dependency | why | {' | '.join(f'MB, {name}' for name in names)} | import, s of CPU |"]
    lines.append("|---|---|" + "---:|" * (len(names) + 1))
    for row in rows:
        weights = [found["project"].get(row, {}).get("megabytes") for found in measured.values()]
        cpu = [found["project"].get(row, {}).get("import_cpu") for found in measured.values()]
        cpu = [value for value in cpu if value is not None]
        shown = " | ".join("" if weight is None else f"{weight:.1f}" for weight in weights)
        lines.append(f"| {row} | {WHY[row][1]} | {shown} | {f'{statistics.median(cpu):.2f}' if cpu else ''} |")
    engines = " | ".join(f"{next(iter(found['engine'].values()))['megabytes']:.0f}" for found in measured.values())
    lines.append(
        f"| the orchestrator | runs the pipelines | {engines} | see [benchmarks]({PAGE.name}#definitions-import) |"
    )
    totals = " | ".join(f"**{found['environment']:.0f}**" for found in measured.values())
    lines.append(f"| **the whole environment** | | {totals} | |")
    before, _, rest = TARGET.read_text(encoding="utf-8").partition(START)
    _, _, after = rest.partition(END)
    TARGET.write_text(f"{before}{START}\n\n" + "\n".join(lines) + f"\n\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
