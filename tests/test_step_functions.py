"""AWS Step Functions: a file, its event and the machine that it starts, on an emulator that has all three.

What the definitions do in moto's emulator is tested within a project: tests/integration/step_functions in the template.
ministack starts machines by events, which moto does not. It has an environment of its own, because it needs other
versions of what moto needs, and takes no part in `make test`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import hours
import pytest
from projects import SET_UP_SECONDS, UV, Project
from servers import free_port

MINISTACK = "ministack==1.5.33"
LINTER = "asl-validator@4.0.0"
KEY = '[{ wildcard = "${each.value.prefix}*${each.value.marker}" }]'  # the key of an object, in the rule of triggers.tf
ARRIVAL = """
import json, sys, time
import boto3
from flight_marts.orchestration.step_functions import definitions
from flight_marts.platform import pipelines

own = {"aws_access_key_id": "x", "aws_secret_access_key": "x", "region_name": "eu-central-1"}
s3, events, machines, tables = (
    boto3.client(name, endpoint_url=sys.argv[1], **own) for name in ("s3", "events", "stepfunctions", "dynamodb")
)
[row], pipeline = definitions.table(), pipelines.get("flights_daily")
role, of = "arn:aws:iam::000000000000:role/any", "arn:aws:states:eu-central-1:000000000000:stateMachine:"
prefix = of + definitions.prefix()
tables.create_table(
    TableName=definitions.table_name(), BillingMode="PAY_PER_REQUEST",
    KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
)
values = definitions.platform_values(
    table=definitions.table_name(), cluster="c", task_definition="t", subnets=["s"], security_group="g",
    machine_prefix=prefix,
)
made = {f"platform-{name}": (definitions.platform_file(name), values) for name in definitions.PLATFORM}
made[pipeline.name] = (
    definitions.file_of(pipeline), definitions.step_values(prefix + "platform-run_step", pipeline)
)
for name, (file, of_file) in made.items():
    machines.create_state_machine(
        name=definitions.prefix() + name, definition=definitions.fill(file, of_file), roleArn=role
    )
