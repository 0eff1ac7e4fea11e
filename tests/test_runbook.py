"""The runbook of a rendered project: every command in it works as it is written, with the services up."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from cloud_commands import install, problem
from combinations import ORCHESTRATORS, answers_for
from servers import free_port

SITUATIONS = [
    "A failed run",
    "A late input",
    "A missed SLA",
    "A bad partition",
    "A backfill",
    "A decision",
    "Rotating a secret",
    "The engine is down",
]
COMMANDS = re.compile(r"^( *)```sh\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
KEPT_VARIABLES = ("HOME", "UV_", "SSL_", "PIP_", "http", "HTTP", "no_proxy", "NO_PROXY")
COMMAND_SECONDS = 300


@pytest.mark.parametrize("names", [*((name,) for name in ORCHESTRATORS), ORCHESTRATORS], ids="+".join)
def test_every_situation_has_a_part_for_each_orchestrator(render, names):
    text = (render(**answers_for(names)) / "docs" / "runbook.md").read_text()
    sections = dict(part.split("\n", 1) for part in re.split(r"^## ", text, flags=re.MULTILINE)[1:])
    assert list(sections) == SITUATIONS
    alone = len(names) == 1
    for heading, section in sections.items():
        assert section.count("\n### ") == (0 if alone else len(names)), heading
    assert "None" not in text


def test_alerts_link_to_sections_that_exist(render):
    project = render()
    text = (project / "docs" / "runbook.md").read_text()
    anchors = {heading.lower().replace(" ", "-") for heading in re.findall(r"^## (.+)$", text, re.MULTILINE)}
    alerts = next(project.glob("src/*/platform/alerts.py")).read_text()
    rules = (project / "observability" / "prometheus_alerts.yml").read_text()
    linked = set(re.findall(r'"(an?-[a-z-]+)"\)', alerts)) | set(re.findall(r"runbook\.md#(\S+)", rules + text))
    assert {"a-failed-run", "a-missed-sla"} <= linked <= anchors


@pytest.fixture(params=ORCHESTRATORS)
def shell(request, render, tmp_path):
    """A project with its services up: ``shell(command)`` runs it in a fresh login's shell, in the project's folder."""
    project = Path(shutil.copytree(render(**answers_for((request.param,))), tmp_path / "project"))
    kept = {name: value for name, value in os.environ.items() if name.startswith(KEPT_VARIABLES)}
    # uv as README says of machines without it; and the clouds' programs, which check a command and call no cloud.
    path = f"{install(tmp_path / 'programs')}:{project}/.uv/bin:{os.environ['PATH']}"
    environment = {**kept, "PATH": path, "COLUMNS": "120", f"{request.param.upper()}_PORT": str(free_port())}

    def run(command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=project,
            env=environment,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
        )

    run.project = project
    up = run("make setup && make up")
    try:
        assert up.returncode == 0, up.stdout + up.stderr
        yield run
    finally:
        down = run("make down")
        assert down.returncode == 0, down.stdout + down.stderr


def first_steps(project: Path) -> str:
    """The commands of the README's last table, which is the orchestrator's, in one."""
    section = (project / "README.md").read_text().split("\n## ")[-2]
    return "\n".join(re.findall(r"^\| `(.+?)` \|", section, re.MULTILINE))


OF_CLOUDS = re.compile(r"^ *((?:az|gcloud) .+)$", re.MULTILINE)


@pytest.mark.parametrize("engine", ORCHESTRATORS)
def test_commands_of_a_cloud_name_what_the_project_has(render, engine, monkeypatch):
    monkeypatch.chdir(render(**answers_for((engine,))))
    text = Path("docs/runbook.md").read_text().replace("$day", "2013-01-02")
    for command in OF_CLOUDS.findall("\n".join(match[1] for match in COMMANDS.findall(text))):
        assert problem(shlex.split(command)) == ""


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("az datafactory pipeline start-run", "no command of this name"),
        ("az datafactory pipeline create-run --name pl_flights_daily", "needs --resource-group, --factory-name"),
        ("az datafactory pipeline create-run --resource-group G --factory-name F --name pl_fl", "there is no factory/"),
        ("gcloud workflows run flights_daily --date x", "has no option --date"),
        ("gcloud workflows run flights_daily --data '{partition}'", "is no JSON"),
        ("gcloud workflows run flights_daily --data '{\"day\": 1}'", "takes no day"),
        ("gcloud storage cat LOCK_BUCKET", "takes one gs://"),
    ],
)
def test_a_wrong_command_of_a_cloud_is_noticed(render, command, says, monkeypatch):
    name = "data_factory" if command.startswith("az") else "gcp_workflows"
    monkeypatch.chdir(render(**answers_for((name,))))
    assert says in problem(shlex.split(command))


@pytest.mark.project
@pytest.mark.deep
def test_commands_work_as_written(shell):
    text = (shell.project / "docs" / "runbook.md").read_text()
    commands = [match[1] for match in COMMANDS.findall(text)]
    assert len(commands) >= len(SITUATIONS)
    steps = first_steps(shell.project)
    assert steps.count("uv run") == 2
    for command in [*commands, steps]:  # these start a run and do not wait for it
        done = shell(command)
        assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
