"""From an empty uv cache to the first published day, beside the least that each orchestrator needs to run anything.

Downloads are part of it, so the network is too: what counts is the ratio within a pair, each from its own empty cache.
"""

from __future__ import annotations

import shutil
import statistics
import sys
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from projects import BIN, COPIER, UV, answers, environment, options, scratch, template
from report import ROOT, Figure, conclude, earlier, progress, spent

DAY = "2013-01-02"
CREATE_DAGSTER = "create-dagster@1.13.27"  # of the Dagster that the template asks for at least

FLOW = """
from prefect import flow, task


@task
def one() -> int:
    return 1


@flow
def minimal() -> int:
    return one()


if __name__ == "__main__":
    minimal()
"""
ASSET = """
import dagster as dg


@dg.asset
def one() -> int:
    return 1
"""
DAG = """
from airflow.sdk import dag, task


@dag(schedule=None)
def minimal():
    @task
    def one() -> int:
        return 1

    one()


minimal()
"""


WORKFLOW = """
import asyncio
import shutil
import time
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker


@activity.defn
async def one() -> int:
    return 1


@workflow.defn
class Minimal:
    @workflow.run
    async def run(self) -> int:
        return await workflow.execute_activity(one, start_to_close_timeout=timedelta(seconds=10))


async def main() -> None:
    server = shutil.which("temporal")
    async with await WorkflowEnvironment.start_local(dev_server_existing_path=server) as environment:
        async with Worker(environment.client, task_queue="minimal", workflows=[Minimal], activities=[one]):
            await environment.client.execute_workflow(Minimal.run, id="minimal", task_queue="minimal")


if __name__ == "__main__":
    asyncio.run(main())
    time.sleep(0.3)  # a thread of the SDK that meets the end of the interpreter crashes the process
"""


@dataclass
class Peer:
    """The least way to run something on an orchestrator: commands to make, to set up and to run it, and its files."""

    name: str
    make: list[str] | None = None
    set_up: list[str] = field(default_factory=lambda: ["uv sync --quiet"])
    run: list[str] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)


PEERS = {
    "airflow": Peer(
        "a minimal DAG run",
        run=["uv run --quiet airflow db migrate", "uv run --quiet airflow dags test minimal"],
        files={"dags/minimal.py": DAG},
    ),
    "dagster": Peer(
        "create-dagster project + one asset materialised",
        make=[f"uvx --quiet {CREATE_DAGSTER} project . --no-uv-sync"],
        set_up=["uv sync --quiet --group dev"],
        run=["uv run --quiet dg launch --assets one"],
        files={"src/peer/defs/one.py": ASSET},
    ),
    "prefect": Peer("a minimal flow run", run=["uv run --quiet python minimal.py"], files={"minimal.py": FLOW}),
    "temporal": Peer(
        "a minimal workflow run", run=["uv run --quiet python minimal.py"], files={"minimal.py": WORKFLOW}
    ),
}


def main() -> None:
    asked = options(__doc__, repetitions=1)
    measured = {}
    with scratch() as folder:
        source = template(folder)
        for name in asked.orchestrators:
            pairs = []
            for number in range(asked.repetitions):
                ours, peer = folder / name / "ours", folder / name / "peer"
                if number % 2:
                    beside, done = minimal(peer, name), first_day(ours, source, name)
                else:
                    done, beside = first_day(ours, source, name), minimal(peer, name)
                pairs.append((done, beside))
                shutil.rmtree(folder / name)
            measured[name] = {"peer": PEERS[name].name, "pairs": pairs}
    measured = earlier("first_day") | measured  # an orchestrator that was not asked for keeps its figures
    asked.orchestrators = sorted(measured)
    figures = [figure for name in asked.orchestrators for figure in told(name, measured[name]["pairs"])]
    conclude("first_day", figures, asked, measured)