s3.create_bucket(Bucket=row["bucket"], CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
s3.put_bucket_notification_configuration(
    Bucket=row["bucket"], NotificationConfiguration={"EventBridgeConfiguration": {}}
)
key = [{"wildcard": row["prefix"] + "*" + row["marker"]}]
detail = {"bucket": {"name": [row["bucket"]]}, "object": {"key": key}}
rule = {"source": ["aws.s3"], "detail-type": ["Object Created"], "detail": detail}
events.put_rule(Name="arrival", EventPattern=json.dumps(rule))
events.put_targets(Rule="arrival", Targets=[{"Id": "1", "Arn": prefix + "platform-launch", "RoleArn": role}])


def executions(name):
    return machines.list_executions(stateMachineArn=prefix + name)["executions"]


for file in ("flights_daily/2013-01-02/flights.csv", "other/2013-01-03/_SUCCESS", "flights_daily/2013-01-02/_SUCCESS"):
    s3.put_object(Bucket=row["bucket"], Key=file, Body=b"")
until = time.monotonic() + 60
while not executions("flights_daily") and not executions("platform-late_file") and time.monotonic() < until:
    time.sleep(0.2)
launched = [each["executionArn"] for each in executions("platform-launch")]
inputs = [json.loads(machines.describe_execution(executionArn=each)["input"]) for each in launched]
started = [each["executionArn"] for each in executions("flights_daily")]
print(json.dumps({
    "events": [each["detail"]["object"]["key"] for each in inputs],
    "named": [bool(each["detail"]["object"].get("sequencer")) for each in inputs],
    "looks": [each["name"].rpartition("-")[0] for each in executions("platform-late_file")],
    "runs": [json.loads(machines.describe_execution(executionArn=each)["input"]) for each in started],
    "names": [each["name"] for each in executions("flights_daily")],
}))
"""


@pytest.fixture
def ministack(tmp_path) -> Iterator[str]:
    """The address of the emulator, which ends with the test."""
    subprocess.run([UV, "venv", "--quiet", tmp_path / "ministack"], check=True)
    python = tmp_path / "ministack" / "bin" / "python"
    subprocess.run([UV, "pip", "install", "--quiet", "--python", python, MINISTACK], check=True)
    port = free_port()
    variables = os.environ | {"GATEWAY_PORT": str(port), "BIND_HOST": "127.0.0.1"}
    with (tmp_path / "ministack.log").open("w") as log:
        server = subprocess.Popen(
            [python.with_name("ministack")], env=variables, cwd=tmp_path, stdout=log, stderr=subprocess.STDOUT
        )
    url, until = f"http://127.0.0.1:{port}", time.monotonic() + 60
    try:
        while time.monotonic() < until:
            with suppress(OSError):
                urllib.request.urlopen(url, timeout=5).close()
                break
            time.sleep(0.2)
        yield url
    finally:
        server.terminate()
        server.wait(30)


@pytest.fixture(scope="module")
def project(render, tmp_path_factory) -> Project:
    rendered = render(orchestrator="step_functions", cloud="aws")
    made = Project(Path(shutil.copytree(rendered, tmp_path_factory.mktemp("asl") / "project")), ("step_functions",))
    done = made.make("setup", timeout=SET_UP_SECONDS)
    assert done.returncode == 0, done.stderr
    return made


@pytest.mark.project
@pytest.mark.deep
@pytest.mark.parametrize("cron", ["", "0 6 * * *"], ids=["without a schedule", "with one"])
def test_a_marker_that_lands_starts_its_partition_or_a_look_for_a_late_one(project, ministack, cron):
    """What has a schedule is started by that alone."""
    folder = project.folder
    assert KEY in (folder / "deploy" / "terraform" / "triggers.tf").read_text()
    variables = {
        "APP_PIPELINES__FLIGHTS_DAILY__LANDING__URL": "s3://landing/flights_daily",
        "APP_PIPELINES__FLIGHTS_DAILY__SCHEDULE__CRON": cron,
        "APP_LATE_INPUT__REPUBLISH": "true",
    }
    command = [folder / ".venv" / "bin" / "python", "-c", ARRIVAL, ministack]
    done = subprocess.run(command, cwd=folder, env=os.environ | variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    seen, partition = json.loads(done.stdout), "flights_daily-2013-01-02"
    assert (seen["events"], seen["named"]) == (["flights_daily/2013-01-02/_SUCCESS"], [True])
    assert (seen["names"], seen["looks"]) == (([], [partition]) if cron else ([partition], []))
    runs = [{name: each[name] for name in ("pipeline", "partition")} for each in seen["runs"]]
    assert runs == ([] if cron else [{"pipeline": "flights_daily", "partition": "2013-01-02"}])


def deployed(project: Project, *names: str) -> dict[str, tuple[str, str]]:
    """Expression and time zone of each schedule that Terraform makes, with these pipelines in New York."""
    zones = {f"APP_PIPELINES__{name}__SCHEDULE__TIMEZONE".upper(): "America/New_York" for name in names}
    written = hours.deployed(project, ("machines", "ENV=prod"), "deploy/terraform/machines/prod.json", **zones)
    assert written["schedules"].keys() == written["policies"].keys() == {each["name"] for each in written["pipelines"]}
    return {name: (each["expression"], each["timezone"]) for name, each in written["schedules"].items()}


@pytest.mark.project
@pytest.mark.deep
@pytest.mark.shows("B16", "E")
@pytest.mark.shows("B16", "D")
def test_an_hourly_pipeline_comes_and_goes_beside_the_daily_one(render, tmp_path):
    rendered = render(orchestrator="step_functions", cloud="aws")
    project = hours.project_with_an_hourly_pipeline(rendered, tmp_path / "project", "step_functions")
    definition = project.folder / "workflows" / "weather.asl.json"
    both = deployed(project, "weather", "flights_daily")
    assert both["weather"] == ("cron(10 * * * ? *)", "UTC")  # which misses no hour
    assert (both["flights_daily"][1], definition.exists()) == ("America/New_York", True)
    hours.each_hour_publishes_its_own_rows(project)
    hours.remove(project)
    assert not definition.exists()
    assert deployed(project, "flights_daily") == {"flights_daily": both["flights_daily"]}


@pytest.mark.project
@pytest.mark.deep
@pytest.mark.skipif(not shutil.which("npm"), reason="install Node.js with npm")
def test_the_definitions_pass_the_linter_that_projects_use_where_it_is_installed(project, tmp_path):
    subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", tmp_path, LINTER], check=True)
    variables = os.environ | {"PATH": f"{tmp_path}/node_modules/.bin:{os.environ['PATH']}"}
    tests = "tests/integration/step_functions/test_definitions.py"
    command = [project.folder / ".venv" / "bin" / "python", "-m", "pytest", "-q", tests, "-k", "jsonata"]
    done = subprocess.run(command, cwd=project.folder, env=variables, capture_output=True, text=True, check=False)
    assert "1 passed" in done.stdout, done.stdout
