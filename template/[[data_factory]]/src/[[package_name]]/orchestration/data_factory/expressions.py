"""The expressions of Data Factory, as far as the platform's definitions use them.

Both branches of ``if`` are evaluated, and a function that is not here is an error: what works here asks nothing of the
service that its documentation does not promise.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from tzlocal.windows_tz import win_tz

from ...platform.errors import ConfigError

TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<number>-?\d+(?:\.\d+)?)|(?P<name>[A-Za-z_]\w*)|(?P<sign>\?\.|\?\[|[().,\[\]]))"
)
DATE = re.compile(r"(\d{4}-\d{2}-\d{2})(?:T(\d{2}:\d{2}:\d{2})(\.\d+)?Z?)?")
FORMATS = {"yyyy-MM-dd": "%Y-%m-%d", "yyyy-MM": "%Y-%m", "yyyy-MM-ddTHH": "%Y-%m-%dT%H"}
CONSTANTS = {"true": True, "false": False, "null": None}


class ExpressionError(Exception):
    """An expression cannot be read or evaluated; the activity that has it fails."""


@dataclass(frozen=True)
class Node:
    """A part of an expression. kind: ``value``, ``call`` or ``member``; the last has the owner before the key."""

    kind: str
    value: Any
    parts: tuple[Node, ...] = ()
    optional: bool = False


def evaluate(value: Any, roots: Mapping[str, Callable[..., Any]]) -> Any:
    """A value of a definition with its expressions evaluated, however deep they are.

    roots: what ``pipeline()``, ``variables()``, ``activity()`` and the like return. Raises ExpressionError.
    """
    if isinstance(value, Mapping):
        if set(value) == {"value", "type"} and value["type"] == "Expression":
            return evaluate(value["value"], roots)
        return {key: evaluate(each, roots) for key, each in value.items()}
    if isinstance(value, list):
        return [evaluate(each, roots) for each in value]
    if not isinstance(value, str):
        return value
    pieces = [each if isinstance(each, str) else _result(each, roots) for each in parsed(value)]
    return pieces[0] if len(pieces) == 1 else "".join(map(_text, pieces))


@cache
def parsed(text: str) -> tuple[str | Node, ...]:
    """A text as Data Factory reads it: one expression after ``@``, or text with ``@{expressions}``."""
    if text.startswith("@@") or "@" not in text:
        return (text.removeprefix("@"),)
    if text.startswith("@") and not text.startswith("@{"):
        node, rest = _node(text, 1)
        if text[rest:].strip():
            raise ExpressionError(f"there is something after the end of {text[:60]}: {text[rest:][:20]}")
        return (node,)
    pieces: list[str | Node] = []
    at = 0
    while (begin := text.find("@{", at)) >= 0:
        node, end = _node(text, begin + 2)
        if text[end : end + 1] != "}":
            raise ExpressionError(f"}} is missing after {text[begin:end]}")
        pieces += [text[at:begin], node]
        at = end + 1
    return tuple(each for each in (*pieces, text[at:]) if each != "")


def nodes(value: Any) -> Iterator[Node]:
    """Every part of every expression in a value of a definition. Raises ExpressionError."""
    if isinstance(value, Mapping):
        # What a pipeline returns has its expression under another key.
        for each in value.values():
            yield from nodes(each)
    elif isinstance(value, list):
        for each in value:
            yield from nodes(each)
    elif isinstance(value, str):
        for each in parsed(value):
            if isinstance(each, Node):
                yield from _within(each)


def _within(node: Node) -> Iterator[Node]:
    yield node
    for each in node.parts:
        yield from _within(each)


def _node(text: str, at: int) -> tuple[Node, int]:
    """The expression that begins here, and where it ends."""
    found = TOKEN.match(text, at)
    if not found or found["sign"]:
        raise ExpressionError(f"an expression is expected at: {text[at : at + 30] or 'the end'}")
    at = found.end()
    if found["text"]:
        node = Node("value", found["text"][1:-1].replace("''", "'"))
    elif found["number"]:
        node = Node("value", float(found["number"]) if "." in found["number"] else int(found["number"]))
    elif (following := TOKEN.match(text, at)) and following["sign"] == "(":
        arguments, at = _arguments(text, following.end())
        node = Node("call", found["name"], arguments)
    elif found["name"] in CONSTANTS:
        return Node("value", CONSTANTS[found["name"]]), at
    else:
        raise ExpressionError(f"{found['name']} is no function: a text stands between quotes")
    while (sign := TOKEN.match(text, at)) and sign["sign"] in (".", "?.", "[", "?["):
        optional = sign["sign"].startswith("?")
        if sign["sign"].endswith("["):
            key, end = _node(text, sign.end())
            closing = TOKEN.match(text, end)
            if not closing or closing["sign"] != "]":
                raise ExpressionError(f"] is missing at: {text[end : end + 30] or 'the end'}")
        else:
            closing = TOKEN.match(text, sign.end())
            if not closing or not closing["name"]:
                raise ExpressionError(f"a name is expected after the dot: {text[at : at + 30]}")
            key = Node("value", closing["name"])
        node, at = Node("member", "", (node, key), optional), closing.end()
    return node, at


def _arguments(text: str, at: int) -> tuple[tuple[Node, ...], int]:
    closing = TOKEN.match(text, at)
    if closing and closing["sign"] == ")":
        return (), closing.end()
    arguments = []
    while True:
        node, at = _node(text, at)
        arguments.append(node)
        sign = TOKEN.match(text, at)
        if not sign or sign["sign"] not in (",", ")"):
            raise ExpressionError(f") is missing at: {text[at : at + 30] or 'the end'}")
        at = sign.end()
        if sign["sign"] == ")":
            return tuple(arguments), at


def _result(node: Node, roots: Mapping[str, Callable[..., Any]]) -> Any:
    if node.kind == "value":
        return node.value
    parts = [_result(each, roots) for each in node.parts]
    if node.kind == "member":
        return _member(*parts, node.optional)
    function = roots.get(node.value) or FUNCTIONS.get(node.value)
    if function is None:
        raise ConfigError(
            f"{node.value}() is no function that this project's runner knows; it knows {', '.join(sorted(FUNCTIONS))}"
        )
    try:
        return function(*parts)
    except (TypeError, ValueError, KeyError, IndexError, AttributeError) as error:
        raise ExpressionError(f"{node.value}() cannot be evaluated: {error}") from error


def _member(owner: Any, key: Any, optional: bool) -> Any:
    if optional and owner is None:
        return None
    try:
        return owner[key]
    except (KeyError, IndexError, TypeError):
        if optional:
            return None
        raise ExpressionError(f"there is no {key} here") from None


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, separators=(",", ":"))


def moment(text: str) -> datetime:
    """A date or time as the service writes it; in UTC."""
    matched = DATE.fullmatch(text)
    if not matched:
        raise ValueError(f"{text!r} is no time")
    micros = (matched[3] or ".0")[1:7].ljust(6, "0")
    return datetime.fromisoformat(f"{matched[1]}T{matched[2] or '00:00:00'}.{micros}").replace(tzinfo=UTC)


def written(when: datetime, form: str = "o") -> str:
    """A time as the service writes it; its own form sorts as the times do."""
    if form == "o":
        return when.strftime("%Y-%m-%dT%H:%M:%S.%f") + "0Z"
    if form not in FORMATS:
        raise ConfigError(f"the runner does not know the form {form!r} of a date; it knows {', '.join(FORMATS)}")
    return when.strftime(FORMATS[form])


def zone(name: str) -> ZoneInfo:
    """The time zone with this name of Windows, which is what the service knows zones by."""
    if name not in win_tz:
        raise ValueError(f"{name!r} is no time zone of Windows")
    return ZoneInfo(win_tz[name])


def _converted(text: str, zone_name: str) -> str:
    return written(moment(text).astimezone(zone(zone_name)).replace(tzinfo=UTC))


def _nested(*values: bool) -> list[bool]:
    if any(not isinstance(each, bool) for each in values):
        raise TypeError("it takes true and false alone")
    return list(values)


def _int(value: Any) -> int:
    return int(value)


def utc_now() -> datetime:
    """This moment; tests set another one."""
    return datetime.now(UTC)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "add": lambda one, other: one + other,
    "addDays": lambda text, days: written(moment(text) + timedelta(days=days)),
    "addHours": lambda text, hours: written(moment(text) + timedelta(hours=hours)),
    "addSeconds": lambda text, seconds: written(moment(text) + timedelta(seconds=seconds)),
    "and": lambda *values: all(_nested(*values)),
    "coalesce": lambda *values: next((each for each in values if each is not None), None),
    "concat": lambda *values: "".join(map(_text, values)),
    "contains": lambda whole, part: part in whole,
    "convertFromUtc": _converted,
    "createArray": lambda *values: list(values),
    "dayOfWeek": lambda text: (moment(text).weekday() + 1) % 7,
    "div": lambda one, other: one // other,
    "empty": lambda value: not value,
    "equals": lambda one, other: one == other,
    "first": lambda values: values[0],
    "formatDateTime": lambda text, form="o": written(moment(text), form),
    "greater": lambda one, other: one > other,
    "greaterOrEquals": lambda one, other: one >= other,
    "if": lambda condition, one, other: one if _nested(condition)[0] else other,
    "int": _int,
    "last": lambda values: values[-1],
    "length": len,
    "less": lambda one, other: one < other,
    "lessOrEquals": lambda one, other: one <= other,
    "max": max,
    "min": min,
    "mod": lambda one, other: one % other,
    "mul": lambda one, other: one * other,
    "not": lambda value: not _nested(value)[0],
    "or": lambda *values: any(_nested(*values)),
    "rand": lambda low, high: random.randrange(low, high),  # noqa: S311  it spreads pauses
    "replace": lambda text, before, after: text.replace(before, after),
    "split": lambda text, separator: text.split(separator),
    "startOfMonth": lambda text: written(moment(text).replace(day=1, hour=0, minute=0, second=0, microsecond=0)),
    "startsWith": lambda text, beginning: text.lower().startswith(beginning.lower()),
    "string": _text,
    "sub": lambda one, other: one - other,
    "utcNow": lambda form="o": written(utc_now(), form),
}
