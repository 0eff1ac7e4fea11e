"""What a rendered project sends to an OpenTelemetry collector and to a catalogue of lineage, seen on this machine."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import tomllib
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from combinations import VARIANTS, answers_for_variant

UV = Path(sys.executable).with_name("uv")
# Two steps of a run; the second fails. What it shows must hold no secret.
RUN = """
from contextlib import suppress
from flight_marts.platform import logging, masking, steps
from flight_marts.platform.pipelines import Grain, Pipeline
from flight_marts.platform.runs import Run, run_context
masking.add("hunter2-and-more")
orders = Pipeline("orders", Grain.DAY, ("extract", "publish"), ("fact_orders",), "batch_etl")
for name in orders.steps:
    run, day = run_context(Run("run-1", attempt=2)), orders.partition("2013-01-02")
    with suppress(ValueError), run, steps.step(orders, name, day) as report:
        logging.get_logger().info("from business code", password="hunter2-and-more")
        report.rows = {"read": 943}
        if name == "publish":
            raise ValueError("refused hunter2-and-more")
logging.get_logger().info("after the last step")
"""
# All steps of a run of the project's own pipeline, without their work; the last one fails.
FLIGHTS = """
from contextlib import suppress
from flight_marts.platform import errors, masking, pipelines, steps
from flight_marts.platform.runs import Run, run_context
masking.add("hunter2-and-more")
flights = pipelines.get("flights_daily")
for name in flights.steps:
    with suppress(Exception), run_context(Run("run-1")), steps.step(flights, name, flights.partition("2013-01-02")):
        if name == "publish":
            raise ValueError("refused hunter2-and-more")
"""
# The spans that were sent, as JSON lines of name, trace, parent, status and attributes.
READ = """
import json, sys
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
kinds = {"/v1/traces": ExportTraceServiceRequest, "/v1/logs": ExportLogsServiceRequest}
sent = [json.loads(line) for line in sys.stdin]
print(json.dumps([[path, MessageToDict(kinds[path].FromString(bytes.fromhex(body)))] for path, body in sent]))
"""
pytestmark = pytest.mark.project


@pytest.fixture(scope="module")
def project(render, tmp_path_factory) -> Path:
    """A project with its dependencies and the group telemetry, but no orchestrator's."""
    folder = Path(shutil.copytree(render(orchestrator="prefect"), tmp_path_factory.mktemp("telemetry") / "project"))
    sync = [UV, "sync", "--quiet", "--no-default-groups", "--group", "telemetry"]
    subprocess.run(sync, cwd=folder, env=os.environ | {"UV_SYSTEM_CERTS": "true"}, check=True)
    return folder


