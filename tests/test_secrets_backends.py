"""Secrets of a rendered project from each backend, through the vendor's own client, in that project's environment."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from secrets_stand_ins import AwsSecretsManager, AzureKeyVault, GoogleSecretManager, Vault
from servers import free_port

pytestmark = pytest.mark.project
UV = Path(sys.executable).with_name("uv")
BACKENDS = {
    "aws_secrets_manager": lambda folder: AwsSecretsManager(folder, free_port()),
    "google_secret_manager": GoogleSecretManager,
    "azure_key_vault": AzureKeyVault,
    "hashicorp_vault": Vault,
}
PASSWORD, ALERT_URL = "prod-warehouse-password", "prod-alert-url"
SECRETS = {PASSWORD: "correct-horse-battery", ALERT_URL: "json://127.0.0.1:9/token-0123456789"}
# What a run does at its start, and a line of log that would give a secret away.
AT_START = """
import sys
from flight_marts.platform import config, errors, logging, secrets
settings = config.load()
try:
    secrets.verify(settings)
except (errors.SecretError, errors.SecretsUnavailable) as error:
    sys.exit(f"{type(error).__name__}: {error}; transient: {errors.is_transient(error)}")
logging.configure(settings)
found = secrets.resolve(settings.warehouse.password, settings.secrets)
logging.get_logger().info("connecting", password=found, length=len(found))
"""


# A service that lives on, such as a worker: it reads the secret, and once more when it is told that there is a new one.
LIVES_ON = """
import sys
from flight_marts.platform import config, logging, secrets
settings = config.load()
logging.configure(settings)
for line in ("before", "after"):
    read = secrets.resolve(settings.warehouse.password, settings.secrets)
    logging.get_logger().info("connecting", password=read, length=len(read))
    print(line, flush=True)
    sys.stdin.readline()
"""
# The short run takes one backend that a library serves and one that is read over HTTP.
SHORT = ("aws_secrets_manager", "hashicorp_vault")


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=() if name in SHORT else pytest.mark.deep) for name in BACKENDS],
)
def project(request, render, tmp_path_factory) -> tuple[str, Path]:
    """A backend's name, and a project that keeps its secrets there, with its dependencies but no orchestrator's."""
    answers = {"secrets_backend": request.param, "alert_channel": "webhook", "orchestrator": "prefect"}
    folder = Path(shutil.copytree(render(**answers), tmp_path_factory.mktemp("secrets") / "project"))
    environment = os.environ | {"UV_SYSTEM_CERTS": "true"}
    subprocess.run([UV, "sync", "--quiet", "--no-default-groups"], cwd=folder, env=environment, check=True)
    return request.param, folder


@pytest.fixture
def backend(project, tmp_path):
    """The backend with all secrets of the project's production stored."""
    started = BACKENDS[project[0]](tmp_path)
    try:
        for name, value in SECRETS.items():
            started.stored[name] = value
        yield started
    finally:
        started.stop()


@pytest.fixture
def start(project, backend):
    """Starts as a run does in production: ``start()`` gives exit code and all output."""

    def run() -> tuple[int, str]:
        kept = {name: os.environ[name] for name in ("PATH", "HOME")}
        environment = {**kept, "APP_ENV": "prod", "APP_ROOT": str(project[1]), **backend.variables}
        command = [project[1] / ".venv" / "bin" / "python", "-c", AT_START]
        done = subprocess.run(command, env=environment, cwd=project[1], capture_output=True, text=True, timeout=120)
        output = done.stdout + done.stderr
        assert not any(value in output for value in SECRETS.values()), "a secret was shown"
        return done.returncode, output

    return run


def test_secrets_are_read_and_masked_in_the_log(start):
    code, output = start()
    assert code == 0, output
    assert '"password": "***"' in output
    assert f'"length": {len(SECRETS[PASSWORD])}' in output


def test_a_missing_secret_is_named_at_the_start(project, backend, start):
    del backend.stored[ALERT_URL]
    code, output = start()
    assert code == 1, output
    assert output.startswith(f"SecretError: cannot read secret:{ALERT_URL} from {project[0]}"), output
    assert "transient: False" in output


def test_a_forbidden_secret_is_named_at_the_start(project, backend, start):
    backend.forbidden = {ALERT_URL, PASSWORD}
    code, output = start()
    assert code == 1, output
    assert output.startswith(f"SecretError: cannot read secret:{ALERT_URL} from {project[0]}"), output
    assert "may read it" in output


def test_a_backend_that_does_not_answer_is_worth_another_attempt(backend, start):
    backend.stop()
    try:
        code, output = start()
    finally:
        backend.stop = lambda: None
    assert code == 1, output
    assert output.startswith("SecretsUnavailable: "), output
    assert "transient: True" in output


def test_a_service_that_lives_on_takes_a_new_version_of_a_secret(project, backend):
    kept = {name: os.environ[name] for name in ("PATH", "HOME")}
    environment = {**kept, "APP_ENV": "prod", "APP_ROOT": str(project[1]), **backend.variables}
    command = [project[1] / ".venv" / "bin" / "python", "-c", LIVES_ON]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    process = subprocess.Popen(command, env=environment, cwd=project[1], text=True, **pipes)
    said = []
    while not said or said[-1] not in ("before\n", ""):
        said.append(process.stdout.readline())
    assert said[-1] == "before\n", "".join(said)
    backend.stored[PASSWORD] = "rotated-and-longer-than-before"
    output = "".join(said) + process.communicate("go\n\n", timeout=120)[0]
    assert process.returncode == 0, output
    for value in (SECRETS[PASSWORD], "rotated-and-longer-than-before"):
        assert value not in output
        assert f'"length": {len(value)}' in output
