"""Packages of managed services: what they hold, that they fit the service, and what a deployment asks of it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
import tomllib
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import botocore.session
import pytest
from botocore.validate import ParamValidator
from combinations import DECIDED, MANIFESTS, VARIANTS, answers_for_variant
from packaging.requirements import Requirement
from projects import UV, python_of
from repository import ROOT, git
from servers import free_port

pytestmark = pytest.mark.deep
PACKAGED = [name for name, row in VARIANTS.items() if "package" in row["places"]]
BRINGS_AIRFLOW = [name for name in PACKAGED if VARIANTS[name]["orchestrator"] == "airflow"]
PINS = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;]+)", re.MULTILINE)


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(text: str) -> dict[str, str]:
    return {normal(name): version for name, version in PINS.findall(text)}


def committed(project: Path) -> Path:
    git("init", "--quiet", "--initial-branch=main", cwd=project)
    git("add", "--all", cwd=project)
    git("commit", "--quiet", "--message", "work", cwd=project)
    git("update-ref", "refs/remotes/origin/main", "HEAD", cwd=project)
    return project


def make_package(project: Path) -> subprocess.CompletedProcess[str]:
    command = ["make", "--no-print-directory", f"UV={UV}", "package"]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("variant", BRINGS_AIRFLOW)
def test_the_constraints_are_those_of_the_service(render, variant):
    project = render(**answers_for_variant(variant))
    settings = tomllib.loads((project / "pyproject.toml").read_text())
    given = pins("\n".join(settings["tool"]["uv"]["constraint-dependencies"]))
    fixed = (project / "deploy/package/airflow/constraints.txt").read_text().splitlines()
    fixed = [Requirement(line) for line in fixed if not line.startswith("#")]
    assert any(normal(each.name) == "apache-airflow" for each in fixed)
    for each in fixed:
        assert normal(each.name) not in given or given[normal(each.name)] in each.specifier, each
    [bound] = [Requirement(each) for each in settings["dependency-groups"]["airflow"] if "airflow" in each]
    assert VARIANTS[variant]["versions"] in bound.specifier


def test_most_of_what_the_service_has_stays_as_it_is():
    """Each other version is installed by every worker that starts."""
    folder = ROOT / "template" / "[[airflow]]"
    for version in {VARIANTS[name]["versions"] for name in BRINGS_AIRFLOW}:
        there = pins((folder / f"pins-{version}.txt").read_text())
        given = pins((folder / f"constraints-{version}.txt").read_text())
        other = {name for name, pin in given.items() if name in there and there[name] != pin}
        assert len(other) < 10, other


BRINGS_DBT = [
    name for name in PACKAGED if "image" not in VARIANTS[name]["places"] and "without_dbt" not in DECIDED[name]
]


@pytest.mark.parametrize("variant", BRINGS_DBT)
def test_a_package_brings_the_versions_of_dbt(render, tmp_path, variant):
    answers = answers_for_variant(variant) | {"pipeline_shape": "data_products"}
    project = committed(Path(shutil.copytree(render(**answers), tmp_path / "project")))
    done = make_package(project)
    assert done.returncode == 0, done.stderr
    [given] = (project / done.stdout.strip()).rglob("dbt.txt")
    assert {"dbt-core", "dbt-duckdb", "dbt-postgres"} <= pins(given.read_text()).keys()
    assert "--hash=sha256:" in given.read_text()


@pytest.fixture(params=[*BRINGS_AIRFLOW, "mwaa data_plane"])
def packaged(render, request, tmp_path) -> tuple[str, Path, Path]:
    """Variant, project and what `make package` has made. In a network without a way out, the packages come along."""
    variant, _, vpc = request.param.partition(" ")
    answers = answers_for_variant(variant) | ({"vpc": vpc} if vpc else {})
    project = committed(Path(shutil.copytree(render(**answers), tmp_path / "project")))
    done = make_package(project)
    assert done.returncode == 0, done.stderr
    return variant, project, project / done.stdout.strip()


def test_a_package_has_the_project_and_nothing_that_the_service_brings(packaged):
    variant, project, package = packaged
    assert (package / "dags" / "flights_daily.py").read_text() == (project / "dags" / "flights_daily.py").read_text()
    names = {path.relative_to(package).as_posix() for path in package.rglob("*") if path.is_file()}
    if "plugins.zip" in names:
        names |= {f"plugins/{name}" for name in zipfile.ZipFile(package / "plugins.zip").namelist()}
    assert any(name.endswith("partitions_and_deadlines.py") for name in names)
    assert any(name.endswith("config/prod.toml") for name in names)
    assert any(name.endswith((".whl", "flight_marts/commands.py")) for name in names)
    assert not [name for name in names if name.endswith((".pyc", ".duckdb", "locked.txt"))]
    requirements = (package / "requirements.txt").read_text()
    assert not {"apache-airflow", "apache-airflow-core", "pytest", "ruff"} & pins(requirements).keys()
    assert {"duckdb", "ibis-framework", "openlineage-python"} <= pins(requirements).keys()
    assert ("\n--constraint " in f"\n{requirements}") == (variant == "mwaa")


def test_a_package_that_the_service_does_not_take_is_not_made(render, tmp_path):
    project = committed(Path(shutil.copytree(render(**answers_for_variant("mwaa")), tmp_path / "project")))
    fixed = project / "deploy/package/airflow/constraints.txt"
    fixed.write_text(fixed.read_text().replace("SQLAlchemy==2.0.51", "SQLAlchemy==2.0.50"))
    done = make_package(project)
    assert done.returncode != 0
    assert "sqlalchemy==2.0.5" in done.stderr
    commit = git("rev-parse", "HEAD", cwd=project)
    assert not (project / "dist" / commit).exists(), "what a deployment takes is whole"


def test_a_project_with_models_is_refused(render, tmp_path):
    answers = answers_for_variant("mwaa") | {"pipeline_shape": "data_products"}
    project = committed(Path(shutil.copytree(render(**answers), tmp_path / "project")))
    settings = project / "config/pipelines/flights_daily.toml"
    # Airflow's service does not run the pipelines that Dagster schedules.
    for engine, is_refused in (("airflow", True), ("dagster", False)):
        settings.write_text(f'orchestrator = "{engine}" # schedules this pipeline\n')
        done = subprocess.run(
            ["sh", "deploy/package/deploy.sh", "package", "dev"],
            cwd=project,
            env=os.environ | {"ORCHESTRATOR": "airflow", "UV": "false"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode != 0
        assert ("flights_daily has models, and dbt needs an environment of its own" in done.stderr) == is_refused


# Stand-ins: they write down what they are asked, and answer as the service would, with the state in a folder of files.
AWS = r"""
case "$*" in
*get-environment*SourceBucketArn*) echo arn:aws:s3:::packages ;;
*get-environment*PluginsS3Path*) cat "$STATE/running" 2>/dev/null || echo None ;;
*get-environment*Status*) echo AVAILABLE ;;
*head-object*) [ ! -f "$STATE/missing" ] && echo version-1 ;;
*update-environment*)
  file=$(echo "$*" | sed 's|.*file://||'); cp "$file" "$STATE/update.json"
  sed -n 's|.*"PluginsS3Path": "\(.*\)",|\1|p' "$file" > "$STATE/running" ;;
