"""Image, stack and a machine with systemd in real containers: they publish, the machine also once a service was killed.

Where no Docker runs, Debian's is started with its storage in memory; where no registry of images can be reached, images
made of Debian's packages take the place of the public ones (tests/machine/images.sh).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from projects import UV
from repository import ROOT, git
from servers import free_port
from test_places import answers

pytestmark = pytest.mark.deep
MACHINE = ROOT / "tests" / "machine"
MEMORY = Path("/dev/shm")  # noqa: S108  a disk would take twice as long
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
STARTS_SECONDS = 60
STACK_STARTS_SECONDS = 600  # on a slow machine, with its images in memory
IMAGE_BYTES = 1.3e9
STEPS = ("wait_for_input", "extract", "transform", "check", "publish")
# A hosting variant with an image, and of its stack what sets the engine up, what answers for it, and its port.
STACKS = {
    "airflow": ("airflow_kubernetes", "airflow-prepare", "api-server"),
    "dagster": ("dagster_docker", "dagster-prepare", "webserver"),
    "prefect": ("prefect_kubernetes", "prefect-prepare", "server"),
    "temporal": ("temporal_server", "temporal-prepare", "temporal-worker"),
}


def output(*command: str | Path, **options) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, f"{command}\n{done.stdout[-1500:]}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def docker() -> Iterator[None]:
    """A Docker engine with the images that projects name, as DOCKER_HOST says."""
    with pytest.MonkeyPatch.context() as patch:
        started = None
        if subprocess.run(["docker", "info"], capture_output=True, check=False).returncode:
            if not shutil.which("dockerd") or os.getuid():
                pytest.skip("there is no Docker here: install docker.io, docker-compose and mmdebstrap, and be root")
            folder = MEMORY / f"docker-{os.getpid()}"
            folder.mkdir()
            patch.setenv("DOCKER_HOST", f"unix://{folder}/socket")
            # Debian's own client builds with BuildKit without a plugin.
            patch.setenv("PATH", f"/usr/bin:{os.environ['PATH']}")
            options = ["--iptables=false", "--ip6tables=false", "--bridge=none", "--storage-driver=overlay2"]
            options += [f"--data-root={folder}/data", f"--exec-root={folder}/exec", f"--pidfile={folder}/pid"]
            with (folder / "log").open("w") as log:
                command = ["dockerd", *options, f"--host=unix://{folder}/socket"]
                started = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + STARTS_SECONDS
            while subprocess.run(["docker", "info"], capture_output=True, check=False).returncode:
                if started and started.poll() is not None:
                    pytest.skip(f"no Docker can run here: {(folder / 'log').read_text()[-300:]}")
                assert time.monotonic() < deadline, "dockerd does not answer"
                time.sleep(1)
            yield
        finally:
            if started:
                started.terminate()
                started.wait(timeout=60)
                for each in folder.glob("exec/netns/*"):
                    subprocess.run(["umount", each], check=False)
                shutil.rmtree(folder, ignore_errors=True)


def committed(project: Path) -> Path:
    git("init", "--quiet", "--initial-branch=main", cwd=project)
    git("add", "--all", cwd=project)
    git("commit", "--quiet", "--message", "work", cwd=project)
    return project


def make(project: Path, *arguments: str, **variables: str) -> str:
    command = ["make", "--no-print-directory", f"UV={UV}", *arguments]
    return output(*command, cwd=project, env=os.environ | variables)


def images_of(project: Path, options: str) -> None:
    """Make what stands for the public images that the project names, where there is nothing better.

    A machine on which Docker answers but builds nothing, or whose builds reach no package index, ends in a skip.
    """
    services = yaml.safe_load((project / "deploy" / "stack" / "compose.yml").read_text())["services"]
    base = (project / "Dockerfile").read_text().partition("ARG BASE=")[2].split()[0]
    named = [services[name]["image"] for name in ("postgres", "s3", "temporal") if name in services]
    secret = f"--mount=type=secret,id=ca,target={CERTIFICATES}"
    tried = f"FROM {base}\nRUN {secret} python3 -m venv /v && /v/bin/pip download --quiet --no-deps idna\n"
    build = ["docker", "build", "--quiet", *options.split(), "--secret", f"id=ca,src={CERTIFICATES}", "-"]
    try:
        output("sh", MACHINE / "images.sh", base, *named)
        output(*build, input=tried, env=os.environ | {"DOCKER_BUILDKIT": "1"})
    except AssertionError as error:
        pytest.skip(f"Docker cannot build here: {error}")


@pytest.fixture(scope="module", params=STACKS)
def engine(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def project(docker, engine, render, tmp_path_factory) -> Iterator[Path]:
    """A project whose image `tested` was built."""
    row = {"hosting_variant": STACKS[engine][0], "vpc": "open", "cloud": "aws", "secrets_backend": "environment"}
    folder = tmp_path_factory.mktemp("containers") / "project"
    project = committed(Path(shutil.copytree(render(**answers(row)), folder)))
    options = os.environ.get("DOCKER_BUILD_OPTIONS", "--network host")
    images_of(project, options)
    make(project, "image", "IMAGE=flight-marts:tested", f"BUILD_OPTIONS={options}", f"CA={CERTIFICATES}")
    yield project
    output("docker", "rmi", "--force", "flight-marts:tested")


def test_the_image_is_small(project):
    size = int(output("docker", "image", "inspect", "--format", "{{.Size}}", "flight-marts:tested"))
    assert size < IMAGE_BYTES


def test_the_image_publishes_a_day_as_a_user_on_a_read_only_root(project, engine):
    options = ["--rm", "--init", "--network", "host", "--read-only", "--cap-drop", "ALL", "--tmpfs", "/tmp"]  # noqa: S108
    options += ["--tmpfs", "/app/var:uid=10001", "--volume", f"{project}/data:/app/data:ro", "--env", "APP_ENV=dev"]
    commands = ["run --partition 2013-01-02", "backfill --from 2013-01-01 --to 2013-01-03 --only-missing"]
    if engine == "temporal":  # whose runs need a server, which the image has not
        commands = [f"step flights_daily {name} --partition 2013-01-02 --run-id tried" for name in STEPS]
    commands.append("step flights_daily extract --partition 2013-01-01")
    script = "id -u; touch /app/x; " + " && ".join(f"python -m flight_marts {command}" for command in commands)
    run = ["docker", "run", *options, "flight-marts:tested", "sh", "-c", script]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines()[0] == "10001"
    assert "Read-only file system" in done.stderr
    if engine == "temporal":
        assert "fact_flights=943" in done.stderr
    else:
        assert "2013-01-02  943       943" in done.stdout


RUN_A_DAY = """
from flight_marts import orchestration
from flight_marts.platform import pipelines

