"""Which external system a name, an import, an address or a command belongs to, by ``data/systems.yml``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from importlib import resources
from typing import Any

import yaml

SCHEME = re.compile(r"((?:jdbc:)?[a-zA-Z][\w+.-]*)://")
WORD = re.compile(r"[a-z0-9]+")


@cache
def table() -> dict[str, dict[str, Any]]:
    """Each system by its id."""
    return yaml.safe_load(resources.files("orch_inventory").joinpath("data/systems.yml").read_text(encoding="utf-8"))


@cache
def _by(key: str) -> list[tuple[str, str]]:
    return [(text, system) for system, row in table().items() for text in row.get(key, ())]


@cache
def _classes() -> list[tuple[re.Pattern[str], str]]:
    return [(re.compile(row["classes"]), system) for system, row in table().items() if "classes" in row]


def of_class(name: str) -> list[str]:
    """Of an operator, sensor, hook or the like, by the name of its class."""
    return [system for pattern, system in _classes() if pattern.search(name)]


def of_import(dotted: str) -> str | None:
    """Of something that is imported, by its full name; the longest beginning that fits."""
    fits = [(text, system) for text, system in _by("imports") if f"{dotted}.".startswith(f"{text}.")]
    return max(fits, key=lambda each: len(each[0]), default=(None, None))[1]


def of_text(text: str) -> Iterator[tuple[str, str]]:
    """The addresses in a text, each as scheme and system."""
    schemes = dict(_by("schemes"))
    for match in SCHEME.finditer(text):
        scheme = match[1].lower()
        if scheme in schemes:
            yield f"{scheme}://", schemes[scheme]


def of_command(words: list[str]) -> str | None:
    """Of a command, by its program, or by that and what comes next."""
    commands = dict(_by("commands"))
    program = words[0].rpartition("/")[2] if words else ""
    following = next((each for each in words[1:] if not each.startswith("-")), "")
    return commands.get(f"{program} {following}") or commands.get(program)


def of_connection(name: str) -> str | None:
    """What the name of a connection hints at."""
    words = WORD.findall(name.lower())
    spaced = f"_{'_'.join(words)}_"
    fits = [(text, system) for text, system in _by("names") if f"_{text}_" in spaced]
    return max(fits, key=lambda each: len(each[0]), default=(None, None))[1]
