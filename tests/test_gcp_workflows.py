"""Google Cloud Workflows: its Terraform, with a stand-in for the provider.

What its definitions do in the emulator is tested within a project: tests/integration/gcp_workflows in the template.
Here is what needs the template: a second pipeline.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import hours
import pytest
from projects import Project
from terraform_stand_in import prepare, terraform

ANSWERS = {"orchestrator": "gcp_workflows", "cloud": "gcp", "accept_exclusion": "yes"}


@pytest.fixture(scope="module")
def stand_ins(tmp_path_factory) -> dict[str, str]:
    return prepare(tmp_path_factory.mktemp("providers"))


@pytest.fixture
def infrastructure(render, tmp_path) -> Path:
    """The folder of Terraform in a copy of a project."""
    return Path(shutil.copytree(render(**ANSWERS), tmp_path / "project")) / "deploy" / "terraform"


@pytest.mark.deep
@pytest.mark.parametrize(
    ("file", "before", "after", "command", "says"),
    [
        ("workflows.tf", "user_env_vars", "user_environment", "validate", "user_environment"),
        ("starts.tf", "  schedule ", "  # ", "test", "has a schedule in its own time zone"),
        ("workflows.tf", "max_retries     = 0", "max_retries     = 3", "test", "the job must not try again"),
        (
            "permissions.tf",
            "permissions = each.value",
            'permissions = ["run.jobs.delete"]',
            "test",
            "derived permissions",
        ),
        ("workflows.tf", '"ALL_TRAFFIC"', '"PRIVATE_RANGES_ONLY"', "test", "the project's network"),
        (
            "workflows.tf",
            'join("\\n", [',
            'join("\\n", [local.platform, ',
            "test",
            "the team's file and the platform's",
        ),
        ("starts.tf", "object.v1.finalized", "object.v1.archived", "test", "is written, for the first time or again"),
        ("alerts.tf", 'state="FAILED"', 'state="CANCELLED"', "test", "the log of failed executions"),
    ],
)
def test_a_planted_mistake_is_noticed(infrastructure, stand_ins, file, before, after, command, says):
    path = infrastructure / file
    assert before in path.read_text()
    path.write_text(path.read_text().replace(before, after))
    done = terraform(infrastructure, stand_ins, command)
    assert done.returncode != 0
    assert says in " ".join(re.sub(r"[\n│]", " ", done.stdout + done.stderr).split())


def deployed(project: Project) -> dict[str, dict]:
    """The pipelines of which Terraform makes workflows and schedules."""
    return hours.deployed(project, ("workflows",), "deploy/terraform/workflows/dev.json")["pipelines"]


@pytest.mark.deep
@pytest.mark.project
@pytest.mark.shows("B16", "E")
@pytest.mark.shows("B16", "D")
def test_an_hourly_pipeline_comes_and_goes_beside_the_daily_one(render, tmp_path):
    project = hours.project_with_an_hourly_pipeline(render(**ANSWERS), tmp_path / "project", "gcp_workflows")
    definition = project.folder / "workflows" / "weather.workflow.yaml"
    own, daily = (deployed(project)[name] for name in ("weather", "flights_daily"))
    grains = [json.loads(each["variables"]["SETTINGS"])["grain"] for each in (own, daily)]
    assert (grains, definition.exists()) == (["hour", "day"], True)
    assert own["cron"].split()[1:] == ["*"] * 4 != daily["cron"].split()[1:]
    hours.each_hour_publishes_its_own_rows(project)
    hours.remove(project)
    assert not definition.exists()
    assert deployed(project) == {"flights_daily": daily}