pipeline = pipelines.chosen("")
print([run.state for run in orchestration.get("").backfill(pipeline, [pipeline.partition("2013-01-02")])])
"""


def test_the_services_of_the_stack_publish_from_its_store_into_its_database(project, engine):
    _, prepares, answers = STACKS[engine]
    given = {f"{engine.upper()}_PORT": str(free_port()), "COMPOSE": "docker-compose", "IMAGE": "flight-marts:tested"}
    settings = [f"{name}={value}" for name, value in given.items()]
    containers = {name: f"flight-marts-stack_{name}_1" for name in (prepares, answers, "postgres")}
    try:
        try:
            make(project, "stack-up", *settings)
        except AssertionError as error:
            started = output("docker", "ps", "--all", "--quiet").split()
            pytest.fail("\n".join([str(error), *map(logs, started)]))
        wait_until(containers[prepares], "exited 0")
        wait_until(containers[answers], "running")
        said = output("docker", "exec", containers[answers], "python", "-c", RUN_A_DAY)
        assert "success" in said
        query = 'PGPASSWORD=$POSTGRES_PASSWORD psql --host localhost --username stack warehouse -tA --command "$0"'
        sql = "SELECT flight_date, count(*) FROM fact_flights GROUP BY 1"
        rows = output("docker", "exec", containers["postgres"], "bash", "-c", query, sql)
        assert rows.split() == ["2013-01-02|943"]
    finally:
        make(project, "stack-down", "DATA=delete", *settings)


def wait_until(container: str, state: str) -> None:
    """Wait until a container is `running`, and healthy where it says so, or has `exited 0`."""
    health = '{{if .State.Health}}{{if ne .State.Health.Status "healthy"}} {{.State.Health.Status}}{{end}}{{end}}'
    shown = '{{.State.Status}}{{if eq .State.Status "exited"}} {{.State.ExitCode}}{{else}}' + health + "{{end}}"
    deadline = time.monotonic() + STACK_STARTS_SECONDS
    while (now := output("docker", "inspect", "--format", shown, container).strip()) != state:
        assert time.monotonic() < deadline, f"{container} is {now}\n{logs(container)}"
        assert not now.startswith("exited"), f"{container} has {now}\n{logs(container)}"
        time.sleep(2)


def logs(container: str) -> str:
    done = subprocess.run(["docker", "logs", "--tail", "40", container], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


@pytest.fixture
def release(render, tmp_path) -> tuple[Path, str]:
    """A project for one machine with the archive that `make package` made, and its commit."""
    row = {"hosting_variant": "dagster_process", "vpc": "open", "cloud": "aws", "secrets_backend": "environment"}
    project = committed(Path(shutil.copytree(render(**answers(row)), tmp_path / "project")))
    make(project, "package")
    return project, git("rev-parse", "HEAD", cwd=project)


def test_a_machine_with_systemd_publishes_also_after_each_service_was_killed(release):
    """Debian boots in a container: it installs, publishes, survives `kill -9` of each service, and goes back."""
    for program, package in (("systemd-nspawn", "systemd-container"), ("mmdebstrap", "mmdebstrap")):
        if not shutil.which(program) or os.getuid():
            pytest.skip(f"{program} is missing, or this is not root: install {package}")
    project, commit = release
    root = MEMORY / f"machine-{os.getpid()}"
    packages = "ca-certificates,python3,python3-venv,systemd,systemd-sysv,dbus,procps,passwd,util-linux"
    try:
        options = ["--quiet", "--variant=minbase", "--mode=root", f"--include={packages}"]
        output("mmdebstrap", *options, "bookworm", root)
        said = output("sh", MACHINE / "nspawn.sh", root, project, commit, str(free_port()))
    finally:
        shutil.rmtree(root, ignore_errors=True)
    assert said.splitlines()[-1] == "survived", said
    assert "ProtectSystem=strict" in said
    assert "the user writes to the release" not in said
    killed = [line for line in said.splitlines() if line.startswith("killed: ")]
    assert [
        name for name in ("dagster api", "dagster-daemon", "dagster-webserver", "main process") if name in str(killed)
    ]
    assert len(killed) >= 4, killed
    assert said.count("1 of 1 partitions published") == len(killed) + 2
