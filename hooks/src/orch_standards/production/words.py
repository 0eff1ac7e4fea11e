"""What the names of pipelines and their parts say, by ``data/words.toml``."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from functools import cache
from importlib import resources
from itertools import pairwise

WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
# SQL that only takes something away, and SQL that makes something.
TAKES_AWAY = re.compile(
    r"\b(?:drop\s+(?:table|schema|database|view|partition)|delete\s+from|truncate|vacuum|expire_snapshots)\b", re.I
)
MAKES = re.compile(r"\b(?:insert|merge|create|copy|update|replace)\s", re.IGNORECASE)


@cache
def _table() -> dict[str, frozenset[str]]:
    text = resources.files("orch_standards").joinpath("data/words.toml").read_text(encoding="utf-8")
    return {name: frozenset(words) for name, words in tomllib.loads(text).items()}


def words_of(text: str) -> set[str]:
    """The words of a name or sentence, without a plural's s: ``wait_for_files``, ``DbtRunSensor``.

    Two that follow each other are also taken as one: clean_up, health_check.
    """
    words = [word.lower() if len(word) < 4 else word.lower().removesuffix("s") for word in WORD.findall(text)]
    return {*words, *(first + second for first, second in pairwise(words))}


def waits(name: str) -> bool:
    return bool(words_of(name) & _table()["waits"])


def is_upkeep(name: str) -> bool:
    """Whether a name, or the sentence or command that goes with it, is one of upkeep."""
    words, table = words_of(name), _table()
    return bool(words & table["upkeep"]) or bool(words & table["clean"] and words & table["leftovers"])


def only_takes_away(texts: Iterable[str]) -> bool:
    """Whether the statements among these texts drop and delete, and none makes anything."""
    every = list(texts)
    return any(map(TAKES_AWAY.search, every)) and not any(map(MAKES.search, every))
