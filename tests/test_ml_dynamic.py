"""The shape ml_dynamic: where it is rendered, and that all orchestrators publish the same rows of the same models."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import boto3
import duckdb
import pytest
import yaml
from botocore.stub import Stubber
from combinations import MANIFESTS
from projects import RUN_SECONDS, SET_UP_SECONDS, TEST_SECONDS, UV, Project

PLATFORM = "src/[[package_name]]/platform"
FILES = {
    "airflow": "dags/{}.py",
    "dagster": "src/flight_marts/defs/{}.py",
    "prefect": "flows/{}.py",
    "temporal": "workflows/{}.py",
}
SHAPE = {"pipeline_shape": "ml_dynamic", "accept_exclusion": "yes"}
NAME = "airport_delays"
TABLES = (NAME, f"{NAME}_models")
# Airport: verdict, auc and average precision of its model in January 2013.
JANUARY = {
    "EWR": ("promoted", 0.633883, 0.492536),
    "JFK": ("promoted", 0.641348, 0.415953),
    "LGA": ("rejected", 0.517882, 0.286744),
}


@pytest.mark.parametrize("engine", FILES)
def test_the_shape_that_is_answered_is_rendered(render, engine):
    folder = render(orchestrator=engine, **SHAPE)
    assert yaml.safe_load((folder / ".copier-answers.yml").read_text())["sample_shape"] == "ml_dynamic"
    assert (folder / FILES[engine].format(NAME)).is_file()
    assert not (folder / "src/flight_marts/pipelines/flights_daily").exists()
    project = (folder / "pyproject.toml").read_text()
    needed = MANIFESTS[engine]["shape_dependencies"]["ml_dynamic"]
    assert all(f'"{requirement}"' in project.split("[build-system]")[0] for requirement in needed)
    assert '"mlflow-skinny==3.' in project, "the constraints hold it"
    assert "no sample pipeline of this shape" not in (folder / "docs/adr/0001-orchestrator.md").read_text()
    assert "libgomp1" in (folder / "Dockerfile").read_text() if (folder / "Dockerfile").exists() else True
    for table in TABLES:
        assert f"`{table}`" in (folder / "README.md").read_text()


def test_other_projects_install_nothing_of_it(render):
    project = (render(orchestrator="prefect") / "pyproject.toml").read_text()
    group = re.search(r"^prefect = \[(.*?)^\]", project, re.DOTALL | re.MULTILINE).group(1)
    assert "mlflow" not in group


def test_mlflow_sends_no_usage_and_has_a_floor(template):
    registry = (template / "template/[[shared]]/[[with_ml_dynamic]]" / PLATFORM / "registry.py").read_text()
    assert '"MLFLOW_DISABLE_TELEMETRY": "true"' in registry
    for manifest in (MANIFESTS[engine] for engine in FILES):
        assert any(each.startswith("mlflow-skinny>=3") for each in manifest["shape_dependencies"]["ml_dynamic"])


@pytest.mark.parametrize("engine", [pytest.param(e, marks=() if e == "prefect" else pytest.mark.deep) for e in FILES])
def test_one_is_added_to_a_project_of_another_shape(render, engine, tmp_path):
    folder = shutil.copytree(render(orchestrator=engine, accept_exclusion="yes"), tmp_path / "project")
    command = [sys.executable, "scripts/pipeline.py", "--name", "late", "--shape", "ml_dynamic"]
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, "UV": UV}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (folder / FILES[engine].format("late")).is_file()
    assert "airport_delays" not in "".join(path.read_text() for path in folder.rglob("late*.*"))
    for month in ("2013-01", "2013-02"):
        source = Path(__file__).parents[1] / "template/[[shared]]/[[ml_dynamic]]/data/landing/[[pipeline_name]]" / month
        for file in source.iterdir():
            assert (folder / "data/landing/late" / month / file.name).read_text() == file.read_text()
    for requirement in MANIFESTS[engine]["shape_dependencies"]["ml_dynamic"]:
        assert f'"{requirement}"' in (folder / "pyproject.toml").read_text()


PAGE = Path(__file__).parents[1] / "docs" / "models.md"
# What the runner of a training is started with, as platform/elsewhere.py writes it.
ARGUMENTS = ["airport_delays", "train", "--partition", "2013-01", "--item", "EWR", "--run-id", "r1"]
ARGUMENTS += ["--attempt", "1", "--engine", "airflow", "--here"]
NAMES = {"name": "airport-delays-2013-01-EWR-1", "image": "registry.example.com/name@sha256:0", "seconds": 1800}
NAMES |= {"package": "flight_marts", "arguments": ARGUMENTS}


def call_of(service: str) -> str:
    """The call that the page shows for this service."""
    [call] = [each for each in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL) if service in each]
    return call


def test_the_arguments_of_a_training_elsewhere_are_those_of_the_command():
    shared = Path(__file__).parents[1] / "template/[[shared]]"
    commands = (shared / "src/[[package_name]]/commands.py.jinja").read_text()
    module = (shared / "[[with_ml_dynamic]]" / PLATFORM / "elsewhere.py").read_text()
    for option in (each for each in ARGUMENTS if each.startswith("--")):
        assert f'"{option}"' in module
        assert f"{option[2:].replace('-', '_')}: Annotated" in commands.split("def step(")[1].split("->")[0]


@pytest.mark.deep
def test_sagemaker_takes_the_arguments_that_the_page_shows(monkeypatch):
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    keys = {"aws_access_key_id": "none", "aws_secret_access_key": "none"}
    client = boto3.client("sagemaker", region_name="eu-central-1", **keys)
    names = {**NAMES, "group": "sg-1", "subnet": "subnet-1", "role": "arn:aws:iam::123456789012:role/training"}
    started = []
    with Stubber(client) as answers:  # which checks what it is given against the service's description
        answers.add_response("create_training_job", {"TrainingJobArn": "arn:aws:sagemaker:training-job/one"})
        job = {"TrainingJobName": "one", "TrainingJobArn": "arn:aws:sagemaker:training-job/one", "ModelArtifacts": {}}
        job |= {"TrainingJobStatus": "Completed", "SecondaryStatus": "Completed", "CreationTime": datetime.now(UTC)}
        job["ModelArtifacts"] = {"S3ModelArtifacts": "s3://bucket/training"}
        job |= {"AlgorithmSpecification": {"TrainingInputMode": "File"}, "StoppingCondition": {}, "ResourceConfig": {}}
        job["ResourceConfig"] = {"VolumeSizeInGB": 10}
        answers.add_response("describe_training_job", job)
        client.meta.events.register("provide-client-params.sagemaker.*", lambda params, **_: started.append(params))
        exec(call_of("sagemaker"), {"sagemaker": client, **names})  # noqa: S102  our own page
    words = started[0]["AlgorithmSpecification"]
    given = [*words["ContainerEntrypoint"], *words["ContainerArguments"]]
    assert given == ["python", "-m", "flight_marts", "step", *ARGUMENTS]


VERTEX = """
import json, sys
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform, aiplatform_v1
from google.cloud.aiplatform_v1.services.job_service import JobServiceClient