def told(name: str, pairs: list[tuple[dict, dict]]) -> list[Figure]:
    def median(side: int, key: str) -> float:
        return statistics.median(pair[side][key] for pair in pairs)

    peer = PEERS[name].name
    ratio = statistics.median(ours["total"] / theirs["total"] for ours, theirs in pairs)
    parts = [part for part in pairs[0][0] if part not in ("total", "megabytes")]
    return [
        Figure(f"{name}: to the first published day, {peer} = 1", ratio, "times"),
        Figure(f"{name}: to the first published day", median(0, "total"), "s"),
        *(Figure(f"{name}: of that, {part}", median(0, part), "s") for part in parts),
        Figure(f"{name}: {peer}", median(1, "total"), "s"),
        *(Figure(f"{name}: of that, {part}", median(1, part), "s") for part in parts),
        Figure(f"{name}: environment", median(0, "megabytes"), "MB"),
        Figure(f"{name}: environment, {peer}", median(1, "megabytes"), "MB"),
    ]


def first_day(folder: Path, source: Path, orchestrator: str) -> dict[str, float]:
    """Seconds of copier copy, make setup and make run, with a uv cache of its own; size of the environment in MB."""
    project = folder / "project"
    variables = own_environment(folder)
    copy = [COPIER, "copy", "--quiet", "--defaults", *answers(orchestrator), source, project]
    make = ["make", "--no-print-directory", f"UV={UV}"]
    parts = {
        "render": spent(copy, environment=variables).wall,
        "setup": spent([*make, "setup"], cwd=project, environment=variables).wall,
        "run": spent([*make, "run", f"DATE={DAY}"], cwd=project, environment=variables).wall,
    }
    return finished(f"{orchestrator}: first published day", parts, project)


def minimal(folder: Path, orchestrator: str) -> dict[str, float]:
    """The same three parts of the peer."""
    peer = PEERS[orchestrator]
    project = folder / "peer"
    project.mkdir(parents=True)
    variables = own_environment(
        folder,
        # What a rendered project has in deploy/local/: state of its own, and nothing sent to anyone.
        AIRFLOW_HOME=str(folder / "state"),
        AIRFLOW__CORE__DAGS_FOLDER=str(project / "dags"),
        AIRFLOW__CORE__LOAD_EXAMPLES="False",
        PREFECT_HOME=str(folder / "state"),
        PREFECT_SERVER_ANALYTICS_ENABLED="false",
        DAGSTER_DISABLE_TELEMETRY="true",
        DO_NOT_TRACK="1",
    )

    def seconds(commands: list[str]) -> float:
        return sum(spent(command.split(), cwd=project, environment=variables).wall for command in commands)

    parts = {"render": seconds(peer.make or [])}
    if peer.make is None:
        (project / "pyproject.toml").write_text(pyproject(orchestrator))
    for name, text in peer.files.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text.lstrip())
    parts |= {"setup": seconds(peer.set_up), "run": seconds(peer.run)}
    return finished(f"{orchestrator}: {peer.name}", parts, project)


def pyproject(orchestrator: str) -> str:
    """A project of nothing but the orchestrator, in the versions that the template asks for."""
    manifest = yaml.safe_load((ROOT / "template" / f"[[{orchestrator}]]" / "manifest.yml").read_text())
    return (
        '[project]\nname = "peer"\nversion = "0.1.0"\nrequires-python = ">=3.11,<3.14"\n'
        f"dependencies = {manifest['dependencies'][:1] + manifest.get('dev_dependencies', [])[:1]}\n"
        f"[tool.uv]\noverride-dependencies = {manifest.get('override_dependencies', [])}\n"
    )


def own_environment(folder: Path, **state: str) -> dict[str, str]:
    """An empty uv cache, this Python, and no state or settings of an orchestrator but those given."""
    folder.mkdir(parents=True, exist_ok=True)
    variables = environment(
        UV_CACHE_DIR=str(folder / "uv-cache"),
        UV_PYTHON=sys.executable,
        UV_PYTHON_DOWNLOADS="never",
        PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS="300",  # 20 s are too few with cold caches
        **state,
    )
    return variables | {"PATH": f"{BIN}:{variables['PATH']}"}


def finished(what: str, parts: dict[str, float], project: Path) -> dict[str, float]:
    size = sum(file.lstat().st_size for file in (project / ".venv").rglob("*"))
    progress(f"{what}: {', '.join(f'{part} {seconds:.1f} s' for part, seconds in parts.items())}")
    return parts | {"total": sum(parts.values()), "megabytes": size / 1e6}


if __name__ == "__main__":
    main()
