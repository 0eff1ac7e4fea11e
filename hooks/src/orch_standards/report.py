"""What a check says; ``check()`` makes findings of it."""

from __future__ import annotations

from typing import NamedTuple


class Report(NamedTuple):
    """what: the thing it is about, for the rule's sentence."""

    rule: str
    path: str
    line: int
    what: str = ""