names, started = json.loads(sys.argv[2]), []

def create(self, *, parent, custom_job, **options):
    started.append(aiplatform_v1.CustomJob.to_dict(custom_job))  # refuses what the service's description lacks
    return aiplatform_v1.CustomJob(name=f"{parent}/customJobs/1", state="JOB_STATE_SUCCEEDED")

JobServiceClient.create_custom_job = create
JobServiceClient.get_custom_job = lambda self, **_: aiplatform_v1.CustomJob(name="1", state="JOB_STATE_SUCCEEDED")
aiplatform.init(credentials=AnonymousCredentials())
exec(sys.argv[1], {"aiplatform": aiplatform, **names})
print(json.dumps(started))
"""


@pytest.mark.deep
def test_vertex_ai_takes_the_arguments_that_the_page_shows(tmp_path):
    """In an environment of its own, as its client does not go with the others."""
    python = tmp_path / "vertex" / "bin" / "python"
    for command in (["venv", "--quiet", python.parents[1]], ["pip", "install", "--quiet", "--python", python]):
        packages = ["google-cloud-aiplatform>=2.7,<3"] if command[0] == "pip" else []
        subprocess.run([UV, *command, *packages], check=True)
    names = {**NAMES, "project": "a-project", "location": "europe-west1", "bucket": "gs://bucket/training"}
    names |= {"account": "training@a-project.iam.gserviceaccount.com", "network": "projects/1/global/networks/one"}
    for call, works in ((call_of("aiplatform"), True), (call_of("aiplatform").replace("image_uri", "image"), False)):
        command = [python, "-c", VERTEX, call, json.dumps(names)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode == 0) == works, done.stderr
        if works:
            [job] = json.loads(done.stdout.splitlines()[-1])
            [pool] = job["job_spec"]["worker_pool_specs"]
            container = pool["container_spec"]
            assert [*container["command"], *container["args"]] == ["python", "-m", "flight_marts", "step", *ARGUMENTS]
            assert job["job_spec"]["scheduling"]["disable_retries"]


KUBECTL = """#!/bin/sh
# A cluster of one job: it keeps what is applied, and its pod prints a line and ends with the code in the file `code`.
here=$(dirname "$0")
echo "$*" >>"$here/calls"
case $1 in
apply) cat >"$here/job.yml" ;;
logs) echo "a line of the pod" ;;
get) case $* in *exitCode*) cat "$here/code" ;; *startedAt*) echo 2013-01-01 ;; esac ;;
esac
"""


AWKWARD = 'New York\'s "East" | West & \\1 $(HOME) $$ `id` é 🛫, "@IMAGE@"\ttab\nend'  # an item is what the data says


@pytest.mark.parametrize(("code", "shown"), [("0", 0), ("65", 65), ("", 75)])
def test_the_script_of_kubernetes_starts_a_job_and_ends_as_its_pod(render, tmp_path, code, shown):
    project = render(orchestrator="prefect", hosting="self_host", hosting_variant="prefect_kubernetes", **SHAPE)
    stand_in = tmp_path / "kubectl"
    stand_in.write_text(KUBECTL)
    stand_in.chmod(0o755)
    (tmp_path / "code").write_text(code)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "IMAGE": NAMES["image"], "APP_ENV": "prod"}
    environment["STEP_SECONDS"] = "1800"
    words = [word if word != "EWR" else AWKWARD for word in ARGUMENTS]
    command = ["sh", project / "deploy/kubernetes/step.sh", *words]
    fast = tmp_path / "sleep"
    fast.write_text("#!/bin/sh\n")
    fast.chmod(0o755)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (shown, "a line of the pod\n"), done.stderr
    job = yaml.safe_load((tmp_path / "job.yml").read_text())
    [container] = job["spec"]["template"]["spec"]["containers"]
    given = [
        re.sub(r"\$(\$|\(.*?\))", lambda match: match[1][0], word) for word in container["args"]
    ]  # as Kubernetes does
    assert [*container["command"], *given] == ["python", "-m", "flight_marts", "step", *words]
    assert job["metadata"]["annotations"] == {"item": AWKWARD}
    assert (container["image"], job["spec"]["activeDeadlineSeconds"]) == (NAMES["image"], 1800)
    assert {"name": "APP_ENV", "value": "prod"} in container["env"]
    assert re.fullmatch(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", job["metadata"]["name"])
    assert (tmp_path / "calls").read_text().splitlines()[-1].startswith(f"delete job {job['metadata']['name']}")


@pytest.fixture(scope="module", params=FILES)
def project(request, render, tmp_path_factory) -> Project:
    """A project of this shape on each orchestrator, installed; a copy, as the rendered one is shared."""
    rendered = render(orchestrator=request.param, **SHAPE)
    folder = shutil.copytree(rendered, tmp_path_factory.mktemp("installed") / "project")
    made = Project(Path(folder), (request.param,))
    done = made.make("setup", timeout=SET_UP_SECONDS)
    assert done.returncode == 0, done.stderr
    return made


def published(project: Project) -> dict[str, list[tuple]]:
    with duckdb.connect(project.folder / "var" / "dev" / "warehouse.duckdb", read_only=True) as con:
        return {name: con.execute(f"SELECT * FROM {name} ORDER BY ALL").fetchall() for name in TABLES}


_published: dict[str, dict[str, list[tuple]]] = {}


@pytest.mark.project
@pytest.mark.deep
def test_each_orchestrator_publishes_the_same_rows_and_all_or_nothing(project):
    # The second month fails for its drift, for the registry, and for one airport; the first one stands meanwhile.
    done = project.make("run", "DATE=2013-01", timeout=2 * RUN_SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr
    january = published(project)
    models = {row[1]: (row[2], row[8], row[9]) for row in january[f"{NAME}_models"]}
    assert models == JANUARY
    assert {row[1] for row in january[NAME]} == {"EWR", "JFK"}

    fast = {"APP_RETRIES__ATTEMPTS": "0"}
    limit = {f"APP_PIPELINES__{NAME.upper()}__MODEL__MAX_DRIFT": "0.1", **fast}
    done = project.make("run", "DATE=2013-02", timeout=2 * RUN_SECONDS, **limit)
    assert done.returncode != 0
    assert "EWR: dest has drifted by 0.16 since 2013-01 (at most 0.1 allowed)" in done.stderr, done.stderr
    assert published(project) == january

    down = {f"APP_PIPELINES__{NAME.upper()}__MODEL__REGISTRY_URL": "http://127.0.0.1:9", **fast}
    down["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"
    done = project.make("run", "DATE=2013-02", timeout=2 * RUN_SECONDS, **down)
    assert done.returncode != 0
    assert "the model registry at http://127.0.0.1:9 does not answer" in done.stderr, done.stderr
    assert published(project) == january

    file = project.folder / "data" / "landing" / NAME / "2013-02" / "flights.csv"
    good = file.read_text()
    never_late = re.sub(r"^(.*,LGA,.*),[^,\n]+$", r"\1,0", good, flags=re.MULTILINE)
    file.write_text(never_late)
    done = project.make("run", "DATE=2013-02", timeout=2 * RUN_SECONDS, **fast)
    file.write_text(good)
    assert done.returncode != 0
    assert "LGA: in all" in done.stderr, done.stderr
    assert "a model needs both classes" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert "EWR: auc" in done.stdout, "the others are trained all the same"
    assert published(project) == january

    done = project.make("backfill", "FROM=2013-01", "TO=2013-02", "ONLY_MISSING=1", timeout=3 * RUN_SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "trained already" in done.stdout, "what did not change since the failed run"
    _published[project.orchestrators[0]] = published(project)
    first = next(iter(_published.values()))
    assert published(project) == first


@pytest.mark.project
@pytest.mark.deep
def test_training_elsewhere_publishes_the_same(project):
    """In a process of its own, as a container does it."""
    done = project.make("run", "DATE=2013-01", timeout=2 * RUN_SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr
    before = published(project)
    shutil.rmtree(project.folder / "var" / "dev")
    key = f"APP_PIPELINES__{NAME.upper()}__MODEL__RUNNER"
    for runner in ("/no/such/command", "python 'open"):
        gone = project.make("run", "DATE=2013-01", timeout=RUN_SECONDS, **{key: runner})
        assert "runner under [model] of airport_delays cannot be started" in gone.stderr, gone.stderr
    there = {key: ".venv/bin/python -m flight_marts step", "APP_RETRIES__ATTEMPTS": "0"}
    done = project.make("run", "DATE=2013-01", timeout=4 * RUN_SECONDS, **there)
    assert done.returncode == 0, done.stdout + done.stderr
    january = {name: [row for row in rows if str(row[0]).startswith("2013-01")] for name, rows in before.items()}
    assert published(project) == january


@pytest.mark.project
@pytest.mark.deep
def test_its_own_tests_and_checks_pass(project):
    project.check_itself(3 * TEST_SECONDS)
