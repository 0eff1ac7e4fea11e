"""A baseline: the findings that there are already, so that only new ones fail.

Lines may move; a finding is the same as long as its file and its sentence are.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from .findings import Finding
from .settings import ProjectError

VERSION = 1
Key = tuple[str, str, str]  # path, rule, sentence


def _key(finding: Finding) -> Key:
    return finding.path, finding.rule, finding.sentence


def write(path: Path, findings: Iterable[Finding]) -> int:
    """Write all findings into a file; returns how many there are. Sentences hold no secret, so neither does it."""
    counted = Counter(map(_key, findings))
    entries = [
        {"path": path, "rule": rule, "sentence": sentence, "count": number}
        for (path, rule, sentence), number in sorted(counted.items())
    ]
    text = json.dumps({"version": VERSION, "findings": entries}, indent=1, ensure_ascii=False) + "\n"
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ProjectError(f"the baseline {path} cannot be written: {error.strerror}") from None
    return counted.total()


def read(path: Path) -> Counter[Key]:
    """How often each finding is known. Raises ProjectError for a file that is not a baseline."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["version"] != VERSION:
            raise ProjectError(f"the baseline {path} is of another version: write it again with --write-baseline")
        return Counter(
            {(each["path"], each["rule"], each["sentence"]): int(each["count"]) for each in content["findings"]}
        )
    except FileNotFoundError:
        raise ProjectError(f"there is no baseline {path}: write it with --write-baseline") from None
    except (OSError, ValueError, KeyError, TypeError):
        raise ProjectError(f"{path} is not a baseline: write it again with --write-baseline") from None


def new(findings: list[Finding], known: Counter[Key]) -> tuple[list[Finding], int]:
    """The findings that are not known, and how many known ones are there no more."""
    left = Counter(known)
    fresh = []
    for finding in findings:
        if left[_key(finding)] > 0:
            left[_key(finding)] -= 1
        else:
            fresh.append(finding)
    return fresh, left.total()
