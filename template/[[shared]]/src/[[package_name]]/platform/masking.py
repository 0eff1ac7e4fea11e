"""Masking: every secret that was read is shown as *** from then on, in log lines, tracebacks, alerts and terminal."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, quote_plus, urlsplit

MASK = "***"
SHORTEST_PART = 8  # of a longer secret: a line of a key, a token within an address
SHOWN = ("strerror", "filename", "filename2", "msg", "message")

_values: set[str] = set()
_pattern: re.Pattern[str] | None = None
_listeners: list[Callable[[str], object]] = []


def add(value: str) -> None:
    """Mask this value from now on, in all forms in which a client or a traceback may show it."""
    global _pattern
    if not value.strip() or value in _values:
        return
    _values.add(value)
    forms = {form for known in _values for part in (known, *_parts(known)) for form in _forms(part)}
    _pattern = re.compile("|".join(map(re.escape, sorted(forms, key=len, reverse=True))))
    for tell in _listeners:
        tell(value)


def add_listener(tell: Callable[[str], object]) -> None:
    """Call this with every secret, those known already too: for engines that have masks of their own."""
    _listeners.append(tell)
    for value in sorted(_values):
        tell(value)


def mask(text: str) -> str:
    return _pattern.sub(MASK, text) if _pattern else text


def mask_all(value: Any) -> Any:
    """The value with every text in it masked, however deep in dictionaries, lists, exceptions and other objects."""
    if _pattern is None or value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, dict):
        return {mask_all(key): mask_all(each) for key, each in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [mask_all(each) for each in value]
    shown = repr(value)
    return mask(shown) if _pattern.search(shown) else value


def scrub(error: BaseException) -> None:
    """Mask the messages of an error and of those it came from, in place: engines store and show them."""
    seen: set[int] = set()
    pending: list[BaseException | None] = [error]
    while pending:
        each = pending.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        masked = tuple(mask_all(argument) for argument in each.args)
        if masked != each.args:
            each.args = masked
        for name in SHOWN:  # what some errors show instead of their arguments
            if isinstance(getattr(each, name, None), str):
                setattr(each, name, mask(getattr(each, name)))
        pending += [each.__cause__, each.__context__, *getattr(each, "exceptions", ())]


def mask_records() -> None:
    """Mask all records of the standard library's logging in this process, whichever logger and handler they go to."""
    make = logging.getLogRecordFactory()
    if getattr(make, "masks", False):
        return

    def masked(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = make(*args, **kwargs)
        if _pattern:
            _mask_record(record)
        return record

    masked.masks = True
    logging.setLogRecordFactory(masked)


def _mask_record(record: logging.LogRecord) -> None:
    if record.exc_info and record.exc_info[1]:
        scrub(record.exc_info[1])
    if record.args:
        masked = mask(record.getMessage())
        if masked != record.getMessage():
            record.msg, record.args = masked, ()
    else:
        record.msg = mask_all(record.msg)


def _parts(value: str) -> set[str]:
    """Parts that tell the secret too: lines of a longer text, and what identifies the caller in an address."""
    parts = {line for line in value.splitlines() if len(line) >= SHORTEST_PART}
    if "://" in value:
        address = urlsplit(value)
        parts |= {address.password} if address.password else set()
        parts |= {token for token in re.split(r"[/?&=#@]|:(?!//)", value) if _is_token(token)}
    return parts


def _is_token(text: str) -> bool:
    """Whether it looks like a key rather than a word or a host."""
    return len(text) >= SHORTEST_PART and "." not in text and bool(re.search(r"[0-9A-Z]", text))


def _forms(text: str) -> set[str]:
    """As it is, in addresses, in JSON, and in the source forms that Python shows it in."""
    escaped = text.encode("unicode_escape").decode()
    return {text, quote(text, safe=""), quote_plus(text), json.dumps(text)[1:-1], repr(text)[1:-1], escaped}
