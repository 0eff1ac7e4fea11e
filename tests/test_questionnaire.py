"""The questionnaire as a person meets it: at a terminal of 80 columns, with Enter for every default."""

from __future__ import annotations

import sys

import pexpect
import pytest
import yaml
from combinations import files_in
from decision_engine import CHOICES
from keyboard import DOWN, ENTER, ESCAPES, asked
from repository import QUESTIONS

# What the first release asked about the decision, whatever the answers; see its questions/decision.yml.
ASKED_AT_FIRST = 10


@pytest.fixture
def at_terminal(template, tmp_path):
    """Answer the questionnaire by keys, Enter unless told otherwise: ``at_terminal(pipeline_shape=DOWN + ENTER)``.

    ``skipped`` names the questions that these answers make needless, ``more`` those that only they make worth asking;
    it is an error when one is asked after all. Returns the answers file's content and the text of the screen.
    """

    def answer(skipped: str = "", more: str = "", quick: bool = False, **keys: str) -> tuple[dict, str]:
        assert not keys.keys() - QUESTIONS.keys()
        target = tmp_path / "project"
        command = [sys.executable, "-m", "copier", "copy", str(template), str(target)]
        command += ["--data", "depth=quick"] if quick else []
        shown = ""
        with pexpect.spawn(command[0], command[1:], dimensions=(50, 80), encoding="utf-8", timeout=60) as screen:
            for name in asked(skipped, more, quick):
                screen.expect_exact(first_line_of_help(name))
                shown += screen.before + screen.after
                screen.send(keys.get(name, ENTER))
            screen.expect(pexpect.EOF)
            shown += screen.before
        assert screen.wait() == 0, shown[-2000:]
        return yaml.safe_load((target / ".copier-answers.yml").read_text()), ESCAPES.sub("", shown)

    return answer


def first_line_of_help(name: str) -> str:
    return "Which orchestrator?" if name == "orchestrator" else QUESTIONS[name]["help"].splitlines()[0]


def test_enter_at_every_question_gives_the_project_of_the_defaults(at_terminal, render, tmp_path):
    answers, screen = at_terminal()
    expected = yaml.safe_load((render() / ".copier-answers.yml").read_text())
    assert {**answers, "_src_path": ""} == {**expected, "_src_path": ""}
    assert files_in(tmp_path / "project") == files_in(render())
    for line in (
        "Your answers point to Apache Airflow",
        "Runner-up: Prefect",
        "Orchestrator: Apache Airflow",
        "make run",
    ):
        assert line in screen


@pytest.mark.deep
def test_a_clouds_own_service_is_recommended_on_its_cloud(at_terminal):
    keys = {"pipeline_shape": DOWN * 4 + ENTER, "cloud": DOWN * 2 + ENTER}
    answers, screen = at_terminal(skipped="mental_model", more="image_registry", **keys)
    assert (answers["pipeline_shape"], answers["cloud"]) == ("service_glue", "azure")
    assert answers["orchestrator"] == "data_factory"
    assert "Your answers point to Azure Data Factory" in screen


@pytest.mark.deep
def test_an_isolated_network_is_not_asked_for_hosting(at_terminal):
    answers, screen = at_terminal(skipped="hosting", more="platform_engineers experience mirror", vpc=DOWN * 2 + ENTER)
    assert (answers["vpc"], answers["mirror"]) == ("isolated", "mirror.example.com")
    assert "hosting" not in answers
    assert QUESTIONS["hosting"]["help"].splitlines()[0] not in screen


@pytest.mark.deep
def test_the_short_way_asks_five_questions_of_the_decision(at_terminal):
    answers, screen = at_terminal(quick=True, team_size=DOWN + ENTER)
    assert (answers["depth"], answers["team_size"]) == ("quick", "more_than_15")
    assert [name for name in asked(quick=True) if name in CHOICES] == [
        "pipeline_shape",
        "team_size",
        "current_orchestrator",
        "vpc",
        "hosting",
    ]
    assert QUESTIONS["needs"]["help"].splitlines()[0] not in screen


def test_no_more_is_asked_than_at_first_unless_the_answers_need_it():
    assert len([name for name in asked() if name in CHOICES]) <= ASKED_AT_FIRST


@pytest.mark.deep
def test_what_the_answers_need_is_asked(at_terminal):
    several_needs = f" {DOWN} {ENTER}"
    needed = {"hosting": DOWN * 2 + ENTER, "needs": several_needs, "matters_most": DOWN * 6 + " " + ENTER}
    answers, _ = at_terminal(more="platform_engineers experience matters_most", platform_engineers="y", **needed)
    assert (answers["hosting"], answers["platform_engineers"]) == ("self_host", True)
    assert answers["needs"] == ["many_integrations", "sensors"]
    assert answers["matters_most"] == ["cost"]


@pytest.mark.deep
def test_a_hybrid_is_not_asked_for_orchestrators_that_it_has(at_terminal):
    answers, screen = at_terminal(skipped="hosting_variant", pipeline_shape=DOWN * 5 + ENTER)
    assert answers["member_orchestrators"] == ["airflow", "dagster", "prefect"]
    asked = screen[screen.index(QUESTIONS["also_orchestrators"]["help"].splitlines()[0]) :]
    choices = asked[: asked.index(first_line_of_help("environments"))]
    assert "Temporal" in choices
    assert not [name for name in ("Airflow", "Dagster", "Prefect") if name in choices]
