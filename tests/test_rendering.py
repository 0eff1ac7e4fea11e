"""What is rendered: exact file sets for every combination, and files that tools can read."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

import orch_standards as standards
import pytest
import yaml
from allpairspy import AllPairs
from combinations import (
    CLOUDS,
    DEFAULT_VARIANT,
    ENVIRONMENTS,
    FILE_COMBINATIONS,
    MANIFESTS,
    ORCHESTRATORS,
    PLACES,
    SERVED,
    SHAPES,
    VARIANTS,
    answers_for,
    answers_for_variant,
    files_in,
    places_of,
)
from repository import QUESTIONS, ROOT

SUFFIX = ".jinja"
EXCLUDED = {
    *("manifest.yml", "questions.yml", "constraints.txt", "connections.txt", "runbook.md", "seeds.yml", "sample.json"),
    *("constraints-3.3.1.txt", "connections-3.3.1.txt", "pins-3.3.1.txt"),
    *("stack.yml.jinja", "deployment.jinja", "dashboard.yml"),
}
NESTED = re.compile(r"^\[\[(\w+)\]\]/")


def sample_of(shape: str) -> str:
    """The name of the pipeline that a project of this shape starts with."""
    sample = json.loads((ROOT / "template" / "[[shared]]" / f"[[{shape}]]" / "sample.json").read_text())
    return sample.get("name", "flights_daily")


def template_files(folder: str, shape: str = "batch_etl", places: Iterable[str] = ()) -> set[str]:
    """Paths that a folder of the template stands for in a project, but those of single environments.

    shape, places: of the folders within it, those that are rendered too; places are hosting variants as well.
    """
    found = files_in(ROOT / "template" / folder)
    found = {name for name in found if "__pycache__" not in name and "_toml]]" not in name}
    also = ("flights",) if sample_of(shape) == "flights_daily" else ()
    while any(NESTED.match(name) for name in found):
        found = {name for name in found if not (inner := NESTED.match(name)) or inner[1] in (shape, *places, *also)}
        found = {NESTED.sub("", name) for name in found}
    found -= EXCLUDED
    names = {
        "[[package_name]]": "flight_marts",
        "[[project_name]]": "flight-marts",
        "[[pipeline_name]]": sample_of(shape),
    }
    return {re.sub(r"\[\[\w+\]\]", lambda part: names[part[0]], name).removesuffix(SUFFIX) for name in found}


def places_answered(project: Path) -> list[str]:
    """The places of the hosting variant that the project was made for: not every one can run every shape."""
    answers = yaml.safe_load((project / ".copier-answers.yml").read_text())
    return places_of(answers["hosting_variant"], answers["cloud"])


def expected_files(
    names: tuple[str, ...],
    environments: list[str],
    ci_provider: str,
    shape: str = "batch_etl",
    places: Iterable[str] | None = None,
) -> set[str]:
    """Without places, they are those of the variant that default answers have."""
    places = places_of(DEFAULT_VARIANT.get(names[0], ""), "aws") if places is None else places
    shapes = {each for name in names for each in MANIFESTS[name]["shapes"]}
    also = {
        "cloud_services": set(names) - set(SERVED),
        "several": len(names) > 1,
        "by_file": any("shapes_by_file" in MANIFESTS[name] for name in names),
        **{f"with_{shape}": shape in shapes for shape in SHAPES},
    }
    places = [*places, *(folder for folder, needed in also.items() if needed)]
    folders = ["[[shared]]", *(f"[[{name}]]" for name in names)]
    folders += [f"[[{ci_provider}]]"] if ci_provider != "none" else []
    found = set().union(*(template_files(folder, shape, places) for folder in folders))
    return found | {".copier-answers.yml"} | {f"config/{name}.toml" for name in environments}


@pytest.mark.parametrize(("names", "environments", "ci_provider"), FILE_COMBINATIONS)
def test_file_sets_are_exact_for_every_pair_of_answers(render, names, environments, ci_provider):
    project = render(**answers_for(names), environments=environments, ci_provider=ci_provider)
    assert files_in(project) == expected_files(names, environments, ci_provider)


def test_defaults_alone_make_a_good_project(copie, template):
    made = copie.copy(template_dir=template)
    assert made.exit_code == 0, made.exception
    assert files_in(made.project_dir) == expected_files(("airflow",), ["staging", "prod"], "github")


@pytest.mark.parametrize(
    ("name", "shape"), [(name, shape) for name in ORCHESTRATORS for shape in MANIFESTS[name]["shapes"]]
)
def test_the_shape_that_is_asked_for_is_rendered(render, name, shape):
    project = render(**{**answers_for((name,)), "pipeline_shape": shape, "accept_exclusion": "yes"})
    assert files_in(project) == expected_files((name,), ["staging", "prod"], "github", shape, places_answered(project))


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_hosting_variant_has_the_files_of_its_places(render, variant):
    project = render(**answers_for_variant(variant))
    expected = expected_files(
        (VARIANTS[variant]["orchestrator"],), ["staging", "prod"], "github", places=places_of(variant)
    )
    assert files_in(project) == expected


@pytest.mark.parametrize("place", ["kubernetes", "vm"])
def test_azure_has_files_for_a_cluster_and_for_machines(render, place):
    variant = next(name for name, row in VARIANTS.items() if place in row["places"])
    places = [*places_of(variant), "terraform", "azure"]
    expected = expected_files((VARIANTS[variant]["orchestrator"],), ["staging", "prod"], "github", places=places)
    assert files_in(render(**(answers_for_variant(variant) | {"cloud": "azure"}))) == expected


@pytest.mark.parametrize("shape", [*SHAPES, "mixed"])
@pytest.mark.parametrize("cloud", CLOUDS)
def test_no_two_folders_write_the_same_path(shape, cloud):
    folders = [path.name for path in (ROOT / "template").iterdir() if path.is_dir()]
    chosen, places = ("batch_etl", ["mixed"]) if shape == "mixed" else (shape, [])
    paths = [path for folder in folders for path in template_files(folder, chosen, [*PLACES, cloud, *places])]
    assert sorted(paths) == sorted(set(paths))


def test_hybrid_renders_its_members_and_each_shape_on_one_of_them(render):
    names = ("airflow", "dagster", "prefect")
    places = [*(place for name in names for place in places_of(DEFAULT_VARIANT.get(name, ""))), "mixed"]
    expected = expected_files(names, ["staging", "prod"], "github", places=places)
    elsewhere = {"src/flight_marts/defs/flights_daily.py", "flows/flights_daily.py"}
    assert files_in(render(pipeline_shape="mixed")) == expected - elsewhere


CONTENT = {
    "names": [*((name,) for name in ORCHESTRATORS), ORCHESTRATORS],
    "pipeline_shape": list(QUESTIONS["pipeline_shape"]["choices"].values()),
    **{
        name: list(QUESTIONS[name]["choices"].values())
        for name in ("warehouse", "secrets_backend", "alert_channel", "ci_provider")
    },
    "schedule": ["0 6 * * *", "30 4 1,15 * 1-5"],
    "timezone": ["UTC", "America/New_York"],
    "package_name": ["flight_marts", "x", "p" + "q" * 49],
    "description": ["Daily figures", "It's Größe, naïve & more; 100 (of it): all #1"],
    "owning_team": ["data-team", "Team A.1"],
    "environments": ENVIRONMENTS,
}
CONTENT_SAMPLE = [dict(zip(CONTENT, row, strict=True)) for row in AllPairs(list(CONTENT.values()))]


@pytest.fixture(scope="session")
def sample(render) -> list[Path]:
    """Projects in which every pair of answers that changes contents appears."""
    rendered = []
    for row in CONTENT_SAMPLE:
        answers = dict(row)
        own = answers_for(answers.pop("names")) | {"accept_exclusion": "yes"}
        rendered.append(render(**own, **answers))
    return rendered


def texts(projects: list[Path]):
    for project in projects:
        for path in sorted(project.rglob("*")):
            if path.is_file() and path.suffix != ".csv":
                yield path, path.read_text(encoding="utf-8")


LEFTOVER = re.compile(r"\[% |\[%-| %\]|-%\]|\[# |\[#-| #\]|-#\]|\[\[ |\[\[-| \]\]|-\]\]")


def test_no_delimiter_is_left(sample):
    for path, text in texts(sample):
        assert not LEFTOVER.search(text), path
        assert not LEFTOVER.search(path.as_posix()), path


class UniqueKeys(yaml.CSafeLoader):
    """YAML whose mappings have no key twice, of which PyYAML keeps the last."""

    def construct_mapping(self, node, deep=False):
        keys = [key.value for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        assert len(set(keys)) == len(keys), f"a key twice: {keys}, {node.start_mark}"
        return super().construct_mapping(node, deep)


def parse_yaml(text: str) -> None:
    list(yaml.load_all(text, Loader=UniqueKeys))


PARSERS = {
    ".py": ast.parse,
    ".toml": tomllib.loads,
    ".yml": parse_yaml,
    ".yaml": parse_yaml,
    ".json": json.loads,
}


def test_every_structured_file_parses(sample):
    seen = set()
    for path, text in texts(sample):
        if path.suffix in PARSERS:
            PARSERS[path.suffix](text)
            seen.add(path.suffix)
    assert {".py", ".toml", ".yml", ".yaml"} <= seen


def test_every_file_is_formatted_and_clean_for_ruff(sample, tmp_path):
    # Each project keeps its own settings; one call over all of them is much quicker than one each.
    for number, project in enumerate(sample):
        shutil.copytree(project, tmp_path / str(number), ignore=shutil.ignore_patterns("data"))
    for command in (["check", "--output-format=concise"], ["format", "--check"]):
        ruff = [sys.executable, "-m", "ruff", *command, "--no-cache", "."]
        done = subprocess.run(ruff, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-3000:]


def test_makefile_lists_the_promised_targets(sample):
    for project in sample:
        made = subprocess.run(["make", "help"], cwd=project, capture_output=True, text=True)
        assert made.returncode == 0, made.stderr
        listed = {line.split()[0] for line in made.stdout.splitlines()[1:]}
        assert {"setup", "run", "test", "lint", "backfill", "up"} <= listed
        # Every project has it; where nothing stays up, the list does not name it.
        assert subprocess.run(["make", "--dry-run", "down"], cwd=project, capture_output=True).returncode == 0


SHAPES = sorted(path.parent.name.strip("[]") for path in (ROOT / "template" / "[[shared]]").glob("*/sample.json"))
EXAMPLE = re.compile(r"make backfill FROM=(\S+) TO=(\S+?)[`\s]")


@pytest.mark.parametrize("shape", SHAPES)
def test_the_partitions_of_examples_have_landed(render, shape):
    project = render(pipeline_shape=shape, orchestrator="airflow", accept_exclusion="yes")
    landed = {path.name for path in (project / "data" / "landing" / sample_of(shape)).iterdir()}
    for page in ("README.md", "docs/runbook.md"):
        examples = EXAMPLE.findall((project / page).read_text())
        assert examples
        for first, last in examples:
            assert {first, last} <= landed, page


REFUSED_BY_WINDOWS = re.compile(r'[<>:"|?*\\]|[ .]$|^(con|prn|aux|nul|com\d|lpt\d)(\.|$)', re.IGNORECASE)


def test_names_are_fit_for_windows(sample):
    names = {part for project in sample for name in files_in(project) for part in name.split("/")}
    names |= {part for name in files_in(ROOT / "template") for part in name.split("/")}
    refused = sorted(
        name for name in names if REFUSED_BY_WINDOWS.search(name) and name != "[[ _copier_conf.answers_file ]]"
    )
    assert not refused


def test_answers_hold_what_other_tools_read(render):
    answers = yaml.safe_load((render() / ".copier-answers.yml").read_text())
    promised = {
        *("project_name", "package_name", "pipeline_shape", "team_size", "platform_engineers", "pipeline_count"),
        *("current_orchestrator", "vpc", "hosting", "cloud", "needs", "mental_model"),
        *("orchestrator", "also_orchestrators"),
    }
    assert promised <= answers.keys()
    assert answers["_commit"].startswith("v")


@pytest.mark.deep
def test_every_project_meets_the_standards_that_it_is_held_to(sample):
    findings = [each for project in sample for each in standards.check(project)]
    assert not findings, "\n".join(map(str, findings))


def test_every_question_says_why_it_is_asked():
    asked = {name: question for name, question in QUESTIONS.items() if question.get("when", True) is not False}
    silent = [name for name, question in asked.items() if "help" not in question and question.get("ask", True)]
    assert not silent


def test_a_second_render_is_identical(template, render, tmp_path):
    import copier

    copier.run_copy(str(template), tmp_path / "again", defaults=True, quiet=True)
    first = render()
    assert files_in(tmp_path / "again") == files_in(first)
    for name in files_in(first):
        assert (tmp_path / "again" / name).read_bytes() == (first / name).read_bytes(), name
