"""`make recommend`: the same questions, rules and result as a copy, without a project."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys

import pexpect
import pytest
import yaml
from decision_engine import CHOICES
from keyboard import DOWN, ENTER, ESCAPES, asked
from repository import QUESTIONS, ROOT

TOOL = [sys.executable, str(ROOT / "tools" / "recommend.py")]


@pytest.fixture
def recommend(tmp_path):
    """Run it with these answers in a file: ``recommend({"vpc": "isolated"}, "--format", "json")``."""

    def run(answers, *options: str) -> subprocess.CompletedProcess:
        file = tmp_path / "answers.yml"
        file.write_text(answers if isinstance(answers, str) else yaml.safe_dump(answers))
        command = [*TOOL, "--answers", str(file), *options]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, env={**os.environ, "COLUMNS": "80"})

    return run


def test_the_table_shows_ranking_reasons_costs_and_what_would_change_it(recommend):
    answers = {"current_orchestrator": "airflow", "pipeline_shape": "ml_dynamic", "connects_to": ["s3", "kafka"]}
    shown = recommend(answers | {"needs": ["sub_flows"]})
    assert shown.returncode == 0, shown.stderr
    text = " ".join(shown.stdout.split())
    assert text.startswith("Recommended: Prefect (Prefect Cloud with managed pools)")
    for part in (
        "Decided by: preferences",
        "- Work known only at run time is plain Python in a flow.",
        "Ranking system score hosting variant template Prefect 7.46",
        "Out: Temporal, because it needs engineers who are used to distributed systems",
        "(rule temporal-without-skills)",
        "By hand: Apache Kafka, about 1.5 weeks of one engineer.",
        "5,769 5,769 12,000 to",
        "compute is not in it",
        "Moving off Airflow takes each of 2 engineers 1.7 to 11.7 weeks, 3.3 to 23.4 in all",
        "What would change it recommended if answer",
        "pipeline_shape=mixed",
        "Note: Prefect has a thin library of sensors.",
    ):
        assert part in text, part
    assert max(map(len, shown.stdout.splitlines())) <= 80


def test_a_conflict_is_refused_in_one_sentence(recommend):
    shown = recommend({"vpc": "isolated", "needs": ["no_servers"]})
    assert shown.returncode == 1
    assert shown.stdout == ""
    assert shown.stderr.startswith("error: ")
    assert "Nothing fits; change one of these answers: " in shown.stderr
    assert "nothing may leave your network" in shown.stderr
    assert "you asked to host it yourself" not in shown.stderr
    assert len(shown.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ({"pipeline_shap": "mixed"}, "pipeline_shap is no question"),
        ({"team_size": "seven"}, "'seven' is not in ['under_5'"),
        ({"needs": "dbt"}, "needs: "),
        ({"vpc": "isolated", "hosting": "managed"}, "choose hosting=self_host or vpc=data_plane"),
        ("- mixed", "holds no answers"),
        ("a: b: c", "is not YAML"),
    ],
)
def test_a_wrong_file_is_refused_in_one_sentence(recommend, answers, message):
    shown = recommend(answers)
    assert shown.returncode == 1
    assert message in shown.stderr
    assert len(shown.stderr.splitlines()) == 1


def test_without_a_terminal_it_says_what_to_write():
    shown = subprocess.run(TOOL, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    assert shown.returncode == 1
    assert "make recommend ANSWERS=answers.yml" in shown.stderr.splitlines()[-1]


SAME = [
    ({}, {}, "", ""),
    pytest.param(
        {"pipeline_shape": "ml_dynamic", "vpc": "data_plane", "cloud": "gcp", "needs": ["dbt"]},
        {
            "pipeline_shape": DOWN * 2 + ENTER,
            "vpc": DOWN + ENTER,
            "cloud": DOWN + ENTER,
            "needs": DOWN * 6 + " " + ENTER,
        },
        "",
        "",
        marks=pytest.mark.deep,
    ),
    pytest.param(
        {"vpc": "isolated", "team_size": "more_than_15"},
        {"vpc": DOWN * 2 + ENTER, "team_size": DOWN + ENTER},
        "hosting",
        "platform_engineers experience",
        marks=pytest.mark.deep,
    ),
]


@pytest.mark.parametrize(("answers", "keys", "skipped", "more"), SAME, ids=["defaults", "dynamic", "isolated"])
def test_file_terminal_and_copy_agree(recommend, render, answers, keys, skipped, more):
    record = json.loads(recommend(answers, "--format", "json").stdout)
    assert answers.items() <= record["answers"].items()
    recorded = yaml.safe_load((render(**answers) / ".copier-answers.yml").read_text())
    best = record["decision"]["ranking"][0]
    assert recorded["recommended_orchestrator"] == record["decision"]["recommended"] == best["id"]
    assert recorded["recommended_hosting_variant"] == best["variant"]["id"]
    assert at_terminal(keys, skipped, more) == record


def at_terminal(keys: dict[str, str], skipped: str, more: str) -> dict:
    """What it says as JSON after these keys, Enter for all others."""
    with pexpect.spawn(
        TOOL[0], [*TOOL[1:], "--format", "json"], dimensions=(50, 200), encoding="utf-8", timeout=60
    ) as screen:
        for name in asked(skipped, more):
            if name in CHOICES:
                screen.expect_exact(QUESTIONS[name]["help"].splitlines()[0])
                screen.send(keys.get(name, ENTER))
        screen.expect(pexpect.EOF)
    text = ESCAPES.sub("", screen.before)
    return json.loads(text[text.index("\n{") :])


def test_an_answers_file_of_a_project_is_taken_as_it_is(recommend, render):
    project = render(orchestrator="airflow", hosting_variant="airflow_vm")
    record = json.loads(recommend((project / ".copier-answers.yml").read_text(), "--format", "json").stdout)
    assert record["decision"]["recommended"] == "airflow"
    assert [(row["id"], row["variant"]) for row in record["review"]["costs"]][3:] == [
        ("airflow", "one virtual machine")
    ]


def test_make_passes_it_on(tmp_path):
    file = tmp_path / "my answers.yml"
    file.write_text("pipeline_shape: mixed\n")
    command = ["make", "--no-print-directory", "recommend", f"ANSWERS={file}", "FORMAT=json"]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert shown.returncode == 0, shown.stderr
    assert json.loads(shown.stdout[shown.stdout.index("{") :])["decision"]["recommended"] == "hybrid"


NUMBERS = itertools.count()


def measurement(speaks_to: str, **results: tuple[float | None, str]) -> dict:
    best = next(name for name, (_, verdict) in results.items() if verdict == "best")
    figures = {name: {"median": value, "verdict": verdict} for name, (value, verdict) in results.items()}
    return {"id": f"m{next(NUMBERS)}", "speaks_to": speaks_to, "best": best, "results": figures}


def test_what_was_measured_replaces_the_guides_scores_and_is_marked(recommend, tmp_path):
    rows = [
        measurement("developer_experience", dagster=(1.0, "best"), prefect=(4.0, "worse")),
        measurement("testing", dagster=(1.1, "no difference seen"), prefect=(1.0, "best")),
        measurement("", dagster=(9.0, "worse"), prefect=(1.0, "best")),
        measurement("operations", dagster=(None, "worse"), prefect=(1.0, "best")),
        measurement("operations", dagster=(9.0, "too few measurements to tell"), prefect=(1.0, "best")),
        measurement("operations", dagster=(None, "not measured"), prefect=(1.0, "best")),
    ]
    file = tmp_path / "trial.json"
    file.write_text(json.dumps({"orchestrators": {"dagster": "Dagster", "prefect": "Prefect"}, "metrics": rows}))
    whole = json.loads(recommend({}, "--format", "json", "--measured", str(file)).stdout)
    # Best of the two keeps the better score of the guide; four times as long is two points less.
    assert whole["measured"]["dagster"] == {"developer_experience": 5.0, "testing": 5.0, "operations": 1.0}
    assert whole["measured"]["prefect"] == {"developer_experience": 3.0, "testing": 5.0, "operations": 4.0}
    scores = {each["id"]: each["dimensions"] for each in whole["decision"]["ranking"]}
    assert scores["prefect"]["developer_experience"] == 3.0
    assert scores["airflow"]["developer_experience"] == 2
    shown = recommend({}, "--measured", str(file))
    assert "Measured, in place of the guide's scores: Prefect developer_experience 3" in " ".join(shown.stdout.split())
    file.write_text("{}")
    refused = recommend({}, "--measured", str(file))
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"error: {file} is not the trial.json")
