"""What tests know of this repository: where it is, its questions, and git as the tests call it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]


def git(*arguments: str, cwd: Path) -> str:
    identity = ["-c", "user.name=tests", "-c", "user.email=tests@example.com", "-c", "commit.gpgsign=false"]
    return subprocess.run(
        ["git", *identity, *arguments], cwd=cwd, check=True, capture_output=True, text=True
    ).stdout.strip()


def _questions() -> dict[str, dict]:
    """All questions by name, hidden ones too."""
    questions: dict[str, dict] = {}
    own = sorted((ROOT / "template").glob("**/questions.yml"))  # of an orchestrator, of a shape
    for path in [*sorted((ROOT / "questions").glob("*.yml")), *own]:
        questions |= yaml.safe_load(path.read_text())
    return questions


QUESTIONS = _questions()
