"""Several shapes, each on its own orchestrator: what is rendered, what is refused, and the chain on running engines."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import psycopg
import pytest
import yaml
from combinations import files_in
from projects import RUN_SECONDS, SET_UP_SECONDS, TEST_SECONDS, UV, Project, processes_of
from repository import ROOT
from servers import free_port, postgresql_server

MIXED = {"pipeline_shape": "mixed"}
RUNS = json.loads((ROOT / "template/[[shared]]/[[mixed]]/sample.json").read_text())["runs"]
ENGINES = tuple(run["engine"] for run in RUNS.values())
DEFINITIONS = {
    "airflow": "dags/{}.py",
    "dagster": "src/flight_marts/defs/{}.py",
    "prefect": "flows/{}.py",
}
CHAIN_SECONDS = 600


def test_each_shape_is_defined_and_scheduled_on_its_own_orchestrator(render):
    folder = render(**MIXED)
    files = files_in(folder)
    for name, run in RUNS.items():
        there = [engine for engine, file in DEFINITIONS.items() if file.format(name) in files]
        assert there == [run["engine"]], name
        assert f'\norchestrator = "{run["engine"]}"' in (folder / f"config/pipelines/{name}.toml").read_text()
    members = yaml.safe_load((ROOT / "decision/systems/hybrid.yml").read_text())["members"]
    assert [each["system"] for each in members] == list(ENGINES)


def test_each_of_several_services_is_described_deployed_and_recorded(render):
    folder = render(**MIXED)
    page = (folder / "docs/deployment.md").read_text()
    for engine in ENGINES:
        assert f"\n### {engine.capitalize()}\n" in page
    command = ["make", "--dry-run", "--no-print-directory", f"UV={UV}", "plan", "ENV=prod"]
    planned = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout
    assert [line.rstrip(":") for line in planned.splitlines() if line.rstrip(":") in ENGINES] == list(ENGINES)
    assert planned.count("deploy.sh plan prod") == len(ENGINES)
    # Dagster's and Prefect's records are tags, each with a beginning of its own.
    assert "contents: write" in (folder / ".github/workflows/release.yml").read_text()
    assert "own=-$ORCHESTRATOR" in (folder / "deploy/package/deploy.sh").read_text()


@pytest.mark.deep
def test_without_the_orchestrator_of_a_shape_the_project_starts_with_plain_etl(render):
    folder = render(**MIXED, needs=["many_integrations", "sensors"])
    answers = yaml.safe_load((folder / ".copier-answers.yml").read_text())
    assert (answers["member_orchestrators"], answers["sample_shape"]) == (["airflow", "dagster"], "batch_etl")
    assert {"dags/flights_daily.py", "src/flight_marts/defs/flights_daily.py"} <= files_in(folder)
    assert not [name for name in files_in(folder) if "punctuality" in name or "late_arrivals" in name]


class Hybrid(Project):
    """The installed project on one PostgreSQL, with its services on free ports."""

    variables: dict[str, str]

    def type(self, *arguments: str, timeout: float = SET_UP_SECONDS) -> str:
        """`make`, which must succeed; returns what it prints."""
        done = self.make(*arguments, timeout=timeout, **self.variables)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def published(self) -> list[tuple[str, str, int, str]]:
        """Pipeline, partition, version and orchestrator of each publication, in order."""
        if self.rows("SELECT to_regclass('platform.inputs_read')") == [(None,)]:  # the last table that is made
            return []
        return self.rows("SELECT pipeline, partition, version, engine FROM platform.published ORDER BY 1, 2, 3")

    def at_work(self, pipeline: str) -> bool:
        """Whether a run of it has claimed a partition, or published one."""
        if self.rows("SELECT to_regclass('platform.inputs_read')") == [(None,)]:
            return False
        names = self.rows(
            "SELECT pipeline FROM platform.partition_claims UNION SELECT pipeline FROM platform.published"
        )
        return (pipeline,) in names

    def rows(self, query: str) -> list[tuple]:
        with psycopg.connect(self.variables["APP_WAREHOUSE__URL"], autocommit=True) as con:
            return con.execute(query).fetchall()

    def services(self, engine: str) -> list[psutil.Process]:
        supervisor = psutil.Process(int((self.folder / f"var/dev/{engine}/supervisord.pid").read_text()))
        return [supervisor, *supervisor.children(recursive=True)]

    def kill(self, engine: str) -> None:
        """End every process of its services, runs in progress included, as a machine that loses power does."""
        for process in self.services(engine):
            with contextlib.suppress(psutil.NoSuchProcess):
                os.kill(process.pid, signal.SIGKILL)

    def wait(self, condition: Callable[[], bool], words: str) -> None:
        deadline = time.monotonic() + CHAIN_SECONDS
        while not condition():
            assert time.monotonic() < deadline, f"{words}; published: {self.published()}"
            time.sleep(0.5)


@pytest.fixture(scope="module")
def hybrid(render, tmp_path_factory) -> Iterator[Hybrid]:
    project = Hybrid(Path(shutil.copytree(render(**MIXED), tmp_path_factory.mktemp("hybrid") / "project")), ENGINES)
    with postgresql_server() as url:
        ports = {f"{engine.upper()}_PORT": str(free_port()) for engine in ENGINES}
        project.variables = {"APP_WAREHOUSE__URL": url, "APP_RETRIES__FIRST_DELAY_SECONDS": "1", **ports}
        subprocess.run(["git", "init", "--quiet"], cwd=project.folder, check=True)
        project.type("setup", timeout=2 * SET_UP_SECONDS)
        yield project


@pytest.mark.project
@pytest.mark.deep
def test_the_project_checks_itself(hybrid):
    hybrid.check_itself(2 * TEST_SECONDS)


@pytest.mark.project
@pytest.mark.deep
def test_side_by_side_on_a_duckdb_file_is_refused_before_anything_starts(hybrid):
    refused = hybrid.make("up", timeout=RUN_SECONDS)
    assert refused.returncode
    assert "airflow, dagster, prefect cannot run at once on duckdb://var/dev/warehouse.duckdb" in refused.stderr
    assert "APP_WAREHOUSE__URL" in refused.stderr
    assert not [each for each in processes_of(hybrid.folder) if "supervisord" in each]


@pytest.mark.project
@pytest.mark.deep
def test_the_chain_goes_on_through_three_orchestrators_when_each_is_killed_once(hybrid):
    days = ["2013-01-01", "2013-01-02", "2013-01-03"]
    first = [(name, day, 1, run["engine"]) for name, run in sorted(RUNS.items()) for day in days]
    backfill = ("backfill", "PIPELINE=flights_daily", f"FROM={days[0]}", f"TO={days[-1]}")
    try:
        hybrid.type("up")
        with ThreadPoolExecutor(1) as apart:
            running = apart.submit(hybrid.make, *backfill, timeout=CHAIN_SECONDS, **hybrid.variables)
            for name, run in RUNS.items():  # in the order of the chain
                hybrid.wait(lambda name=name: hybrid.at_work(name), f"{name} does not start")
                hybrid.kill(run["engine"])
                hybrid.type("up", f"ORCHESTRATOR={run['engine']}")
            running.result()
        hybrid.type(*backfill, "ONLY_MISSING=1", timeout=CHAIN_SECONDS)
        hybrid.wait(lambda: len({each[:2] for each in hybrid.published()}) == len(first), "the chain stands still")
        assert hybrid.published() == first, "each partition once, by its own orchestrator"
        flights = dict(hybrid.rows("SELECT flight_date, count(*) FROM fact_flights GROUP BY 1"))
        assert flights == dict(hybrid.rows("SELECT flight_date, count(*) FROM fct_departures GROUP BY 1"))
        assert len(flights) == len(days)
        assert flights == dict(hybrid.rows("SELECT flight_date, sum(flights) FROM airport_punctuality GROUP BY 1"))
        assert hybrid.rows("SELECT count(*), count(DISTINCT (day, origin)) FROM late_arrivals_models") == [(9, 9)]

        hybrid.type("run", "PIPELINE=flights_daily", f"DATE={days[1]}", timeout=RUN_SECONDS)
        again = [(name, days[1], 2, run["engine"]) for name, run in RUNS.items()]
        hybrid.wait(lambda: set(again) <= set(hybrid.published()), "what is published again is not worked on again")
        assert hybrid.published() == sorted([*first, *again]), "and no other day is"
        listed = {line.split()[0]: line.split() for line in hybrid.type("pipelines").splitlines()[1:]}
        assert listed.keys() == RUNS.keys(), "those of each orchestrator"
        for name, run in RUNS.items():
            assert {run["engine"], days[-1]} <= set(listed[name]), listed[name]
        for engine in ENGINES:
            memory = sum(process.memory_full_info().pss for process in hybrid.services(engine))
            print(f"{engine}: {memory / 1e6:.0f} MB of PSS")
    finally:
        hybrid.type("down")
    assert not [each for each in processes_of(hybrid.folder) if "supervisord" in each]
