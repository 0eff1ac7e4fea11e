"""Files for Terraform: it validates and tests them itself, with stand-ins for the providers of the clouds."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from combinations import CLOUD_OF, CLOUDS, VARIANTS, answers_for_variant
from repository import QUESTIONS, ROOT
from terraform_stand_in import FACTS, prepare, source, terraform

NETWORKS = list(QUESTIONS["vpc"]["choices"].values())
HOSTED = [name for name, row in VARIANTS.items() if "terraform" in row["places"]]
# Vendors run nothing in an isolated network, so the rules leave no managed variant there.
ROWS = [
    (variant, cloud, vpc)
    for variant in HOSTED
    for cloud in ([CLOUD_OF[variant]] if variant in CLOUD_OF else CLOUDS)
    for vpc in NETWORKS
    if not (vpc == "isolated" and VARIANTS[variant]["hosting"] == "managed")
]


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


@pytest.mark.deep
@pytest.mark.parametrize(
    ("file", "before", "after", "says"),
    [
        ("storage.tf", "enable_key_rotation = true", "enable_key_rotating = true", "enable_key_rotating"),
        ("network.tf", 'domain = "vpc"', 'domain = ["vpc"]', "Inappropriate value"),
        (
            "mwaa.tf",
            "  execution_role_arn ",
            "  # ",
            '"execution_role_arn" is required',
        ),
        ("mwaa.tf", "aws_s3_bucket.this", "aws_s3_bucket.those", "undeclared resource"),
    ],
)
def test_a_planted_mistake_is_noticed(render, stand_ins, tmp_path, file, before, after, says):
    folder = Path(shutil.copytree(infrastructure(render, "mwaa", "aws", "open").parents[1], tmp_path / "project"))
    folder = folder / "deploy" / "terraform"
    text = (folder / file).read_text()
    assert before in text
    (folder / file).write_text(text.replace(before, after))
    done = terraform(folder, stand_ins, "validate")
    assert done.returncode != 0
    assert says in " ".join(re.sub(r"[\n│]", " ", done.stderr).split())


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


def test_the_facts_are_of_the_versions_that_the_files_ask_for():
    asked = re.compile(r'source\s+= "([\w-]+/\w+)"\s+version = "~> ([\d.]+)"')
    texts = [file.read_text() for end in ("tf", "tf.jinja") for file in (ROOT / "template").rglob(f"*.{end}")]
    versions = {row for text in texts for row in asked.findall(text)}
    known = {source(facts): json.loads(facts.read_text())["version"] for facts in FACTS}
    assert versions == {(name, ".".join(version.split(".")[:2])) for name, version in known.items()}
