"""How well the rules do over labelled repositories; docs/standards.md publishes the same figures."""

from __future__ import annotations

import subprocess
import sys

import pytest
from corpus_score import expected, repositories, scores
from orch_standards import rules
from repository import ROOT


@pytest.fixture(scope="module")
def measured():
    return scores()


def test_every_label_names_a_rule():
    labelled = {rule for repository in repositories() for _, _, rule in expected(repository)}
    assert labelled == set(rules()), "a rule without a case, or a case of no rule"


@pytest.mark.parametrize("rule", rules())
def test_a_rule_is_mostly_right_and_misses_little(measured, rule):
    score = measured[rule]
    assert score.precision >= 0.6, score.wrong
    assert score.recall >= 0.5, score.missed


def test_findings_as_a_whole_can_be_trusted(measured):
    right, wrong, missed = (
        sum(len(getattr(score, kind)) for score in measured.values()) for kind in ("right", "wrong", "missed")
    )
    assert right / (right + wrong) >= 0.95
    assert right / (right + missed) >= 0.9


def test_the_page_shows_what_is_measured():
    command = [sys.executable, str(ROOT / "tools" / "write_standards_page.py"), "--check"]
    assert subprocess.run(command, check=False).returncode == 0