@pytest.fixture
def collector():
    """A collector: ``requests`` are (path, body) of what it got; ``silent`` keeps its answers back until the end."""
    requests: list[tuple[str, bytes]] = []
    silent, ending = threading.Event(), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            requests.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            if silent.is_set():
                # A byte at a time, so that no time-out of a single read ends it.
                with suppress(OSError):
                    self.wfile.write(b"HTTP/1.1 200 OK\r\nX-More: ")
                    while not ending.wait(1):
                        self.wfile.write(b"b")
                return
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            """Keep the tests' output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.requests, server.silent = requests, silent
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    ending.set()
    server.shutdown()
    thread.join()
    server.server_close()


def run(project: Path, code: str, endpoint: str = "", given: str = "", **variables) -> subprocess.CompletedProcess:
    kept = {name: os.environ[name] for name in ("PATH", "HOME")}
    environment = {**kept, "APP_ROOT": str(project), "APP_TELEMETRY__OTLP_ENDPOINT": endpoint, **variables}
    command = [project / ".venv" / "bin" / "python", "-c", code]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, input=given or None)


def test_steps_are_spans_of_their_runs_trace_and_lines_go_with_them(project, collector):
    done = run(project, RUN, f"http://127.0.0.1:{collector.server_port}")
    assert done.returncode == 0, done.stderr
    sent = [json.dumps([path, body.hex()]) for path, body in collector.requests]
    decoded = json.loads(run(project, READ, given="\n".join(sent)).stdout)
    assert "hunter2" not in json.dumps(decoded)
    spans = [
        span
        for path, request in decoded
        if path == "/v1/traces"
        for resource in request["resourceSpans"]
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    ]
    assert [span["name"] for span in spans] == ["orders extract", "orders publish"]
    assert len({span["traceId"] for span in spans}) == 1
    assert [span["status"].get("code") for span in spans] == [None, "STATUS_CODE_ERROR"]
    attributes = {each["key"]: next(iter(each["value"].values())) for each in spans[0]["attributes"]}
    want = {"env": "dev", "pipeline": "orders", "step": "extract", "partition": "2013-01-02", "run_id": "run-1"}
    assert want.items() <= attributes.items()
    assert attributes["rows.read"] == "943"
    lines = json.dumps([request for path, request in decoded if path == "/v1/logs"])
    assert lines.count('"from business code"') == 2
    assert lines.count("step finished") == lines.count("step failed") == 1
    assert "after the last step" in lines
    assert all(span["traceId"] in lines for span in spans)


def test_a_collector_that_is_down_does_no_harm(project):
    done = run(project, RUN, "http://127.0.0.1:9")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


def test_a_collector_that_answers_a_byte_at_a_time_keeps_no_run(project, collector):
    collector.silent.set()
    done = run(project, RUN, f"http://127.0.0.1:{collector.server_port}")  # would not end before its time-out
    assert done.returncode == 0, done.stderr
    assert collector.requests


def test_nothing_is_loaded_or_sent_without_an_address(project):
    code = RUN + "import sys\nassert not [n for n in sys.modules if n.startswith(('opentelemetry', 'openlineage'))]"
    done = run(project, code)
    assert done.returncode == 0, done.stderr


def events_of(requests: list[tuple[str, bytes]]) -> list[dict]:
    assert {path for path, _ in requests} <= {"/api/v1/lineage"}
    return [json.loads(body) for _, body in requests]


def test_a_run_is_a_run_of_one_job_for_a_catalogue_of_lineage(project, collector):
    """The last step fails for good, then only until it is tried again."""
    where = {"APP_LINEAGE__OPENLINEAGE": f"http://127.0.0.1:{collector.server_port}"}
    done = run(project, FLIGHTS.replace("ValueError", "errors.ContractError"), **where)
    assert done.returncode == 0, done.stderr
    start, fail = events_of(collector.requests)
    assert (start["eventType"], fail["eventType"]) == ("START", "FAIL")
    assert start["run"]["runId"] == fail["run"]["runId"]
    assert (fail["job"]["namespace"], fail["job"]["name"]) == ("flight_marts/dev", "flights_daily")
    assert [each["name"] for each in start["inputs"]] == [f"{project}/data/landing/flights_daily"]
    assert fail["run"]["facets"]["errorMessage"]["message"] == "refused ***"
    collector.requests.clear()
    done = run(project, FLIGHTS, **where)
    assert done.returncode == 0, done.stderr
    assert [each["eventType"] for each in events_of(collector.requests)] == ["START"]


@pytest.mark.parametrize("wrong", ["localhost:5000", "https://ann:hunter2@lineage.example.com"])
def test_an_address_for_lineage_that_is_none_is_refused_in_a_sentence(project, wrong):
    done = run(project, "from flight_marts.platform import config; config.load()", APP_LINEAGE__OPENLINEAGE=wrong)
    assert 'ConfigError: lineage.openlineage: write "file", or the address of a server' in done.stderr
    assert "hunter2" not in done.stderr


def test_a_catalogue_that_does_not_answer_keeps_no_run_and_no_secret_is_sent(project, collector):
    collector.silent.set()
    where = f"http://127.0.0.1:{collector.server_port}"
    done = run(project, FLIGHTS, APP_LINEAGE__OPENLINEAGE=where)
    assert done.returncode == 0, done.stderr
    assert "lineage event not delivered" in done.stderr
    assert "hunter2" not in str(collector.requests)


# What turns off the usage statistics that a package sends by default, as an environment must set it.
SENDERS = {
    "astronomer-cosmos": {"AIRFLOW__COSMOS__ENABLE_TELEMETRY": "False"},
    "dagster": {"DAGSTER_DISABLE_TELEMETRY": "true"},
    "dbt-core": {"DBT_SEND_ANONYMOUS_USAGE_STATS": "false"},
    "dlt": {"RUNTIME__DLTHUB_TELEMETRY": "false"},
    "mlflow": {"MLFLOW_DISABLE_TELEMETRY": "true"},
    "mlflow-skinny": {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"},
    "prefect": {"DO_NOT_TRACK": "1", "PREFECT_SERVER_ANALYTICS_ENABLED": "false"},
}
# Packages that one module of the platform imports, which sets their variables before it does.
SET_BY = {"mlflow-skinny": "registry"}


def assert_sets(project: Path, module: str, package: str) -> None:
    """The module of the platform sets what turns off the package's usage statistics."""
    text = (project / "src/flight_marts/platform" / f"{module}.py").read_text()
    for name, value in SENDERS[package].items():
        assert f'"{name}": "{value}"' in text, (module, name)


def pinned(project_file: Path) -> set[str]:
    """Names of the packages that an environment may have."""
    pins = tomllib.loads(project_file.read_text())["tool"]["uv"]["constraint-dependencies"]
    return {pin.split("==")[0] for pin in pins}


IN_IMAGES = {row["orchestrator"]: name for name, row in VARIANTS.items() if "image" in row["places"]}


@pytest.mark.parametrize("variant", IN_IMAGES.values())
def test_usage_statistics_are_off_on_laptops_and_in_images(render, variant):
    project = render(**answers_for_variant(variant))
    places = [f"deploy/local/{VARIANTS[variant]['orchestrator']}.env", "Dockerfile"]
    senders = pinned(project / "pyproject.toml") & set(SENDERS)
    for package in senders & set(SET_BY):
        assert_sets(project, SET_BY[package], package)
    for package in senders - set(SET_BY):
        for name, value in SENDERS[package].items():
            for place in places:
                assert re.search(rf"\b{name}={value}\b", (project / place).read_text()), (package, place)


def test_usage_statistics_are_off_in_each_environment_of_a_tool_of_its_own(render):
    """The module of the platform that starts the tool sets its variables."""
    project = render(orchestrator="airflow")
    environments = sorted((project / "environments").glob("*/pyproject.toml"))
    senders = {file.parent.name: pinned(file) & set(SENDERS) for file in environments}
    assert senders["dbt"] == {"dbt-core"}
    for tool, packages in senders.items():
        for package in packages:
            assert_sets(project, tool, package)
