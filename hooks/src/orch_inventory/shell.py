"""The commands of a shell line, without what only wraps them."""

from __future__ import annotations

import re
import shlex
from functools import cache
from importlib import resources
from itertools import groupby
from typing import Any

import yaml

SEPARATORS = {"&&", "||", ";", "|", "&", "\n", ";;", "|&", "(", ")", "{", "}"}
REDIRECTIONS = re.compile(r"^\d*(?:>>?|<<?<?|>&|&>>?|>\|)\d*$")
SETTING = re.compile(r"^[A-Za-z_]\w*=")


@cache
def _table() -> dict[str, Any]:
    return yaml.safe_load(resources.files("orch_inventory").joinpath("data/shell.yml").read_text(encoding="utf-8"))


def commands(text: str) -> list[list[str]]:
    """Each command of a text as its words, in order: those in `bash -c` too, wrappers and redirections left out."""
    found = []
    for line in text.replace("\\\n", " ").splitlines():
        for is_end, words in groupby(_words(line), key=lambda word: word in SEPARATORS):
            if not is_end:
                found += _command(_without_redirections(list(words)))
    return found


def _words(line: str) -> list[str]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|()<>")
    lexer.whitespace_split = True
    try:
        return list(lexer)
    except ValueError:  # a quote without its end
        return re.split(r"\s+", line.strip())


def _without_redirections(words: list[str]) -> list[str]:
    kept, skip = [], False
    for number, word in enumerate(words):
        if skip:
            skip = False
        elif REDIRECTIONS.match(word):
            skip = True
        elif not (word.isdigit() and number + 1 < len(words) and REDIRECTIONS.match(words[number + 1])):
            kept.append(word)
    return kept


def _command(words: list[str]) -> list[list[str]]:
    while words:
        program = words[0].rpartition("/")[2]
        if SETTING.match(words[0]):
            words = words[1:]
        elif program in _table()["wrappers"] and len(words) > 1:
            words = _wrapped(words, program)
            if len(words) > 1 and words[0] == "-c":  # flock FILE -c "command"
                return commands(words[1])
        elif program in _table()["shells"] and len(words) > 1:
            at = next((n for n, word in enumerate(words) if re.fullmatch(r"-\w*c", word)), None)
            if at is not None and at + 1 < len(words):
                return commands(words[at + 1])
            script = next((n for n, word in enumerate(words[1:], 1) if not word.startswith("-")), None)
            return [words[script:]] if script else [words]
        else:
            return [] if program in _table()["plumbing"] else [words]
    return []


def _wrapped(words: list[str], program: str) -> list[str]:
    """What a wrapper runs: without its options, their values and the words of its own."""
    rest, own = words[1:], _table()["wrappers"][program]
    while rest:
        if rest[0].startswith("-") and rest[0] != "-c":
            rest = rest[2:] if rest[0] in _table()["with_value"].get(program, ()) else rest[1:]
        elif own and rest[0] != "-c":
            rest, own = rest[1:], own - 1
        else:
            break
    return rest