*invoke-rest-api*) cp "$(echo "$*" | sed 's|.*file://||')" "$STATE/pools.json" ;;
*put-object*) echo "$*" | sed 's|.*--key ||' >> "$STATE/keys" ;;
*list-objects-v2*)
  [ ! -f "$STATE/denied" ] || exit 254
  if [ -f "$STATE/keys" ]; then tr '\n' '\t' < "$STATE/keys"; else echo None; fi ;;
esac
"""
GCLOUD = r"""
case "$*" in
*describe*dagGcsPrefix*) echo gs://packages/dags ;;
*describe*pypiPackages*) sed 's/==/===/' "$STATE/installed" 2>/dev/null | paste -s -d ';' ;;
*"environments update"*) for last; do :; done; cp "$last" "$STATE/installed" ;;
*rsync*packages/plugins) [ ! -f "$STATE/full" ] ;;
*"storage ls"*)
  [ ! -f "$STATE/denied" ] || { echo "ERROR: 403" >&2; exit 1; }
  [ -f "$STATE/keys" ] || { echo "ERROR: One or more URLs matched no objects." >&2; exit 1; }
  sed 's|^|gs://packages/|' "$STATE/keys" ;;
*"storage cp"*requirements.txt*)
  for last; do :; done
  cp "$STATE/$(echo "$*" | sed 's|.*releases/\(.*\)/requirements.txt.*|\1|')" "$last" ;;
