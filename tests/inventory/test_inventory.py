"""What `orch-inventory` reads, follows and guesses in the files of every orchestrator, and of broken ones."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import pytest
import recommend
import yaml
from decision_engine import CHOICES
from orch_inventory import cli, effort, systems
from repository import ROOT, write_files

AIRFLOW = {
    "airflow/dags/sales.py": """
        # Old imports, an alias, a loop over a constant, an operator of a plugin, one whose class nobody has.
        from datetime import datetime, timedelta
        from airflow import DAG
        from airflow.operators.bash_operator import BashOperator as Sh
        from airflow.operators.dummy_operator import DummyOperator
        from airflow.operators.dagrun_operator import TriggerDagRunOperator
        from airflow.sensors.external_task_sensor import ExternalTaskSensor
        from airflow.providers.postgres.operators.postgres import PostgresOperator
        from lost_plugin import LostToBucketOperator
        from common.operators import LoadOperator
        from common.settings import NAME, EVERY

        TABLES = ["orders", "items", "customers"]
        with DAG(NAME, schedule_interval=EVERY, start_date=datetime(2020, 1, 1), catchup=True) as dag:
            start = DummyOperator(task_id="start")
            up = ExternalTaskSensor(task_id="up", external_dag_id="ingest", external_task_id="done")
            for table in TABLES:
                load = LoadOperator(task_id=f"load_{table}", postgres_conn_id="warehouse")
                start >> load
            dump = Sh(task_id="dump", bash_command="cd /tmp && pg_dump sales | aws s3 cp - s3://backup/x")
            lost = LostToBucketOperator(task_id="lost", bucket="b")
            after = TriggerDagRunOperator(task_id="after", trigger_dag_id="marts")
        """,
    "airflow/dags/common/__init__.py": "",
    "airflow/dags/common/settings.py": 'NAME = "sales"\nEVERY = "15 2 * * *"\n',
    "airflow/dags/common/operators.py": """
        from airflow.models import BaseOperator

        class LoadOperator(BaseOperator):
            def __init__(self, postgres_conn_id, **kwargs):
                super().__init__(**kwargs)
        """,
    "airflow/dags/marts.py": """
        import pendulum
        from airflow.sdk import Asset, dag, task

        REGIONS = Asset("duckdb://warehouse/regions")

        @dag(schedule=None, start_date=pendulum.datetime(2026, 1, 1, tz="Europe/Berlin"))
        def marts():
            @task(retries=3)
            def extract(region):
                import psycopg
                return region

            @task(outlets=[REGIONS])
            def publish(parts):
                ...

            publish(extract.expand(region=["eu", "us"]))

        marts()
        """,
    "airflow/dags/listeners.py": """
        from airflow.sdk import DAG, Asset
        from airflow.providers.standard.operators.python import PythonOperator

        def make(name, wanted="daily"):
            with DAG(dag_id=f"listen_{name}", schedule=[Asset("duckdb://warehouse/regions")]) as dag:
                PythonOperator(task_id="listen", python_callable=print)
            return dag

        for name in ("mail", "chat"):
            globals()[name] = make(name)
        """,
    "airflow/dags/unknown.py": """
        import os
        from airflow.sdk import DAG
        from airflow.providers.standard.operators.bash import BashOperator

        for client in os.environ["CLIENTS"].split(","):
            with DAG(dag_id=f"export_{client}", schedule="@daily") as dag:
                BashOperator(task_id="export", bash_command="true")
        """,
    "airflow/dags/factory.yml": """
        default:
          schedule: "@weekly"
          default_args: {retries: 1}
        reports:
          tasks:
            - {task_id: wait, operator: airflow.providers.amazon.aws.sensors.s3.S3KeySensor, bucket_key: "s3://in/x"}
            - {task_id: make, operator: airflow.providers.standard.operators.bash.BashOperator, bash_command: "dbt run"}
        """,
}
OTHERS = {
    "jobs/etl.crontab": """
        CRON_TZ=Europe/Berlin
        MAILTO=data@example.org
        # nightly
        15 2 * * 1-5 flock -n /tmp/x.lock /opt/etl/extract.sh $(date +\\%F) && psql -f load.sql >> /var/log/x 2>&1
        @daily python3 -m luigi --module tree Publish --day today
        0 5 * * * python /srv/prices.py
        """,
    "jobs/cron.d/clean": "*/10 * * * * root nice -n 5 bash -c 'mysqldump shop | gzip'\n",
    "jobs/tree.py": """
        import luigi
        from luigi.contrib.s3 import S3Target
        from luigi.util import requires

        class Limits:
            resources = {"warehouse": 1}
            retry_count = 9

        class Base(luigi.Task):
            day = luigi.DateParameter()
            retry_count: int = 2
            worker_timeout = 600

        class Source(luigi.ExternalTask):
            def output(self):
                return S3Target("s3://landing/x")

        class Extract(Base, Limits):
            retry_count = 4
            def requires(self):
                return Source()

        @requires(Extract)
        class Check(Base):
            pass

        class Publish(Base):
            def requires(self):
                return {"check": self.clone(Check), "parts": [Extract(day=self.day) for _ in range(3)]}
        """,
    "jobs/prices.py": """
        from prefect import flow, task

        @task
        def fetch(page):
            import requests

        @flow
        def child():
            fetch(1)

        @flow(name="prices")
        def run():
            fetch.map([1, 2])
            child()

        if __name__ == "__main__":
            run.serve(name="x", cron="0 5 * * *")
        """,
    "assets/definitions.py": """
        import dagster as dg
        from dagster_snowflake import SnowflakeResource

        @dg.asset(partitions_def=dg.DailyPartitionsDefinition("2026-01-01"))
        def orders(): ...

        @dg.asset
        def revenue(orders): ...

        @dg.asset_check(asset=revenue)
        def positive(): ...

        marts = dg.define_asset_job("marts_job", selection=[orders, revenue])
        nightly = dg.ScheduleDefinition(job=marts, cron_schedule="0 3 * * *", execution_timezone="UTC")

        @dg.sensor(job=marts)
        def arrived(): ...
        """,
    "oozie/app/workflow.xml": """
        <workflow-app xmlns="uri:oozie:workflow:0.5" name="clicks">
          <start to="load"/>
          <action name="load" retry-max="3"><hive xmlns="uri:oozie:hive-action:0.5"><script>x.q</script></hive>
            <ok to="choose"/><error to="fail"/></action>
          <decision name="choose"><switch><case to="end">${wf:conf('x') eq 1}</case>
            <default to="end"/></switch></decision>
          <kill name="fail"><message>no</message></kill><end name="end"/>
        </workflow-app>
        """,
    "oozie/app/coordinator.xml": """
        <coordinator-app xmlns="uri:oozie:coordinator:0.4" name="clicks-daily" frequency="1440" timezone="UTC">
          <datasets><dataset name="raw" frequency="1440" initial-instance="2013-01-01T00:00Z" timezone="UTC">
            <uri-template>hdfs://nn/raw/${YEAR}/${MONTH}</uri-template></dataset></datasets>
          <input-events><data-in name="in" dataset="raw"><instance>${coord:current(0)}</instance></data-in>
            </input-events>
          <action><workflow><app-path>${base}/app</app-path></workflow></action>
        </coordinator-app>
        """,
    "oozie/app/job.properties": "nameNode = hdfs://nn\nbase=${nameNode}/user/etl\n",
}


@pytest.fixture
def inventory(tmp_path, capsys):
    """The inventory of these files as JSON, by pipeline id: ``inventory({"dags/a.py": "..."}, "--runs", "x.csv")``."""

    def run(files: dict[str, str], *options: str) -> dict:
        folder = write_files(tmp_path / "estate", files)
        folder.mkdir(exist_ok=True)
        assert cli.main([str(folder), "--format", "json", *options]) == 0
        found = json.loads(capsys.readouterr().out)
        return {**found, "by_id": {each["id"]: each for each in found["pipelines"]}}

    return run


def confidence(pipeline: dict, what: str, name: str) -> str:
    return pipeline[what][name]["confidence"]


def test_a_dag_is_followed_through_aliases_imports_and_loops(inventory):
    found = inventory(AIRFLOW)
    sales = found["by_id"]["airflow:sales"]
    assert sales["name"]["confidence"] == "resolved"  # by a constant of another file
    assert sales["schedule"] == {"value": "15 2 * * *", "confidence": "resolved"}
    steps = {step["name"]["value"]: step for step in sales["steps"]}
    load = steps["load_orders, load_items, load_customers"]
    assert (load["operator"], load["base"], load["count"]) == ("LoadOperator", "BaseOperator", 3)
    assert "TABLES (3)" in load["loop"]
    assert steps["lost"]["operator"] == "LostToBucketOperator"
    assert steps["start"]["kind"] == "structure"
    assert steps["up"]["kind"] == "sensor"
    assert sales["uses"]["connection"] == {"warehouse": "read"}
    assert confidence(sales, "systems", "s3") == "read"
    assert confidence(sales, "systems", "postgresql") == "read"
    assert sales["features"]["partitioned_backfills"]["value"] == "catchup=True"


def test_dags_of_a_factory_are_listed_by_the_names_its_callers_give(inventory):
    found = inventory(AIRFLOW)
    for name in ("listen_mail", "listen_chat"):
        assert found["by_id"][f"airflow:{name}"]["name"]["confidence"] == "resolved"
        assert len(found["by_id"][f"airflow:{name}"]["steps"]) == 1
    guessed = next(each for each in found["pipelines"] if each["path"].endswith("unknown.py"))
    assert guessed["name"] == {"value": "export_{client}", "confidence": "guessed"}
    assert "(n)" in guessed["repeated"]


@pytest.mark.parametrize(
    "written", ['"dump_{}".format(name)', '"dump_{0}".format(name)', '"dump_%s" % name', '"dump_" + name']
)
def test_names_that_are_put_together_are_resolved(inventory, written):
    text = f"""
        from airflow import DAG
        for name in sorted({{"a": 1, "b": 2}}):
            with DAG({written}, schedule="@daily"):
                pass
        """
    assert [each["name"] for each in inventory({"dags/a.py": text})["pipelines"]] == [
        {"value": "dump_a", "confidence": "resolved"},
        {"value": "dump_b", "confidence": "resolved"},
    ]


def test_links_between_dags_lead_to_each_other(inventory):
    found = inventory(AIRFLOW)["by_id"]
    links = {(link["kind"], link["target"]["value"]): link["found"] for link in found["airflow:sales"]["links"]}
    assert links == {("waits for", "ingest"): [], ("starts", "marts"): ["airflow:marts"]}
    assert found["airflow:marts"]["zone"]["value"] == "Europe/Berlin"
    reads = [link for link in found["airflow:listen_mail"]["links"] if link["kind"] == "reads"]
    assert [link["found"] for link in reads] == [["airflow:marts"]]


def test_mapped_tasks_and_yaml_of_dag_factory_are_read(inventory):
    found = inventory(AIRFLOW)["by_id"]
    extract = found["airflow:marts"]["steps"][0]
    assert (extract["operator"], extract["count"]) == ("@task", None)
    assert extract["settings"]["retries"]["value"] == "3"
    assert confidence(found["airflow:marts"], "systems", "postgresql") == "read"
    reports = found["airflow:reports"]
    assert reports["schedule"] == {"value": "@weekly", "confidence": "resolved"}
    assert [(step["operator"], step["kind"]) for step in reports["steps"]] == [
        ("S3KeySensor", "sensor"),
        ("BashOperator", "task"),
    ]
    assert set(reports["systems"]) == {"s3", "dbt"}


def test_lines_of_crontabs_are_pipelines_or_say_when_others_run(inventory):
    found = inventory(OTHERS)["by_id"]
    extract = found["cron:extract.sh"]
    assert extract["schedule"]["value"] == "15 2 * * 1-5"
    assert extract["zone"]["value"] == "Europe/Berlin"
    assert [step["operator"] for step in extract["steps"]] == ["command", "psql"]
    assert list(extract["systems"]) == ["postgresql"]
    assert list(found["cron:mysqldump"]["systems"]) == ["mysql"]  # below a user, nice and bash -c
    publish = found["luigi:Publish"]
    assert (publish["schedule"]["value"], publish["scheduled_by"]) == ("@daily", "jobs/etl.crontab:5")
    assert not [each for each in found if each.startswith("cron:") and "luigi" in each]


def test_a_tree_of_luigi_is_one_pipeline(inventory):
    publish = inventory(OTHERS)["by_id"]["luigi:Publish"]
    steps = {step["name"]["value"]: step for step in publish["steps"]}
    assert set(steps) == {"Publish", "Check", "Extract", "Source"}
    assert (steps["Check"]["operator"], steps["Check"]["base"]) == ("Base", "Task")
    assert (steps["Source"]["kind"], steps["Extract"]["count"]) == ("sensor", 3)
    assert steps["Extract"]["settings"]["retry_count"]["value"] == "4"
    assert confidence(publish, "systems", "s3") == "read"


def test_a_task_of_luigi_has_the_settings_that_it_inherits(inventory):
    publish = inventory(OTHERS)["by_id"]["luigi:Publish"]
    settings = {
        step["name"]["value"]: {name: (fact["value"], fact["confidence"]) for name, fact in step["settings"].items()}
        for step in publish["steps"]
    }
    inherited = {"retry_count": ("2", "resolved"), "worker_timeout": ("600", "resolved")}
    assert (settings["Check"], settings["Publish"], settings["Source"]) == (inherited, inherited, {})
    own = {"retry_count": ("4", "read"), "worker_timeout": ("600", "resolved")}
    assert {name: settings["Extract"][name] for name in own} == own
    assert "resources" in settings["Extract"]


def test_flows_have_their_tasks_subflows_and_schedules(inventory):
    found = inventory(OTHERS)["by_id"]
    prices = found["prefect:prices"]
    assert prices["schedule"]["value"] == "0 5 * * *"
    assert [(step["operator"], step["count"]) for step in prices["steps"]] == [("@task", None), ("@flow", 1)]
    assert [link["found"] for link in prices["links"]] == [["prefect:child"]]
    assert confidence(prices, "systems", "http_api") == "read"


def test_jobs_of_dagster_have_their_assets_checks_and_sensors(inventory):
    job = inventory(OTHERS)["by_id"]["dagster:marts_job"]
    assert {step["name"]["value"]: step["operator"] for step in job["steps"]} == {
        "orders": "@asset",
        "revenue": "@asset",
        "positive": "@asset_check",
        "arrived": "@sensor",
    }
    assert (job["schedule"]["value"], job["zone"]["value"]) == ("0 3 * * *", "UTC")
    assert {"partitioned_backfills", "quality_checks", "sensors"} <= set(job["features"])
    assert confidence(job, "systems", "snowflake") == "read"


def test_a_coordinator_gives_its_workflow_the_schedule(inventory):
    found = inventory(OTHERS)["by_id"]
    clicks = found["oozie:clicks"]
    assert [step["operator"] for step in clicks["steps"]] == ["oozie hive", "oozie decision", "oozie data-in"]
    assert clicks["schedule"]["value"] == "every 1440 minutes"
    assert clicks["features"]["expressions"]["value"] == "wf:conf"
    assert set(clicks["systems"]) == {"hive", "hdfs"}
    assert "oozie:clicks-daily" not in found


BROKEN = {
    "not Python": ("dags/a.py", "from airflow import DAG\nprint 'x'\n", r"print"),
    "not XML": ("oozie/workflow.xml", "<workflow-app name='a'>\n<start", r"no XML"),
    "entities": (
        "workflow.xml",
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><workflow-app name="a">&x;</workflow-app>',
        "refused: it declares entities",
    ),
    "not YAML": ("dags/a.yml", "a:\n  tasks:\n    - operator: [x\n", r""),
    "no crontab": ("etl.crontab", "every day at noon do it\n", r"no line of a crontab"),
    "a crontab to be": ("etl.crontab", "{{ schedule }} /opt/x.sh\n", r"a template"),
    "twice": ("dags/b.py", "from airflow import DAG\nd = DAG('a')\ne = DAG('a')\n", r"also defined at dags/b.py:2"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_does_not_parse_is_a_line_of_the_report(inventory, case):
    path, text, reason = BROKEN[case]
    good = {"good.crontab": "@daily /opt/good.sh\n"}
    found = inventory({path: text, **good})
    assert "cron:good.sh" in found["by_id"]
    assert [each["path"] for each in found["problems"]] == [path]
    assert re.search(reason, found["problems"][0]["reason"])


def test_entities_are_refused_in_any_encoding(inventory, tmp_path):
    text = (
        '<?xml version="1.0" encoding="UTF-16"?><!DOCTYPE a [<!ENTITY x "y">]><workflow-app name="a">&x;</workflow-app>'
    )
    (tmp_path / "estate").mkdir()
    (tmp_path / "estate" / "workflow.xml").write_bytes(text.encode("utf-16"))
    found = inventory({})
    assert [each["reason"].partition(":")[0] for each in found["problems"]] == ["refused"]
    assert not found["pipelines"]


def test_a_folder_whose_settings_are_broken_is_read(inventory):
    found = inventory({"pyproject.toml": "[tool", "a.crontab": "@daily /opt/a.sh\n"})
    assert list(found["by_id"]) == ["cron:a.sh"]


def test_an_empty_folder_has_no_pipelines_and_no_answers(tmp_path, capsys):
    assert cli.main([str(tmp_path)]) == 0
    assert "no pipelines in" in capsys.readouterr().out
    answers = tmp_path / "answers.yml"
    assert cli.main([str(tmp_path), "--answers", str(answers)]) == 2
    assert "no pipeline" in capsys.readouterr().err
    assert not answers.exists()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("nowhere",), "is not a folder"),
        ((".", "--page", "no/such/folder.html"), "cannot be written"),
        ((".", "--runs", "none.csv"), "cannot be read"),
        ((".", "--runs", "odd.csv"), "does not say which pipelines ran when"),
        ((".", "--runs", "broken.json"), "is no JSON"),
        ((".", "--effort", "odd.csv"), "is no table of estimates"),
        ((".", "--answers", "odd.csv"), "is there already"),
        ((".", "--dead-after", "0"), "--dead-after"),
    ],
)
def test_a_wrong_call_ends_in_one_sentence(tmp_path, monkeypatch, capsys, options, sentence):
    write_files(tmp_path, {"a.crontab": "@daily /opt/a.sh\n", "odd.csv": "x,y\n1,2\n", "broken.json": "[{"})
    monkeypatch.chdir(tmp_path)
    assert cli.main(list(options)) == 2
    said = capsys.readouterr()
    assert sentence in said.err
    assert said.err.count("\n") == 1
    assert not said.out


RUNS = {
    "csv": """
        dag_id,state,start_date
        sales,success,2026-06-01T00:00:00+00:00
        marts,failed,2025-06-01 04:00:00
        gone,success,2026-01-01
        """,
    "json": """
        [{"dag_id": "sales", "logical_date": "2026-06-01T00:00:00Z"},
         {"dag_id": "marts", "logical_date": "2025-06-01"}, {"dag_id": "gone", "start_date": "2026-01-01"}]
        """,
}


@pytest.mark.parametrize("form", RUNS)
def test_an_export_of_runs_tells_what_is_dead(inventory, tmp_path, form):
    runs = write_files(tmp_path, {f"runs.{form}": RUNS[form]}) / f"runs.{form}"
    found = inventory({**AIRFLOW, **OTHERS}, "--runs", str(runs))
    by_id = found["by_id"]
    assert (by_id["airflow:sales"]["last_run"], by_id["airflow:sales"]["dead"]) == ("2026-06-01", None)
    assert by_id["airflow:marts"]["dead"] == {"value": "last run on 2025-06-01", "confidence": "read"}
    assert "no run in" in by_id["airflow:reports"]["dead"]["value"]
    assert by_id["cron:extract.sh"]["dead"] is None  # an export of Airflow's says nothing of cron
    assert found["unknown_runs"] == ["gone"]
    assert "airflow:marts" in found["retire"]
    assert "airflow:marts" not in [each["pipeline"] for each in found["order"]]


def test_a_pipeline_moves_after_those_that_wait_for_it(inventory):
    waiting = """
        from airflow.sdk import DAG
        from airflow.providers.standard.sensors.external_task import ExternalTaskSensor
        with DAG("{name}", schedule="@daily"):
            ExternalTaskSensor(task_id="w", external_dag_id="{other}")
        """
    pairs = {"last": "middle", "middle": "first", "first": "outside", "left": "right", "right": "left"}
    files = {f"dags/{name}.py": waiting.format(name=name, other=other) for name, other in pairs.items()}
    found = inventory(files)
    waves = {each["pipeline"].partition(":")[2]: each["wave"] for each in found["order"]}
    assert waves["last"] < waves["middle"] < waves["first"]
    assert waves["left"] == waves["right"]


def test_effort_counts_what_is_written_and_not_what_loops_make_of_it(inventory, tmp_path):
    found = inventory(AIRFLOW)
    load = next(each for each in found["operators"] if each["name"] == "LoadOperator")
    assert (load["written"], load["tasks"]) == (1, 3)
    rows = yaml.safe_load((ROOT / "hooks/src/orch_inventory/data/effort.yml").read_text())
    rows["own"]["first"] = [10, 20]
    mine = tmp_path / "effort.yml"
    mine.write_text(yaml.safe_dump(rows))
    dearer = next(
        each for each in inventory(AIRFLOW, "--effort", str(mine))["operators"] if each["name"] == "LoadOperator"
    )
    assert dearer["days"][0] >= 10 > load["days"][0]


def test_the_answers_are_those_of_the_questions_and_no_guess_is_among_them(inventory, tmp_path):
    file = tmp_path / "answers.yml"
    found = inventory({**AIRFLOW, **OTHERS}, "--answers", str(file))
    given = recommend.answers_in(file)
    assert given == found["answers"]
    assert given["current_orchestrator"] == "airflow"
    assert given["pipeline_count"] == "under_20"
    assert {"s3", "postgresql", "snowflake", "dbt"} <= set(given["connects_to"])
    assert {"sensors", "dynamic_fan_out", "sub_flows", "quality_checks", "dbt"} <= set(given["needs"])
    record = recommend.recommend(given)
    assert record["decision"]["recommended"]


def test_a_guess_answers_nothing(inventory):
    text = AIRFLOW["airflow/dags/unknown.py"].replace('"true"', '"true", aws_conn_id="s3_backups"')
    found = inventory({"dags/a.py": text})
    assert found["pipelines"][0]["systems"]["s3"]["confidence"] == "guessed"
    assert "connects_to" not in found["answers"]
    assert found["answers"]["current_orchestrator"] == "airflow"


def test_systems_and_needs_are_answers_of_the_questionnaire():
    asked = {name for name, row in systems.table().items() if row.get("asked", True)}
    assert asked == set(CHOICES["connects_to"])
    for row in systems.table().values():
        re.compile(row.get("classes", ""))
    effort.table()


class Loads(HTMLParser):
    """Collects what a page would load from elsewhere, and its tables."""

    def __init__(self) -> None:
        super().__init__()
        self.outside: list[str] = []
        self.tables = 0

    def handle_starttag(self, tag, attrs):
        self.tables += tag == "table"
        self.outside += [value for name, value in attrs if name in ("src", "href")] + [tag] * (
            tag in ("link", "script")
        )


def test_the_page_needs_nothing_else_and_hides_no_markup_of_names(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    estate = write_files(tmp_path / "estate", {**AIRFLOW, **OTHERS, "x.crontab": "@daily '/opt/<b>bold</b>.sh'\n"})
    page = tmp_path / "page.html"
    assert cli.main([str(estate), "--page", str(page)]) == 0
    text = page.read_text()
    reader = Loads()
    reader.feed(text)
    assert (reader.outside, reader.tables) == ([], 4)
    assert "airflow:" in text
    assert "<b>" not in text
    assert "load_orders" in text
    assert "LoadOperator" in capsys.readouterr().out
