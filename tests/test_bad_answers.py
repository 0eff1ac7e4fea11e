"""Answers a user can get wrong: refused with one clear sentence that names the question, and nothing is written."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import copier
import pytest
from repository import QUESTIONS

NAMES = {
    "empty": "",
    "space": "my project",
    "path separator": "a/b",
    "parent folder": "..",
    "backslash": "a\\b",
    "single quote": "a'b",
    "double quote": 'a"b',
    "template text": "[[ 7*7 ]]",
    "other template text": "{{ 7*7 }}",
    "shell text": "$(touch owned)",
    "second command": "a;b",
    "newline": "a\nb",
    "accent": "größe",
    "other script": "数据",
    "upper case": "Flights",
    "digit first": "1flight",
    "300 characters": "x" * 300,
    "keyword": "class",
    "standard library": "json",
    "library in use": "airflow",
    "folder of the project": "tests",
    "device on Windows": "con",
}
LAST_LINE_STARTS = "ValueError: Validation error for question "


@pytest.fixture(scope="module")
def files(template, tmp_path_factory) -> Path:
    """The template's files alone, which Copier need not clone each time."""
    return shutil.copytree(
        template, tmp_path_factory.mktemp("files") / "template", ignore=shutil.ignore_patterns(".git")
    )


def refused(template: Path, target: Path, **answers: str) -> str:
    """The last line of a refused copy, after asserting that it was one and wrote nothing."""
    assert not answers.keys() - QUESTIONS.keys()
    with pytest.raises(ValueError) as error:  # noqa: PT011  each caller looks at the message
        copier.run_copy(str(template), target, data=answers, defaults=True, quiet=True, unsafe=False)
    assert not target.exists()
    return f"{type(error.value).__name__}: {error.value}"


def test_the_command_ends_in_the_sentence(template, tmp_path):
    target = tmp_path / "project"
    command = [
        sys.executable,
        "-m",
        "copier",
        "copy",
        "--defaults",
        "--data",
        "timezone=Mars/Olympus",
        template,
        target,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    assert not target.exists()
    assert done.stderr.strip().splitlines()[-1] == refused(template, target, timezone="Mars/Olympus")


@pytest.mark.parametrize("question", ["project_name", "package_name"])
@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES.keys())
def test_unusable_names_are_refused(files, tmp_path, question, name):
    told = refused(files, tmp_path / "project", **{question: name})
    assert question in told
    assert len(told) < 400


@pytest.mark.parametrize(
    ("question", "value", "told"),
    [
        ("schedule", "0 6 * *", "has 4 fields, a cron schedule has five"),
        ("schedule", "every day", "a cron schedule has five"),
        ("schedule", "60 6 * * *", 'the minute is "60"'),
        ("schedule", "0 24 * * *", 'the hour is "24"'),
        ("schedule", "0 6 0 * *", 'the day of the month is "0"'),
        ("schedule", "0 6 * 13 *", 'the month is "13"'),
        ("schedule", "0 6 * * mon", 'the day of the week is "mon"'),
        ("schedule", "0 6 * * */0", "the day of the week"),
        ("schedule", "*/15 6 * * *", "write one minute and one hour"),
        ("schedule", "0 6,18 * * *", "write one minute and one hour"),
        ("schedule", "0 6 * * $(id)", "the day of the week"),
        ("timezone", "Mars/Olympus", "is no time zone of the IANA database"),
        ("timezone", "", "is no time zone"),
        ("timezone", "../../etc/passwd", "is no time zone"),
        ("description", "", "it is empty"),
        ("description", 'say "hi"', "without quotation marks"),
        ("description", "[[ 7*7 ]]", "without quotation marks, backslashes, brackets"),
        ("owning_team", "a;b", "is not usable"),
        ("owner_contact", "nobody", "is no e-mail address"),
        ("platform_contact", "@platform-team", "is no e-mail address"),
    ],
)
def test_other_malformed_answers_are_refused(files, tmp_path, question, value, told):
    line = refused(files, tmp_path / "project", **{question: value})
    assert question in line
    assert told in line
    sentence = line.removeprefix(f"{LAST_LINE_STARTS}'{question}': ")
    # What to type stands first, for a terminal of 80 columns shows no more.
    assert re.match(r"(write|use|choose) ", sentence), sentence


CHOICES = sorted(
    name
    for name, question in QUESTIONS.items()
    if "choices" in question and question.get("when") is not False and question.get("ask", True)
)


@pytest.mark.parametrize("question", CHOICES)
def test_an_unknown_choice_is_refused(files, tmp_path, question):
    value = "[nonsense]" if QUESTIONS[question].get("multiselect") else "nonsense"
    told = refused(files, tmp_path / "project", **{question: value})
    assert question in told


@pytest.mark.parametrize(
    "schedule", ["0 6 * * *", "15 0 1,15 */3 1-5", "59 23 31 12 7"], ids=["daily", "steps", "limits"]
)
def test_good_schedules_are_accepted(render, schedule):
    assert (
        f'cron = "{schedule}"'
        in (render(schedule=schedule) / "config" / "pipelines" / "flights_daily.toml").read_text()
    )


@pytest.mark.parametrize(
    ("members", "sentence"),
    [
        ({"airflw": "mwaa"}, 'name only airflow, dagster, prefect, which the project has; "airflw" is not one of them'),
        ({"temporal": "temporal_cloud"}, '"temporal" is not one of them'),
        ({"airflow": "dagster_docker"}, '; "dagster_docker" is no hosting variant of airflow'),
        ({"prefect": "nonsense"}, "use one of prefect_"),
        (["mwaa"], "write a hosting variant for each of airflow, dagster, prefect"),
    ],
)
def test_a_variant_of_no_member_is_refused(files, tmp_path, members, sentence):
    last = refused(files, tmp_path / "project", pipeline_shape="mixed", member_hosting_variants=members)
    assert last.startswith(f"{LAST_LINE_STARTS}'member_hosting_variants': ")
    assert sentence in last


def test_two_agents_in_one_project_are_refused(files, tmp_path):
    members = {"airflow": "mwaa", "dagster": "dagster_plus_ecs", "prefect": "prefect_cloud_ecs"}
    last = refused(files, tmp_path / "project", pipeline_shape="mixed", member_hosting_variants=members)
    assert last.startswith(f"{LAST_LINE_STARTS}'member_hosting_variants': Dagster and Prefect would each have an agent")
    assert "choose another hosting variant for one of them" in last