*"storage cp"*) cat > /dev/null; echo "$*" | sed 's|.*gs://packages/||' >> "$STATE/keys" ;;
esac
"""
# Makes the package of an earlier commit again, as far as a deployment looks at it.
PACKAGER = r"""#!/bin/sh
case "$*" in
build*) for last; do :; done; touch "$last/flight_marts-0.1.0-py3-none-any.whl" ;;
*--output-file*) echo duckdb==1.5 > "$(echo "$*" | sed 's|.*--output-file ||; s| .*||')" ;;
esac
"""
ASTRO = ':\n[ ! -f Dockerfile ] || cp Dockerfile "$STATE/Dockerfile"'
# A clock on which no two deployments are at the same time.
DATE = """#!/bin/sh
echo . >> "$STATE/clock"
printf '2026-11-26T1000%02dZ\\n' $(wc -l < "$STATE/clock")
"""
RUNNER = """#!/bin/sh
echo "runner $*" >> "$STATE/log"
case "$*" in
*dagster-cloud*|*service*) ;;
*json*) echo '[{"name": "warehouse", "slots": 4}]' ;;
*) echo warehouse 4 ;;
esac
"""
DOCKER = 'case "$*" in *inspect*) echo "registry.example.com/data/flight-marts@sha256:$(printf %064d 7)" ;; esac'
PROGRAMS = {"mwaa": ("aws", AWS), "composer": ("gcloud", GCLOUD), "astronomer": ("astro", ASTRO)}
PROGRAMS |= {name: ("docker", DOCKER) for name in PACKAGED if name not in PROGRAMS}


# Who deploys, and where.
ACCESS = ("DAGSTER_CLOUD_ORGANIZATION", "DAGSTER_CLOUD_API_TOKEN", "PREFECT_API_URL", "PREFECT_API_KEY")


class Service:
    def __init__(self, variant: str, project: Path, folder: Path) -> None:
        self.variant, self.project, self.state = variant, project, folder / "state"
        tools = folder / "tools"
        for each in (tools, self.state):
            each.mkdir()
        name, body = PROGRAMS[variant]
        (tools / name).write_text(f'#!/bin/sh\necho "{name} $*" >> "$STATE/log"\n{body}')
        (tools / "runner").write_text(RUNNER)
        (tools / "packager").write_text(PACKAGER)
        (tools / "date").write_text(DATE)
        for each in tools.iterdir():
            each.chmod(0o755)
        self.environment = os.environ | {
            "PATH": f"{tools}:{os.environ['PATH']}",
            "STATE": str(self.state),
            "ORCHESTRATOR": VARIANTS[variant]["orchestrator"],
            "RUN": "runner",
            "DOCKER": "docker",
            "IMAGE_REPOSITORY": "registry.example.com/data/flight-marts",
            "REPOSITORY": "https://git.example.com/data/flight-marts.git",
            **dict.fromkeys(ACCESS, "given"),
            "REGION": "eu-central-1",
            "DEPLOYMENT": "clx",
            "YES": "1",
        }

    @property
    def commit(self) -> str:
        return git("rev-parse", "HEAD", cwd=self.project)

    def prepare(self) -> None:
        """What `make package` makes, as far as a deployment looks at it."""
        package = self.project / "dist" / self.commit
        package.mkdir(parents=True)
        for file in (self.project / "deploy").glob("*/*/*.yaml"):
            shutil.copy(file, package)
        for file in (self.project / "deploy").glob("dagster_plus/*.yaml"):
            shutil.copy(file, package)
        (self.state / self.commit).write_text(f"duckdb==1.5\nmade-of=={int(self.commit[:8], 16)}\n")

    def commit_all(self) -> None:
        git("commit", "--quiet", "--all", "--message", "changed", cwd=self.project)
        self.prepare()

    def deploy_script(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", "deploy/package/deploy.sh", *arguments],
            cwd=self.project,
            env=self.environment | variables,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    def log(self) -> str:
        return (self.state / "log").read_text() if (self.state / "log").exists() else ""


@pytest.fixture(params=PACKAGED)
def service(render, request, tmp_path) -> Service:
    project = Path(shutil.copytree(render(**answers_for_variant(request.param)), tmp_path / "project"))
    (project / ".gitignore").write_text("dist/\n")
    (project / "uv.lock").write_text('[[package]]\nname = "prefect"\nversion = "3.9.1"\n')
    origin = tmp_path / "origin"
    git("init", "--quiet", "--bare", str(origin), cwd=tmp_path)
    committed(project)
    git("remote", "add", "origin", str(origin), cwd=project)
    made = Service(request.param, project, tmp_path)
    made.prepare()
    return made


CHANGES = re.compile(
    r"update-environment|environments update|rsync|astro deploy |put-object| s3 cp |"
    r"deploy-docker|add-location|service deploy"
)


def test_a_deployment_is_planned_made_and_recorded(service):
    planned = service.deploy_script("plan", "prod")
    assert planned.returncode == 0, planned.stderr
    assert f"flight-marts-prod runs nothing yet, and would run {service.commit}" in planned.stdout
    assert not CHANGES.search(service.log())
    done = service.deploy_script("deploy", "prod")
    assert done.returncode == 0, done.stderr
    assert f"prod runs {service.commit}" in done.stdout
    assert CHANGES.search(service.log())
    recorded = service.deploy_script("deployments", "prod")
    [line] = recorded.stdout.splitlines()
    assert line.split()[1:4] == ["deployed", service.commit, "by"]
    again = service.deploy_script("plan", "prod")
    assert f"flight-marts-prod runs {service.commit}, and would run {service.commit}" in again.stdout


def test_without_agreement_nothing_is_changed(service):
    done = service.deploy_script("deploy", "staging", YES="")
    assert done.returncode != 0
    assert "nothing was changed" in done.stderr
    assert not CHANGES.search(service.log())


def test_production_takes_what_is_committed_and_tested_alone(service):
    (service.project / "README.md").write_text("half-done\n")
    assert "not committed" in service.deploy_script("deploy", "prod").stderr
    git("commit", "--quiet", "--all", "--message", "untested", cwd=service.project)
    assert "where CI has tested" in service.deploy_script("deploy", "prod").stderr
    assert "ENV=dev is a laptop" in service.deploy_script("deploy", "dev").stderr
    assert not CHANGES.search(service.log())


def test_going_back_is_one_command(service):
    first = service.commit
    assert service.deploy_script("deploy", "staging").returncode == 0
    (service.project / "README.md").write_text("changed\n")
    assert "not committed" in service.deploy_script("deploy", "staging").stderr
    service.commit_all()
    assert service.deploy_script("deploy", "staging").returncode == 0
    done = service.deploy_script("rollback", "staging", UV="packager")
    assert done.returncode == 0, done.stderr
    assert f"staging runs {first}" in done.stdout
    assert service.deploy_script("deployments", "staging").stdout.splitlines()[-1].split()[1:3] == [
        "rolled-back-to",
        first,
    ]


@pytest.mark.parametrize("service", [name for name in PACKAGED if name != "prefect_cloud_managed"], indirect=True)
def test_a_service_whose_program_is_missing_is_named(service):
    tools = Path(service.environment["PATH"].split(":")[0])
    name = PROGRAMS[service.variant][0]
    (tools / name).unlink()
    for needed in ("sh", "git", "dirname", "sed", "sort", "awk"):
        (tools / needed).symlink_to(shutil.which(needed))
    done = service.deploy_script("plan", "staging", PATH=str(tools))
    assert f"error: {name} is not installed: install it" in done.stderr


@pytest.mark.parametrize("service", ["mwaa"], indirect=True)
def test_mwaa_takes_what_is_asked_of_it(service):
    """By the shapes that botocore knows of the service."""
    assert service.deploy_script("deploy", "prod").returncode == 0
    calls = [call for call in service.log().splitlines() if call.startswith("aws ")]
    assert calls
    assert all(call.startswith("aws --region eu-central-1 ") for call in calls)
    model = botocore.session.get_session().get_service_model("mwaa")
    for file, operation in (("update", "UpdateEnvironment"), ("pools", "InvokeRestApi")):
        asked = json.loads((service.state / f"{file}.json").read_text())
        report = ParamValidator().validate(asked, model.operation_model(operation).input_shape)
        assert not report.has_errors(), report.generate_report()
    assert asked["Body"]["actions"][0]["entities"] == [{"name": "warehouse", "slots": 4}]
    asked = json.loads((service.state / "update.json").read_text())
    asked["DagsS3Path"] = asked.pop("DagS3Path")
    shape = model.operation_model("UpdateEnvironment").input_shape
    assert "DagsS3Path" in ParamValidator().validate(asked, shape).generate_report()


@pytest.mark.parametrize("service", ["mwaa"], indirect=True)
def test_going_back_to_what_was_never_deployed_is_refused(service):
    assert "there is no deployment before" in service.deploy_script("rollback", "staging").stderr
    (service.state / "missing").touch()
    done = service.deploy_script("rollback", "staging", REVISION="0" * 40)
    assert "has no release 000" in done.stderr
    assert "update-environment" not in service.log()


@pytest.mark.parametrize("service", ["composer"], indirect=True)
def test_without_a_region_one_sentence_says_so(service):
    done = service.deploy_script("plan", "prod", REGION="")
    assert done.returncode == 1
    assert done.stderr == "error: set REGION to the region of prod\n"


@pytest.mark.parametrize("service", ["composer"], indirect=True)
def test_going_back_after_a_failed_deployment_installs_the_earlier_packages(service):
    first = service.commit
    assert service.deploy_script("deploy", "staging").returncode == 0
    (service.project / "README.md").write_text("changed\n")
    service.commit_all()
    (service.state / "full").touch()
    assert service.deploy_script("deploy", "staging").returncode != 0
    (service.state / "full").unlink()
    done = service.deploy_script("rollback", "staging", REVISION=first)
    assert done.returncode == 0, done.stderr
    assert (service.state / "installed").read_text() == (service.state / first).read_text()
    updates = service.log().count("environments update")
    assert service.deploy_script("rollback", "staging", REVISION=first).returncode == 0
    assert service.log().count("environments update") == updates, "nothing else is installed"


@pytest.mark.parametrize("service", ["mwaa", "composer"], indirect=True)
def test_records_that_cannot_be_read_are_not_none(service):
    assert service.deploy_script("deployments", "staging").stdout == ""
    (service.state / "denied").touch()
    for command in ("deployments", "rollback"):
        done = service.deploy_script(command, "staging")
        assert done.returncode != 0
        assert "cannot be read" in done.stderr


def test_every_packaged_variant_has_a_stand_in():
    assert set(PACKAGED) == set(PROGRAMS)
    assert {VARIANTS[name]["orchestrator"] for name in PACKAGED} <= set(MANIFESTS)


# As the scheduler sees a DAG: with what plugins register, and written into the database.
LOADS = """
import json, os
from airflow.dag_processing.dagbag import DagBag
from airflow.serialization.serialized_objects import DagSerialization

