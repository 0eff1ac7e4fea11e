"""The questionnaire as a person meets it: at a terminal of 80 columns, with Enter for every default."""

from __future__ import annotations

import sys

import pexpect
import pytest
import yaml
from combinations import files_in
from decision_engine import CHOICES
from keyboard import DOWN, ENTER, ESCAPES
from repository import QUESTIONS, ROOT

TOPICS = ("project", "decision", "orchestrator", "hosting", "production", "pipeline")
ONLY_FOR_SOME = ("mirror", "image_registry")  # asked where the hosting or the network needs them


@pytest.fixture
def at_terminal(template, tmp_path):
    """Answer the questionnaire by keys, Enter unless told otherwise: ``at_terminal(pipeline_shape=DOWN + ENTER)``.

    ``skipped`` names the questions that these answers make needless; it is an error when one is asked after all.
    ``also`` names those that only these answers make necessary.
    Returns the answers file's content and the text of the screen.
    """

    def answer(skipped: str = "", quick: bool = False, also: str = "", **keys: str) -> tuple[dict, str]:
        assert not keys.keys() - QUESTIONS.keys()
        target = tmp_path / "project"
        command = [sys.executable, "-m", "copier", "copy", str(template), str(target)]
        shown = ""
        with pexpect.spawn(command[0], command[1:], dimensions=(50, 80), encoding="utf-8", timeout=60) as screen:
            for name in asked(skipped, quick, also):
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


def asked(skipped: str, quick: bool = False, also: str = "") -> list[str]:
    """The questions in the order asked; those without a `help` of their own never are."""
    topics = [yaml.safe_load((ROOT / "questions" / f"{topic}.yml").read_text()) for topic in TOPICS]
    named = {name: question for topic in topics for name, question in topic.items() if "help" in question}
    if quick:
        named = {name: q for name, q in named.items() if "depth ==" not in str(q.get("ask"))}
    assert {*skipped.split()} <= named.keys()
    left_out = {*skipped.split(), *ONLY_FOR_SOME} - {*also.split()}
    return [name for name in named if name not in left_out]


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


def test_a_system_without_template_is_shown_but_cannot_be_chosen(at_terminal):
    answers, screen = at_terminal(skipped="mental_model", pipeline_shape=DOWN * 3 + ENTER)
    assert answers["pipeline_shape"] == "approval"
    assert answers["orchestrator"] in ("airflow", "dagster", "prefect")
    assert "Your answers point to Temporal" in screen
    assert "it has no template here yet" in " ".join(screen.split())


@pytest.mark.deep
def test_an_isolated_network_is_not_asked_for_hosting(at_terminal):
    answers, screen = at_terminal(skipped="hosting", also="mirror", vpc=DOWN * 2 + ENTER)
    assert (answers["vpc"], answers["mirror"]) == ("isolated", "mirror.example.com")
    assert "hosting" not in answers
    assert QUESTIONS["hosting"]["help"].splitlines()[0] not in screen


def test_the_short_way_asks_five_questions_of_the_decision(at_terminal):
    answers, screen = at_terminal(quick=True, depth=DOWN + ENTER, team_size=DOWN + ENTER)
    assert (answers["depth"], answers["team_size"]) == ("quick", "more_than_15")
    assert [name for name in asked("", quick=True) if name in CHOICES] == [
        "pipeline_shape",
        "team_size",
        "current_orchestrator",
        "vpc",
        "hosting",
    ]
    assert QUESTIONS["needs"]["help"].splitlines()[0] not in screen


@pytest.mark.deep
def test_a_hybrid_is_not_asked_for_orchestrators_that_it_has(at_terminal):
    answers, screen = at_terminal(skipped="also_orchestrators hosting_variant", pipeline_shape=DOWN * 5 + ENTER)
    assert answers["member_orchestrators"] == ["airflow", "dagster", "prefect"]
    assert QUESTIONS["also_orchestrators"]["help"].splitlines()[0] not in screen
