"""Azure Data Factory: its Terraform, with a stand-in for the provider.

What its definitions do is tested within a project: tests/integration/data_factory in the template. Here is what needs
the template: a second pipeline.
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

ANSWERS = {"orchestrator": "data_factory", "cloud": "azure", "accept_exclusion": "yes"}
VALUES = {
    "environment": "prod",
    "permissions": {
        "step_job": ["Microsoft.App/jobs/executions/read", "Microsoft.App/jobs/start/action"],
        "factory": ["Microsoft.DataFactory/factories/pipelines/createrun/action"],
    },
    "global_parameters": {
        "poll_seconds": {"type": "Int", "value": "30"},
        "settings": {"type": "Object", "value": "{}"},
    },
    "pipelines": {
        "flights_daily": {
            "first_window": "2026-12-01T11:00:00Z",
            "sla": "0.02:00:00",
            "waits_for_files": True,
            "waits_for_people": True,
            "landing_container": "landing",
            "late_files": {"begins_with": "/landing/blobs/flights_daily/", "ends_with": "/_SUCCESS"},
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
    folder = Path(project) / "deploy" / "data_factory"
    (folder / "values.tfvars.json").write_text(json.dumps(VALUES))
    return folder


def test_the_files_are_those_of_data_factorys_git_layout(render):
    """Each is named as its file is, and has nothing but a name and properties, as Azure reads a repository."""
    project = render(**ANSWERS)
    files = sorted((project / "factory").rglob("*.json"))
    assert {file.parent.name for file in files} == {"pipeline", "trigger", "linkedService", "dataset"}
    for file in files:
        whole = json.loads(file.read_text())
        assert (whole["name"], set(whole)) == (file.stem, {"name", "properties"})


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
        ("main.tf", "replica_timeout_in_seconds", "replica_time_out", "validate", "replica_time_out"),
        ("main.tf", "replica_retry_limit          = 0", "replica_retry_limit = 3", "test", "the job must not try"),
        ("main.tf", "var.pipelines[each.key].first_window", '"2013-01-01T00:00:00Z"', "test", "has windows from"),
        ("main.tf", "var.pipelines[each.key].sla", '"0.09:00:00"', "test", "late runs counts from the SLA"),
        ("main.tf", "  = jsonencode(each.value.activities)\n  monitor", '  = "[]"\n  monitor', "test", "of its file"),
        ("iam.tf", "actions = each.value", 'actions = ["*"]', "test", "exactly the derived permissions"),
        ("main.tf", "= false # markers", "= true # markers", "test", "markers are empty"),
        ("main.tf", "local.shared.platform_late_file.concurrency", "5", "test", "one late file is worked on at a time"),
        ("main.tf", "each.value.ends_with", '".csv"', "test", "and no other files"),
        ("main.tf", "var.decisions_table != null", "var.decisions_table == null", "test", "waits for people"),
        ("iam.tf", "Storage Table Data Contributor", "Reader", "test", "into the table of decisions"),
        ("iam.tf", "Key Vault Secrets User", "Key Vault Administrator", "test", "read the secrets of their vault"),
        ("alerts.tf", '"PipelineFailedRuns"', '"PipelineCancelledRuns"', "test", "watch the metrics of failed"),
        ("alerts.tf", '"pl_${name}"', '"${name}"', "test", "only definitions that no other one starts alert"),
        ("values.tfvars.json", '"landing"', '""', "test", "set landing.url of the pipeline"),
    ],
)  # fmt: skip
def test_a_planted_mistake_is_noticed(infrastructure, stand_ins, file, before, after, command, says):
    path = infrastructure / file
    assert before in path.read_text()
    path.write_text(path.read_text().replace(before, after))
    options = ["-var-file=values.tfvars.json"] if command == "test" else []
    done = terraform(infrastructure, stand_ins, command, *options)
    assert done.returncode != 0
    assert says in " ".join(re.sub(r"[\n│]", " ", done.stdout + done.stderr).split())


def deployed(project: Project) -> dict[str, dict]:
    """The pipelines of which Terraform makes definitions and windows."""
    return hours.deployed(project, ("factory-values",), "var/dev/data_factory/values.tfvars.json")["pipelines"]


@pytest.mark.deep
@pytest.mark.project
@pytest.mark.shows("B16", "E*")
@pytest.mark.shows("B16", "D")
def test_an_hourly_pipeline_comes_and_goes_beside_the_daily_one(render, tmp_path):
    """Its hours are those of UTC, which has no change of clocks."""
    project = hours.project_with_an_hourly_pipeline(render(**ANSWERS), tmp_path / "project", "data_factory")
    factory = project.folder / "factory"
    files = [factory / "pipeline" / "pl_weather.json", factory / "trigger" / "tr_weather.json"]
    daily_windows = factory / "trigger" / "tr_flights_daily.json"
    windows = [json.loads(file.read_text())["properties"]["typeProperties"] for file in (files[1], daily_windows)]
    lengths = [each["interval"] for each in windows]
    assert (lengths, all(file.exists() for file in files)) == ([1, 24], True)
    own, daily = (deployed(project)[name] for name in ("weather", "flights_daily"))
    assert own["first_window"] != daily["first_window"]
    hours.each_hour_publishes_its_own_rows(project)
    hours.remove(project)
    assert not any(file.exists() for file in files)
    assert deployed(project) == {"flights_daily": daily}
