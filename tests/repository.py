"""What tests know of this repository: where it is, its questions, and git as the tests call it."""

from __future__ import annotations

import subprocess
import textwrap
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]


def write_files(folder: Path, files: dict[str, str]) -> Path:
    """Write texts, indented as in a test, to these paths of the folder. Returns the folder."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip("\n"))
    return folder


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
    return {name: question for name, question in questions.items() if not name.startswith("_")}


QUESTIONS = _questions()