bag = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
written = {name: DagSerialization.to_dict(dag) for name, dag in bag.dags.items()}
import flight_marts
from airflow import __version__
from flight_marts.platform import config
from airflow.configuration import conf, ensure_secrets_loaded
print(json.dumps([__version__, bag.import_errors, sorted(written), flight_marts.__file__, str(config.load().root),
    [type(each).__name__ for each in ensure_secrets_loaded()]]))
"""


@pytest.mark.project
def test_airflow_of_the_service_loads_the_dags_of_a_package(packaged, tmp_path):
    """The package where the service puts it, beside the version of Airflow that the service has."""
    variant, _, package = packaged
    if not (python := python_of("3.12")):
        pytest.skip("the services run Python 3.12, and there is none here: install it, or with pyenv")
    home = tmp_path / "home"
    shutil.copytree(package, home)
    requirements = (home / "requirements.txt").read_text()
    root = home / "include" if variant == "astronomer" else home / "plugins"
    if variant == "mwaa":
        zipfile.ZipFile(home / "plugins.zip").extractall(root)
        requirements = requirements.replace("/usr/local/airflow/", f"{home}/")
    (home / "requirements.txt").write_text(requirements)
    fixed = package.parents[1] / "deploy" / "package" / "airflow" / "constraints.txt"
    installer = [UV, "pip", "install", "--quiet", "--python", str(tmp_path / "venv")]
    commands = [
        [UV, "venv", "--quiet", "--python", python, str(tmp_path / "venv")],
        [*installer, "apache-airflow", "--constraints", str(fixed)],
        [*installer, "--constraints", str(fixed), "--requirements", str(home / "requirements.txt")],
    ]
    if variant == "astronomer":
        commands.append([*installer, "--no-deps", *map(str, (home / "include").glob("*.whl"))])
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    environment = {
        "PATH": os.environ["PATH"],
        "APP_ENV": "prod",
        "APP_ROOT": str(root),
        "APP_PATHS__STATE": str(tmp_path / "state"),
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(home / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    }
    if variant != "composer":
        backend = "flight_marts.orchestration.airflow.secrets.ProjectSecrets"
        environment["AIRFLOW__SECRETS__BACKEND"] = backend
    done = subprocess.run(
        [tmp_path / "venv" / "bin" / "python", "-c", LOADS],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    version, errors, dags, module, project_root, backends = json.loads(done.stdout.splitlines()[-1])
    assert (
        version in Requirement(f"airflow{fixed.read_text().splitlines()[1].removeprefix('apache-airflow')}").specifier
    )
    assert errors == {}
    assert "flights_daily" in dags
    assert Path(module).is_relative_to(home / "plugins" if variant == "composer" else tmp_path / "venv")
    assert project_root == str(root)
    assert ("ProjectSecrets" in backends) == (variant != "composer"), "Composer has its own"


TAKES_IMAGE = [name for name in PACKAGED if "image" in VARIANTS[name]["places"]]
ASKED = {
    "dagster_plus_serverless": "dagster-cloud serverless deploy-docker dist/{commit} --location-name flight-marts",
    "prefect_cloud_managed": "-m flight_marts.orchestration.prefect.service deploy",
}


@pytest.mark.parametrize("service", [name for name in PACKAGED if name not in BRINGS_AIRFLOW], indirect=True)
def test_what_a_control_plane_is_asked(service):
    """A commit without an image is not deployed, and neither is anything without access."""
    assert service.deploy_script("deploy", "prod").returncode == 0
    says = ASKED.get(service.variant, "add-location flight-marts" if "dagster" in service.variant else "service deploy")
    assert says.format(commit=service.commit) in service.log()
    for name in ACCESS:
        if name.partition("_")[0].lower() == service.environment["ORCHESTRATOR"]:
            assert f"error: set {name} to" in service.deploy_script("plan", "prod", **{name: ""}).stderr
    (service.project.parent / "tools" / "docker").write_text("#!/bin/sh\nexit 1\n")
    done = service.deploy_script("deploy", "staging")
    assert ("has no image of commit" in done.stderr) == (service.variant in TAKES_IMAGE)


class Receiver(BaseHTTPRequestHandler):
    """Answers as Dagster+ does to its program, and keeps what it was asked."""

    asked: ClassVar[list[tuple[str, dict]]] = []
    answers: ClassVar[dict] = {
        "agents": [{"status": "RUNNING", "id": "1", "errors": []}],
        "deploymentSettings": {"settings": {}},
        "setDeploymentSettings": {"__typename": "DeploymentSettings", "settings": {}},
        "addOrUpdateLocationFromDocument": {"__typename": "WorkspaceEntry", "locationName": "flight-marts"},
        "workspaceOrError": {
            "__typename": "Workspace",
            "locationEntries": [
                {"id": "1", "name": "flight-marts", "loadStatus": "LOADED", "locationOrLoadError": {"__typename": "R"}}
            ],
        },
    }

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append((self.path, asked))
        body = json.dumps({"data": self.answers}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize("service", ["dagster_plus_hybrid"], indirect=True)
def test_dagster_plus_takes_the_code_location_from_its_own_program(service):
    """Against a receiver on this machine: the location has the image, the commit and the environment."""
    Receiver.asked.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        done = service.deploy_script(
            "deploy",
            "staging",
            RUN=f"{UV} run --quiet --no-project --with dagster-cloud-cli>=1.13.27,<1.14",
            DAGSTER_CLOUD_URL=f"http://127.0.0.1:{server.server_port}/staging",
        )
        server.shutdown()
    assert done.returncode == 0, done.stdout + done.stderr
    sent = [asked["variables"] for _, asked in Receiver.asked if asked.get("variables")]
    [location] = [each["document"] for each in sent if "document" in each]
    assert location["location_name"] == "flight-marts"
    assert location["image"].endswith(f"@sha256:{7:064d}")
    assert location["git"] == {"commit_hash": service.commit}
    assert "APP_ENV=staging" in location["container_context"]["docker"]["env_vars"]
    assert any("deploymentSettings" in each for each in sent)


def test_what_dagster_plus_does_not_know_is_refused(render, tmp_path):
    answers = answers_for_variant("dagster_plus_hybrid")
    project = committed(Path(shutil.copytree(render(**answers), tmp_path / "project")))
    done = make_package(project)
    assert done.returncode == 0, done.stderr
    file = project / "deploy/package/dagster/dagster_cloud.yaml"
    file.write_text(file.read_text().replace("location_name:", "location:"))
    done = make_package(project)
    assert done.returncode != 0
    assert "location_name" in done.stdout + done.stderr


PINNED = pins((ROOT / "template" / "[[dagster]]" / "constraints.txt").read_text())["dagster"]
AGENT = """
import sys, yaml
from dagster import DagsterInstance
from dagster_aws.ecs.container_context import EcsContainerContext
from dagster_docker.container_context import DockerContainerContext
instance = DagsterInstance.from_config(sys.argv[1])
[location] = yaml.safe_load(open(sys.argv[2]))["locations"]
known = DockerContainerContext if sys.argv[3] == "docker" else EcsContainerContext
context = known.create_from_config(location["container_context"])
print(type(instance.user_code_launcher).__name__, *instance.deployment_names)
print(type(instance.compute_log_manager).__name__, context.env_vars[0])
"""


@pytest.mark.project
@pytest.mark.parametrize(("variant", "kind"), [("dagster_plus_hybrid", "docker"), ("dagster_plus_ecs", "ecs")])
@pytest.mark.parametrize(("vpc", "logs"), [("open", "CloudComputeLogManager"), ("data_plane", "NoOpComputeLogManager")])
def test_dagster_plus_takes_the_settings_of_agents(render, variant, kind, vpc, logs):
    package = render(**answers_for_variant(variant), vpc=vpc) / "deploy/package/dagster"
    names = re.findall(r"env: (\w+)", (package / "agent/dagster.yaml").read_text())
    command = ["python", "-W", "ignore", "-c", AGENT, str(package / "agent"), str(package / "dagster_cloud.yaml"), kind]
    done = subprocess.run(
        [UV, "run", "--quiet", "--no-project", "--with", f"dagster-cloud[docker,ecs]=={PINNED}", *command],
        env=os.environ
        | dict.fromkeys(names, "given")
        | {"AWS_DEFAULT_REGION": "eu-central-1", "DAGSTER_CLOUD_AGENT_TOKEN": "agent:example:x"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [f"{kind.capitalize()}UserCodeLauncher", "given", logs, "APP_ENV=@ENV@"]


# As a code server of Dagster+ Serverless does. An instance of Dagster+ takes neither of what the two sensors do.
DEFINITIONS = """
import dagster as dg
from dagster_cloud.instance import DagsterCloudAgentInstance
from flight_marts.definitions import defs
from flight_marts.orchestration.dagster import history, incidents
instance = object.__new__(DagsterCloudAgentInstance)
for sensor in (history.remove_old_history, incidents.report_stale_tables):
    assert "Dagster+" in sensor(dg.build_sensor_context(instance=instance)).skip_message, sensor
