"""Google Cloud Workflows: its Terraform, with a stand-in for the provider.

What its definitions do in the emulator is tested within a project: tests/integration/gcp_workflows in the template.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from terraform_stand_in import prepare, terraform

ANSWERS = {"orchestrator": "gcp_workflows", "accept_exclusion": "yes"}
VALUES = {
    "environment": "prod",
    "permissions": {"job": ["run.jobs.run"], "locks": ["storage.objects.get"], "project": ["run.operations.get"]},
    "pipelines": {
        "flights_daily": {
            "cron": "0 6 * * *",
            "timezone": "America/New_York",
            "landing_bucket": "landing",
            "variables": {"SETTINGS": "{}"},
            "deadline": "{}",
        }
    },
}


@pytest.fixture(scope="module")
def stand_ins(tmp_path_factory) -> dict[str, str]:
    return prepare(tmp_path_factory.mktemp("providers"))


@pytest.fixture
def infrastructure(render, tmp_path) -> Path:
    """The folder of Terraform in a copy of a project, with the values of a deployment in values.tfvars.json."""
    project = shutil.copytree(render(**ANSWERS), tmp_path / "project")
    folder = Path(project) / "deploy" / "gcp_workflows"
    (folder / "values.tfvars.json").write_text(json.dumps(VALUES))
    return folder


@pytest.mark.deep
def test_terraform_takes_the_files_and_they_keep_what_they_promise(infrastructure, stand_ins):
    for command in (["fmt", "-check", "-diff", "-recursive"], ["validate"], ["test", "-var-file=values.tfvars.json"]):
        done = terraform(infrastructure, stand_ins, *command)
        assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"Success! \d+ passed, 0 failed", done.stdout)


@pytest.mark.deep
@pytest.mark.parametrize(
    ("file", "before", "after", "command", "says"),
    [
        ("main.tf", "user_env_vars", "user_environment", "validate", "user_environment"),
        ("starts.tf", "  schedule ", "  # ", "test", "has a schedule in its own time zone"),
        ("main.tf", "max_retries     = 0", "max_retries     = 3", "test", "the job must not try again"),
        ("iam.tf", "permissions = each.value", 'permissions = ["run.jobs.delete"]', "test", "derived permissions"),
        ("main.tf", 'join("\\n", [', 'join("\\n", [local.platform, ', "test", "the team's file and the platform's"),
        ("alerts.tf", 'state="FAILED"', 'state="CANCELLED"', "test", "the log of failed executions"),
    ],
)
def test_a_planted_mistake_is_noticed(infrastructure, stand_ins, file, before, after, command, says):
    path = infrastructure / file
    assert before in path.read_text()
    path.write_text(path.read_text().replace(before, after))
    options = ["-var-file=values.tfvars.json"] if command == "test" else []
    done = terraform(infrastructure, stand_ins, command, *options)
    assert done.returncode != 0
    assert says in " ".join(re.sub(r"[\n│]", " ", done.stdout + done.stderr).split())
