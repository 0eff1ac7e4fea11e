"""Pipelines in an installed project: added from a file, run, listed, backfilled and removed, ten side by side."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import boto3
import duckdb
import pytest
from combinations import ORCHESTRATORS, QUICK, answers_for
from conformance import flights
from moto.server import ThreadedMotoServer
from projects import RUN_SECONDS, SET_UP_SECONDS, STOP_SECONDS, TEST_SECONDS, Project
from repository import git
from servers import free_port

pytestmark = pytest.mark.project
HOUR = "2013-01-01T08Z"


@pytest.fixture(
    scope="module",
    params=[QUICK, *(pytest.param(name, marks=pytest.mark.deep) for name in ORCHESTRATORS if name != QUICK)],
)
def project(request, render, tmp_path_factory) -> Project:
    """A project under version control, installed."""
    folder = shutil.copytree(render(**answers_for((request.param,))), tmp_path_factory.mktemp("pipelines") / "project")
    made = Project(Path(folder), (request.param,))
    done = made.make("setup", timeout=SET_UP_SECONDS)
    assert done.returncode == 0, done.stderr
    git("init", "--quiet", cwd=folder)
    git("add", "--all", cwd=folder)
    git("commit", "--quiet", "--message", "project", cwd=folder)
    return made


def add(project: Project, name: str, grain: str) -> None:
    done = project.make(
        *("pipeline", f"NAME={name}", f"SAMPLE={flights.weather()}", f"GRAIN={grain}"), timeout=SET_UP_SECONDS
    )
    assert done.returncode == 0, done.stdout + done.stderr


def published(project: Project, table: str) -> int:
    with duckdb.connect(project.folder / "var" / "dev" / "warehouse.duckdb", read_only=True) as con:
        return con.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0]


def git_grep(*arguments: str, cwd: Path) -> list[str]:
    """Files that hold a text, whether they are committed or not."""
    command = ["git", "grep", "--untracked", "-l", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False).stdout.splitlines()


def status(project: Project) -> str:
    return git("status", "--porcelain", "--untracked-files=all", cwd=project.folder)


def test_one_is_added_run_tested_and_removed_without_a_trace(project):
    before = status(project)
    add(project, "weather", "hour")
    done = project.make("run", "PIPELINE=weather", f"DATE={HOUR}", timeout=RUN_SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr
    assert published(project, "fact_weather") == 3
    listed = project.make("pipelines", timeout=RUN_SECONDS).stdout
    assert HOUR in listed
    which = project.make("run", timeout=RUN_SECONDS)
    assert "error: say which pipeline with PIPELINE=NAME; there are flights_daily, weather" in which.stderr
    wrong = project.make("run", "PIPELINE=wether", timeout=RUN_SECONDS)
    assert "error: there is no pipeline wether: did you mean weather?" in wrong.stderr
    done = project.make("lint", timeout=TEST_SECONDS)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    done = project.make("pipeline-remove", "NAME=weather", timeout=RUN_SECONDS)
    assert done.returncode == 0, done.stderr
    assert "these tables stay in var/dev/warehouse.duckdb: fact_weather" in done.stdout
    assert status(project) == before
    assert "weather" not in project.make("pipelines", timeout=RUN_SECONDS).stdout
    assert published(project, "fact_weather") == 3


@pytest.mark.deep
def test_ten_of_two_grains_come_up_are_listed_and_backfilled(project):
    names = [f"station_{number}" for number in range(9)]
    for number, name in enumerate(names):
        add(project, name, "hour" if number % 2 else "day")
    engine = project.orchestrators[0]
    port = f"{engine.upper()}_PORT={free_port()}"
    up = project.make("up", port, timeout=RUN_SECONDS + STOP_SECONDS)
    try:
        assert up.returncode == 0, up.stdout + up.stderr
        assert "warning" not in up.stderr
        span = ("FROM=2013-01-01T07Z", "TO=2013-01-01T09Z")
        done = project.make("backfill", "PIPELINE=station_1", *span, port, timeout=4 * RUN_SECONDS)
        assert done.returncode == 0, done.stdout + done.stderr
    finally:
        down = project.make("down", port, timeout=STOP_SECONDS)
    assert down.returncode == 0, down.stdout + down.stderr
    assert published(project, "fact_station_1") == 9
    listed = project.make("pipelines", timeout=RUN_SECONDS).stdout
    assert all(name in listed for name in ("flights_daily", *names))
    for name in names:
        assert project.make("pipeline-remove", f"NAME={name}", timeout=RUN_SECONDS).returncode == 0


@pytest.mark.deep
def test_without_the_sample_everything_still_works(project):
    """As a team does on its first day: the sample goes, its own pipeline comes."""
    add(project, "weather", "day")
    done = project.make("pipeline-remove", "NAME=flights_daily", timeout=RUN_SECONDS)
    assert done.returncode == 0, done.stderr
    try:
        for command in ("run", "lint", "test"):
            done = project.make(command, timeout=TEST_SECONDS)
            assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        elsewhere = ("--", ":!docs", ":!README.md", ":!data", ":!CODEOWNERS")
        assert git_grep("flights_daily", *elsewhere, cwd=project.folder) == []
    finally:
        git("checkout", "--quiet", ".", cwd=project.folder)
        git("clean", "--quiet", "-fd", cwd=project.folder)


@pytest.fixture
def bucket():
    """An S3 server on this machine with the sample's input in a bucket: the variables that lead there."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    url = "http://{}:{}".format(*server.get_host_and_port())
    keys = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1"}
    session = boto3.Session(*list(keys.values())[:2], region_name=keys["AWS_REGION"])
    client = session.client("s3", endpoint_url=url)
    client.create_bucket(Bucket="landing")
    yield client, {**keys, "AWS_ENDPOINT_URL": url, "AWS_ALLOW_HTTP": "true"}
    server.stop()


def test_input_may_land_in_an_object_store(project, bucket):
    client, variables = bucket
    place = {"APP_PIPELINES__FLIGHTS_DAILY__LANDING__URL": "s3://landing/flights", **variables}
    late = project.make("run", "DATE=2013-01-03", timeout=RUN_SECONDS, APP_INPUT_WAIT__TIMEOUT_SECONDS="0", **place)
    assert (
        "error: flights_daily 2013-01-03: no input: s3://landing/flights/2013-01-03/_SUCCESS has not arrived"
        in late.stderr
    )
    folder = project.folder / "data" / "landing" / "flights_daily" / "2013-01-03"
    for file in folder.iterdir():
        client.upload_file(str(file), "landing", f"flights/2013-01-03/{file.name}")
    done = project.make("run", timeout=RUN_SECONDS, **place)  # the newest that landed
    assert done.returncode == 0, done.stdout + done.stderr
    assert "flights_daily 2013-01-03" in done.stdout
    assert "914 read" in done.stdout


def test_production_has_no_landing_place_before_one_is_given(project):
    done = project.make(
        "run", "ENV=prod", "DATE=2013-01-02", timeout=RUN_SECONDS, APP_ALERTS__URL="", APP_WAREHOUSE__PASSWORD=""
    )
    assert done.returncode != 0
    assert "flights_daily has no landing place in prod: write url under [env.prod.landing] in config/" in done.stderr
    assert "Traceback" not in done.stderr
