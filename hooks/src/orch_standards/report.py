"""What a check says; ``check()`` makes findings of it."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class Place(Protocol):
    """A node of a Python file."""

    lineno: int
    col_offset: int


class Report(NamedTuple):
    """what: the thing it is about, for the rule's sentence. column: from 1; 0 for where the line begins."""

    rule: str
    path: str
    line: int
    what: str = ""
    column: int = 0

    @classmethod
    def at(cls, rule: str, path: str, node: Place, what: str = "") -> Report:
        return cls(rule, path, node.lineno, what, node.col_offset + 1)