print(*sorted(job.name for job in defs().get_repository_def().get_all_jobs()))
"""


@pytest.mark.project
@pytest.mark.parametrize("shape", ["batch_etl", "data_products"])
def test_the_image_of_dagster_plus_serverless_loads_the_definitions(render, tmp_path, shape):
    """Installed as the Dockerfile of Dagster+'s program does it, from the package's folder; dbt by the last script."""
    answers = answers_for_variant("dagster_plus_serverless") | {"pipeline_shape": shape}
    project = committed(Path(shutil.copytree(render(**answers), tmp_path / "project")))
    done = make_package(project)
    assert done.returncode == 0, done.stderr
    home = Path(shutil.copytree(project / done.stdout.strip(), tmp_path / "app"))
    for command in (
        [UV, "venv", "--quiet", "--python", python_of("3.11") or sys.executable, str(tmp_path / "venv")],
        [UV, "pip", "install", "--quiet", "--python", str(tmp_path / "venv"), "--requirements", "requirements.txt"],
    ):
        done = subprocess.run(command, cwd=home, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "venv/bin/dagster-cloud").exists(), "the Dockerfile asks for it"
    after = home / "dagster_cloud_post_install.sh"
    assert after.exists() == (shape == "data_products"), "only pipelines with models need dbt"
    if after.exists():
        interpreter = Path(python_of("3.11") or sys.executable).parent
        path = {"PATH": f"{interpreter}:{os.environ['PATH']}"}
        done = subprocess.run(
            ["./dagster_cloud_post_install.sh"],
            cwd=home,
            env=os.environ | path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    environment = {"APP_ENV": "prod", "APP_ROOT": str(home), "APP_PATHS__STATE": str(tmp_path / "state")}
    # dbt's profile asks for the password; nothing connects.
    environment |= {"APP_SECRETS__BACKEND": "environment", "APP_SECRET_PROD_WAREHOUSE_PASSWORD": "example"}
    done = subprocess.run(
        [tmp_path / "venv/bin/python", "-W", "ignore", "-c", DEFINITIONS],
        env={"PATH": os.environ["PATH"], **environment},
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "flights_daily" in done.stdout.split()


@contextlib.contextmanager
def prefect_server(python: Path, home: Path) -> Iterator[str]:
    """The address of a server of Prefect on this machine, which stands for the workspace."""
    port = free_port()
    command = [python, "-m", "uvicorn", "--factory", "prefect.server.api.server:create_app", "--port", str(port)]
    settings = {"PREFECT_HOME": str(home), "PREFECT_UI_ENABLED": "0", "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
    with (home.parent / "server.log").open("w") as log:
        server = subprocess.Popen([*command, "--log-level", "error"], env=os.environ | settings, stdout=log, stderr=log)
    try:
        for _ in range(3000):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            assert server.poll() is None, (home.parent / "server.log").read_text()
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/api"
    finally:
        server.terminate()
        server.wait()


ECS = ROOT / "template/[[prefect]]/[[prefect_cloud]]/deploy/package/prefect/prefect.yaml.jinja"
DEPLOYED = """
import json
from prefect.client.orchestration import get_client
with get_client(sync_client=True) as client:
    known = {each.name: each for each in client.read_deployments()}
    [pool] = client.read_work_pools()
    print(json.dumps([pool.type, sorted(known), known["prod"].job_variables, known["prod"].pull_steps]))
