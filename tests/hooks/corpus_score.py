"""Precision and recall of each rule over the corpus: small repositories whose lines say what is expected of them.

A line that a rule must flag ends in ``# expect: <rule>, ...``; every other line must not be flagged. Where a line can
take no comment, the file ``labels.txt`` of that repository names it as ``path:line: rule``.

``corpus/*.txt`` hold the repositories of one subject each, in the txtar form: a line ``-- repository/path --`` begins a
file. Whoever makes a project from the template fetches this repository, and many small files would make that slower.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from orch_standards import check, rules

CORPUS = Path(__file__).with_name("corpus")
LABELS = "labels.txt"
EXPECTED = re.compile(r"# expect: ([a-z0-9-]+(?:, [a-z0-9-]+)*)")
FILE = re.compile(r"^-- (\S+) --\n", re.MULTILINE)


@dataclass
class Score:
    """Lines by what became of them. Each is ``path:line``."""

    right: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)

    @property
    def precision(self) -> float | None:
        said = len(self.right) + len(self.wrong)
        return len(self.right) / said if said else None

    @property
    def recall(self) -> float | None:
        labelled = len(self.right) + len(self.missed)
        return len(self.right) / labelled if labelled else None


@cache
def _written() -> TemporaryDirectory:
    """The repositories as files, until this process ends."""
    folder = TemporaryDirectory(prefix="corpus-")
    for archive in CORPUS.glob("*.txt"):
        _, *parts = FILE.split(archive.read_text(encoding="utf-8"))
        for name, text in zip(parts[::2], parts[1::2], strict=True):
            path = Path(folder.name, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    return folder


def repositories() -> list[Path]:
    return sorted(Path(_written().name).iterdir())


def expected(repository: Path) -> set[tuple[str, int, str]]:
    """(path, line, rule) of every label."""
    found = set()
    for path in sorted(repository.rglob("*")):
        if not path.is_file() or "__pycache__" in path.parts:
            continue
        name = path.relative_to(repository).as_posix()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if name == LABELS:
                place, _, rule = line.rpartition(": ")
                file, _, at = place.rpartition(":")
                found.add((file, int(at), rule))
            elif match := EXPECTED.search(line):
                found |= {(name, number, rule) for rule in match[1].split(", ")}
    return found


def scores() -> dict[str, Score]:
    """The score of every rule."""
    found = {rule: Score() for rule in rules()}
    for repository in repositories():
        wanted = expected(repository)
        said = {(finding.path, finding.line, finding.rule) for finding in check(repository)}
        for kind, places in (("right", said & wanted), ("wrong", said - wanted), ("missed", wanted - said)):
            for path, line, rule in sorted(places):
                getattr(found[rule], kind).append(f"{repository.name}/{path}:{line}")
    return found


if __name__ == "__main__":
    for rule, score in scores().items():
        print(f"{rule:32} right {len(score.right):3}  wrong {score.wrong}  missed {score.missed}")
