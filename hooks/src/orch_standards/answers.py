"""answers-untouched: Copier's answers are as Copier wrote them.

The template writes a checksum of the answers above them; answers changed by hand no longer match it. Such answers are
not what the files were rendered from, and the next update compares against a project that never was.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator

from .project import Project
from .report import Report

ANSWERS = ".copier-answers.yml"
CHECKSUM = re.compile(r"^# checksum: ([0-9a-f]{64})$", re.MULTILINE)


def check(project: Project) -> Iterator[Report]:
    if not (project.root / ANSWERS).is_file():
        return
    text = project.text(ANSWERS)
    found = CHECKSUM.search(text)
    # Answers of a version that wrote no checksum cannot be told from changed ones.
    if found and checksum(text) != found[1]:
        yield Report("answers-edited", ANSWERS, text[: found.start()].count("\n") + 1)


def checksum(text: str) -> str:
    """SHA-256 of the answers, the comments above them left out."""
    lines = text.splitlines(keepends=True)
    while lines and lines[0].startswith("#"):
        lines.pop(0)
    return hashlib.sha256("".join(lines).strip().encode()).hexdigest()