"""


@pytest.mark.project
def test_prefect_takes_what_the_packages_say(render, tmp_path):
    """Pools for Docker and ECS by their templates; of a managed pool its steps: clone, install, publish."""
    project = Path(shutil.copytree(render(**answers_for_variant("prefect_cloud_managed")), tmp_path / "project"))
    for command in ([UV, "lock", "--quiet"], [UV, "sync", "--quiet", "--group", "prefect"]):
        subprocess.run(command, cwd=project, check=True)
    (project / ".gitignore").write_text(".venv/\ndist/\n")
    committed(project)
    git("config", "uploadpack.allowAnySHA1InWant", "true", cwd=project)
    commit, python = git("rev-parse", "HEAD", cwd=project), project / ".venv/bin/python"
    there = tmp_path / "there"
    locked = tomllib.loads((project / "uv.lock").read_text())["package"]
    versions = {each["name"]: each["version"] for each in locked if "version" in each}
    needed = [f"prefect=={versions['prefect']}", f"certifi=={versions['certifi']}", "uv==0.13.9"]
    subprocess.run([UV, "venv", "--quiet", "--seed", "--python", python, there], check=True)
    subprocess.run([UV, "pip", "install", "--quiet", "--python", there, *needed], check=True)
    with prefect_server(python, tmp_path / "server") as url:
        environment = os.environ | {
            "PREFECT_API_URL": url,
            "PREFECT_HOME": str(tmp_path / "home"),
            "DO_NOT_TRACK": "1",
            "APP_ROOT": str(project),
            "APP_ENV": "prod",
            "REPOSITORY": f"file://{project}",
            "COMMIT": commit,
            "RUN_IMAGE": "registry.example.com/flight-marts@sha256:7",
            "PREFECT_VERSION": versions["prefect"],
            **{f"AGENT_{name}": name for name in re.findall(r"AGENT_(\w+)", ECS.read_text())},
        }

        def call(*arguments: str, **variables: str) -> str:
            done = subprocess.run(
                [python, *arguments],
                env=environment | variables,
                cwd=project,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stdout + done.stderr
            return done.stdout

        for variant, kind in (("prefect_cloud_workers", "docker"), ("prefect_cloud_ecs", "ecs")):
            package = render(**answers_for_variant(variant)) / "deploy/package/prefect/prefect.yaml"
            deploy = ("-m", "flight_marts.orchestration.prefect.service", "deploy")
            call(*deploy, WORK_POOL_TYPE=kind, PREFECT_PACKAGE=str(package))
            pool, names, variables, steps = json.loads(call("-c", DEPLOYED))
            assert (pool, names) == (kind, ["operations-prod", "prod"])
            assert variables["image"].endswith("@sha256:7")
            assert variables["env"]["APP_ENV"] == "prod"
            assert [*steps[0].values()] == [{"directory": "/app"}]
            call("-m", "prefect", "--no-prompt", "work-pool", "delete", "flight-marts")
        # What the service installs before a run is here already.
        steps = (project / "deploy/package/prefect/prefect.yaml").read_text().replace("pip_packages", "labels: {} #")
        (tmp_path / "prefect.yaml").write_text(steps.replace("{{ $APP_ENV }}", "dev"))
        call("-c", "from prefect.blocks.system import Secret; Secret(value='-').save('flight-marts-repository')")
        call(*deploy, WORK_POOL_TYPE="process", PREFECT_PACKAGE=str(tmp_path / "prefect.yaml"))
        call("-m", "prefect", "deployment", "run", "flights_daily/prod", "--param", "partition=2013-01-02")
        worker = subprocess.run(
            [there / "bin/prefect", "worker", "start", "--pool", "flight-marts", "--type", "process", "--run-once"],
            env={**environment, "APP_ROOT": "", "PATH": f"{there / 'bin'}:{os.environ['PATH']}"},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
    assert '"fact_flights": 943' in worker.stdout + worker.stderr, worker.stdout + worker.stderr
