"""no-update-leftovers: what an update left for people to settle and nobody did."""

from __future__ import annotations

from collections.abc import Iterator

from .project import Project
from .report import Report

STARTS, ENDS = b"<<<<<<< ", b">>>>>>> "


def check(project: Project) -> Iterator[Report]:
    for path in project.files:
        if path.endswith((".rej", ".orig")):
            yield Report("rejected-change", path, 1, path.rpartition("/")[2])
            continue
        content = project.bytes(path)
        if (STARTS in content or ENDS in content) and b"\0" not in content:
            for number, line in enumerate(content.splitlines(), 1):
                if line.startswith((STARTS, ENDS)):
                    yield Report("conflict-marker", path, number, line[:7].decode())
