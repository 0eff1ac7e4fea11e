"""What `orch-convert` makes of a DAG of plain Python, what it says about it, and what it refuses."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from orch_convert import cli
from repository import ROOT

TASKFLOW = '''
    """Sales of a day."""

    from __future__ import annotations

    import json
    from datetime import timedelta

    import pendulum
    from airflow.sdk import Asset, Param, dag, task

    REGIONS = ["eu", "us"]
    SALES = Asset("duckdb://warehouse/sales")


    def total(rows: list[dict]) -> int:
        return sum(row["amount"] for row in rows)


    @dag(
        schedule="15 2 * * *",
        start_date=pendulum.datetime(2026, 1, 1, tz="Europe/Berlin"),
        max_active_runs=1,
        dagrun_timeout=timedelta(hours=1),
        default_args={"retries": 2, "retry_delay": timedelta(seconds=1)},
        params={"limit": Param(3, type="integer")},
    )
    def sales_daily():
        # One region.
        @task(pool="source")
        def extract(region: str, ds=None, params=None) -> list[dict]:
            # as many as are asked for
            return [{"day": ds, "region": region, "amount": i * len(region)} for i in range(params["limit"])]

        @task(retries=0)
        def check(parts: list[list[dict]]) -> list[dict]:
            return [row for part in parts for row in part]

        @task(outlets=[SALES])
        def publish(rows: list[dict], folder: str, ds=None) -> int:
            with open(f"{folder}/sales.json", "w") as file:
                json.dump(rows, file, sort_keys=True)
            return total(rows)

        @task(trigger_rule="all_done")
        def report(amount: int, folder: str):
            with open(f"{folder}/report", "a") as file:
                file.write(f"{amount}\\n")

        raw = extract.expand(region=REGIONS)
        amount = publish(check(raw), "OUT")
        report(amount, "OUT")


    sales_daily()
    '''
CLASSIC = '''
    from datetime import datetime
    from airflow import DAG
    from airflow.models import Variable
    from airflow.providers.postgres.operators.postgres import PostgresOperator
    from airflow.providers.standard.operators.bash import BashOperator
    from airflow.providers.standard.operators.empty import EmptyOperator
    from airflow.providers.standard.operators.python import PythonOperator
    from airflow.sdk import TaskGroup


    def write(name, ds, **context):
        with open(f"OUT/{name}-{ds}", "w") as file:
            file.write(context["params"]["word"])


    def bucket():
        """Where to."""
        return Variable.get("bucket")


    def earlier(ti):
        return ti.xcom_pull("write")


    with DAG("classic", schedule=None, start_date=datetime(2024, 1, 1), params={"word": "hi"}):
        start = EmptyOperator(task_id="start")
        with TaskGroup("both"):
            one = PythonOperator(task_id="write", python_callable=write, op_kwargs={"name": "{{ params.word }}"})
            two = PythonOperator(task_id="day", python_callable=write, op_args=["two"], pool="p")
        copied = BashOperator(task_id="copied", bash_command="cp OUT/two-{{ ds }} OUT/copied")
        statement = PostgresOperator(task_id="statement", sql="select 1", trigger_rule="one_failed")
        where = PythonOperator(task_id="where", python_callable=bucket)
        before = PythonOperator(task_id="before", python_callable=earlier)
        start >> [one, two] >> copied
        statement << copied
    '''


def convert(tmp_path: Path, text: str, *options: str, to: str = "prefect") -> int:
    file = tmp_path / "dag.py"
    file.write_text(textwrap.dedent(text).replace("OUT", str(tmp_path)))
    return cli.main([str(file), "--to", to, "--output", str(tmp_path), *options])


@pytest.fixture
def report(tmp_path, capsys):
    """The constructs of the report by what they are about: ``report(TASKFLOW)["schedule"]``."""

    def run(text: str, to: str = "prefect") -> dict[str, dict]:
        assert convert(tmp_path, text, "--format", "json", to=to) == 0
        found = json.loads(capsys.readouterr().out)
        return {each["what"]: each for each in found["constructs"]}

    return run


def loaded(file: Path):
    spec = importlib.util.spec_from_file_location(file.stem, file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_bodies_become_business_functions_with_their_comments(report, tmp_path):
    report(TASKFLOW)
    text = (tmp_path / "sales_daily_steps.py").read_text()
    assert "airflow" not in text
    assert "pendulum" not in text  # it was needed for the DAG alone
    assert "# One region.\ndef extract(" in text
    assert "    # as many as are asked for\n" in text
    steps = loaded(tmp_path / "sales_daily_steps.py")
    assert steps.extract("eu", ds="2026-01-05", params={"limit": 2})[1]["amount"] == 2
    assert steps.total([{"amount": 3}]) == 3


@pytest.mark.parametrize("to", ["prefect", "dagster"])
def test_a_dag_whose_name_begins_with_a_number_is_drafted(tmp_path, capsys, to):
    assert convert(tmp_path, CLASSIC.replace('"classic"', '"01_classic"'), to=to) == 0
    assert (tmp_path / "dag_01_classic_steps.py").exists()


def test_parameters_keep_their_defaults(report, tmp_path):
    report(TASKFLOW)
    assert "params = {'limit': 3} | (params or {})" in (tmp_path / "sales_daily_flow.py").read_text()


def test_each_construct_has_a_disposition(report):
    rows = report(TASKFLOW)
    assert rows["schedule"]["becomes"] == "a schedule 15 2 * * * in Europe/Berlin"
    for what in ("dagrun_timeout of the DAG", "retry_delay of check", "expand of extract", "params"):
        assert rows[what]["disposition"] == "mechanical"
    for what in ("pool of extract", "max_active_runs of the DAG", "outlets of publish", "ds"):
        assert rows[what]["disposition"] == "decide"
    assert rows["retries of check"]["becomes"] == "retries=0"  # its own before the defaults


@pytest.mark.parametrize(("text", "places"), [(TASKFLOW, 0), (CLASSIC, 2)], ids=["none", "some"])
def test_what_is_of_airflow_2_is_named_as_the_step_before(tmp_path, capsys, text, places):
    assert convert(tmp_path, text) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if "ruff check --select AIR3" in line]
    assert [line.split()[0] for line in lines] == ([str(places)] if places else [])


def test_what_has_no_equivalent_is_an_error_that_names_the_library(report, tmp_path):
    rows = report(CLASSIC)
    steps = loaded(tmp_path / "classic_steps.py")
    with pytest.raises(NotImplementedError, match="psycopg"):
        steps.statement()
    with pytest.raises(NotImplementedError, match="setting"):
        steps.bucket()
    with pytest.raises(NotImplementedError, match="ti of Airflow's context"):
        steps.earlier(None)
    assert steps.bucket.__doc__ == "Where to."
    flow = (tmp_path / "classic_flow.py").read_text()
    assert "raise NotImplementedError('statement has the trigger rule one_failed" in flow
    assert rows["bucket() needs Airflow"]["disposition"] == "redesign"
    assert rows["task group"]["disposition"] == "mechanical"


def test_a_command_and_what_functions_take_from_the_context_are_kept(report, tmp_path):
    report(CLASSIC)
    steps = loaded(tmp_path / "classic_steps.py")
    steps.write("two", ds="2026-01-05", params={"word": "hi"})
    steps.copied(ds="2026-01-05", params={})
    assert (tmp_path / "copied").read_text() == "hi"
    flow = (tmp_path / "classic_flow.py").read_text()
    assert "write.submit(name=f\"{params['word']}\", ds=day, params=params, wait_for=[start_result])" in flow
    assert "day_task.submit('two', ds=day" in flow  # day is the flow's own name
    assert "wait_for=[day_result, write_result]" in flow


def test_tasks_that_are_handed_their_dag_are_read(report, tmp_path):
    report("""
        from airflow import DAG
        from airflow.providers.standard.operators.bash import BashOperator

        WORD = "a"
        dag = DAG("handed", schedule="@daily")
        first = BashOperator(task_id="first", bash_command="true", dag=dag)
        second = BashOperator(task_id="second", bash_command="true", dag=dag)
        second.set_upstream(first)
        """)
    assert "second.submit(ds=day, params=params, wait_for=[first_result])" in (tmp_path / "handed_flow.py").read_text()
    assert loaded(tmp_path / "handed_steps.py").WORD == "a"
    assert "set_upstream" not in (tmp_path / "handed_steps.py").read_text()


DAG = """\
from airflow.sdk import DAG, dag, task
from airflow.providers.standard.operators.bash import BashOperator
"""
REFUSED = {
    "not Python": ("print 'x'\n", "line 1"),
    "no DAG": ("x = 1\n", "no DAG"),
    "a loop of DAGs": (
        DAG + "for x in 'ab':\n    with DAG(x): BashOperator(task_id='a', bash_command='b')\n",
        "line 4",
    ),
    "a loop of tasks": (DAG + "with DAG('x'):\n    for t in 'ab':\n        BashOperator(task_id=t)\n", "line 4"),
    "a factory": (DAG + "def make(n):\n    with DAG(n) as d: BashOperator()\n    return d\nx = make('x')\n", "line 4"),
    "two DAGs": (DAG + "with DAG('a'): pass\nwith DAG('b'): pass\n", "lines 3, 4"),
    "globals": (DAG + "with DAG('a'): pass\nglobals()['x'] = 1\n", "globals"),
    "Airflow 1": ("from airflow.contrib.x import y\nfrom airflow import DAG\nwith DAG('a'): pass\n", "Airflow 1"),
    "no tasks": (DAG + "with DAG('a'): pass\n", "no task"),
    "a closure": (
        DAG + "@dag\ndef a():\n    x = 1\n    @task\n    def f(): return x\n    f()\na()\n",
        "uses x of the DAG",
    ),
    "a template": (DAG + "@dag\ndef a():\n    @task\n    def f(x): ...\n    f('{{ macros.y }}')\na()\n", "has no like"),
    "a part of a result": (
        DAG + "@dag\ndef a():\n    @task\n    def f(x=1): ...\n    f(f()['k'])\na()\n",
        "no plain meaning",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_it_cannot_read_is_refused_and_nothing_is_written(tmp_path, capsys, case):
    text, reason = REFUSED[case]
    assert convert(tmp_path, text, "--format", "json") == 1
    said = capsys.readouterr()
    assert reason in json.loads(said.out)["refused"]
    assert said.err.startswith("refused: ")
    assert [path.name for path in tmp_path.iterdir()] == ["dag.py"]


def test_a_draft_that_is_there_is_not_touched(tmp_path, capsys):
    assert convert(tmp_path, TASKFLOW) == 0
    flow = tmp_path / "sales_daily_flow.py"
    flow.write_text("mine")
    (tmp_path / "sales_daily_steps.py").unlink()
    assert convert(tmp_path, TASKFLOW) == 2
    assert "is there already" in capsys.readouterr().err
    assert flow.read_text() == "mine"
    assert not (tmp_path / "sales_daily_steps.py").exists()


def test_the_draft_for_dagster_proposes_assets_and_checks(report, tmp_path):
    rows = report(TASKFLOW, to="dagster")
    text = (tmp_path / "sales_daily_assets.py").read_text()
    assert "retry_policy=dg.RetryPolicy(max_retries=2, delay=1)" in text
    assert "cron_schedule='15 2 * * *', timezone='Europe/Berlin'" in text
    assert "def publish(context: dg.AssetExecutionContext, config: Params, check):" in text
    assert "raise NotImplementedError('report has the trigger rule all_done" in text
    assert "@asset_check of extract" in rows["check as an asset"]["becomes"]
    assert rows["expand of extract"]["disposition"] == "redesign"
    assert rows["pool of extract"]["becomes"].startswith("pool= of the asset")
    report(CLASSIC, to="dagster")
    assert "@dg.asset(partitions_def=days, deps=['day_task', 'write'])" in (tmp_path / "classic_assets.py").read_text()


RUNS = {
    "prefect": """
        import sales_daily_flow as f
        print(f.sales_daily("2026-01-05", return_state=True).type.value)
        """,
    "dagster": """
        import dagster as dg, sales_daily_assets as a
        a.defs.get_repository_def()
        tables = [a.extract, a.check, a.publish]
        print("COMPLETED" if dg.materialize(tables, partition_key="2026-01-05").success else "FAILED")
        """,
}


@pytest.mark.deep
@pytest.mark.parametrize("to", RUNS)
def test_the_draft_runs_and_gives_the_same_result(tmp_path, to):
    assert convert(tmp_path, TASKFLOW, to=to) == 0
    python = tmp_path / "env" / "bin" / "python"
    uv = [str(Path(sys.executable).parent / "uv")]
    subprocess.run([*uv, "venv", "--quiet", str(tmp_path / "env")], check=True)
    constraints = ROOT / "template" / f"[[{to}]]" / "constraints.txt"
    install = ["pip", "install", "--quiet", "--python", str(python), "--constraint", str(constraints), to]
    subprocess.run([*uv, *install], check=True)
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path),
        "PREFECT_HOME": str(tmp_path / "home"),
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    }
    command = [str(python), "-c", textwrap.dedent(RUNS[to])]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert "COMPLETED" in done.stdout.splitlines(), done.stderr
    # What the functions of the DAG give when they are called one after the other.
    steps = loaded(tmp_path / "sales_daily_steps.py")
    rows = steps.check([steps.extract(each, ds="2026-01-05", params={"limit": 3}) for each in steps.REGIONS])
    assert json.loads((tmp_path / "sales.json").read_text()) == rows
    if to == "prefect":
        assert (tmp_path / "report").read_text() == f"{steps.total(rows)}\n"
