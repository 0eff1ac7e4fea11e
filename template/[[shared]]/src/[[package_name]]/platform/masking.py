"""Masking: every secret that was read is shown as *** from then on, in log lines, tracebacks, alerts and terminal.

A secret of at least 8 characters is masked wherever it occurs, also encoded. A shorter one, or one that is also a name
in this project, occurs by chance in dates, links and table names: it is masked only where it stands as a word or as a
credential, and a warning says so.
"""

from __future__ import annotations

import html
import json
import logging
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import date
from functools import lru_cache
from threading import Lock
from typing import Any
from urllib.parse import unquote, urlsplit

from . import config

MASK = "***"
SHORTEST = 8  # characters of a secret that is masked anywhere
SHORTEST_WORD = 4  # of one that is masked as a word; a still shorter one is masked as a credential only
SHOWN = ("strerror", "filename", "filename2", "msg", "message")
CREDENTIAL = r"(?i:passw(?:or)?d|pwd|passphrase|secret|token|credential|api[_-]?key)\w{0,16}"
SLASHES = r"\\{1,8}"  # bounded, as a long row of them must not take long
BASIC = re.compile(r"(?i:\bbasic)(?:\s{1,4}|%20|\+)(?P<login>[\w+/-]{2,}={0,2})")

_values: set[str] = set()
_lock = Lock()
_anywhere: re.Pattern[str] | None = None
_alone: re.Pattern[str] | None = None
_listeners: list[Callable[[str], object]] = []


def add(value: str, name: str = "a secret") -> None:
    """Mask this value from now on, in all forms in which a client or a traceback may show it. name: for a warning."""
    global _anywhere, _alone
    with _lock:
        if not value.strip() or value in _values:
            return
        _values.add(value)
        parts = sorted({part for known in _values for part in _parts(known)}, key=len, reverse=True)
        names = _own_names()
        weak = [part for part in parts if weakness(part, names)]
        strong = [form for part in parts if part not in weak for form in _forms(part)]
        strong += [_escaped(line) for known in _values for line in _lines(known)]
        _anywhere = re.compile("|".join(strong)) if strong else None
        _alone = re.compile(_where_alone(weak)) if weak else None
    if problem := weakness(value) or weakness(_password(value)):
        logging.getLogger(__name__).warning("%s %s", name, problem)
    if value not in weak:
        for listener in _listeners:
            listener(value)


def add_listener(listener: Callable[[str], object]) -> None:
    """Call this with every secret that is masked anywhere, also with those known already: for engines' own masks."""
    _listeners.append(listener)
    for value in sorted(_values):
        if not weakness(value):
            listener(value)


def mask(text: str) -> str:
    if not _values:
        return text
    text = BASIC.sub(_without_login, text)
    text = _anywhere.sub(MASK, text) if _anywhere else text
    return _alone.sub(lambda match: f"{match['before'] or ''}{MASK}", text) if _alone else text


def mask_all(value: Any) -> Any:
    """The value with every text in it masked, however deep in dictionaries, lists, exceptions and other objects."""
    if not _values or value is None or isinstance(value, (bool, int, float, date)):
        return value
    if isinstance(value, str):
        masked = mask(value)
        return value if masked == value else masked
    if isinstance(value, dict):
        return {mask_all(key): mask_all(each) for key, each in value.items()}
    if isinstance(value, tuple):
        return tuple(mask_all(each) for each in value)
    if isinstance(value, (list, set, frozenset)):
        return [mask_all(each) for each in value]
    shown = repr(value)
    masked = mask(shown)
    return value if masked == shown else masked


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
                with suppress(AttributeError):  # a property that follows from the arguments
                    setattr(each, name, mask(getattr(each, name)))
        pending += [each.__cause__, each.__context__, *getattr(each, "exceptions", ())]


def mask_records() -> None:
    """Mask all records of the standard library's logging in this process, whichever logger and handler they go to."""
    make = logging.getLogRecordFactory()
    if getattr(make, "masks", False):
        return

    def masked(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = make(*args, **kwargs)
        if _values:
            _mask_record(record)
        return record

    masked.masks = True
    logging.setLogRecordFactory(masked)


def _mask_record(record: logging.LogRecord) -> None:
    if record.exc_info and record.exc_info[1]:
        scrub(record.exc_info[1])
    if not record.args:
        record.msg = mask_all(record.msg)
        return
    try:
        message = record.getMessage()
    except (TypeError, ValueError):  # arguments that do not fit the text: the handler reports that, and shows both
        record.msg, record.args = f"{record.msg} {record.args!r}", ()
        record.msg = mask(record.msg)
        return
    masked = mask(message)
    if masked != message:
        record.msg, record.args = masked, ()


def _own_names() -> set[str]:
    return {*config.pipeline_names(), *config.environments(), __name__.split(".")[0]}


def weakness(text: str, names: set[str] | None = None) -> str:
    """Why a secret cannot be masked wherever it occurs, as the end of a sentence; empty when it can.

    names: those of this project, read by default.
    """
    if text and len(text) < SHORTEST:
        reason = f"has fewer than {SHORTEST} characters"
    elif text and text.lower() in (_own_names() if names is None else names):
        reason = "is also the name of a pipeline, an environment or the package"
    else:
        return ""
    return f"{reason}, so it is masked only where it stands alone: use a longer one that is hard to guess"


def _password(value: str) -> str:
    """The password within an address, decoded."""
    try:
        return unquote(urlsplit(value).password or "") if "://" in value else ""
    except ValueError:  # an address that is none
        return ""


def _parts(value: str) -> set[str]:
    """The value, and parts of it that give the secret away: credentials in JSON, password and tokens in an address."""
    parts = {value, value.strip(), _password(value)}
    if value.lstrip().startswith("{"):
        parts |= set(_fields(value))
    if "://" in value:
        parts |= {token for token in re.split(r"[/?&=#@]|:(?!//)", value) if _is_token(token)}
    return parts - {""}


def _lines(value: str) -> list[str]:
    """Lines of a longer secret, such as a key."""
    lines = [line.strip() for line in value.strip().splitlines()]
    return [line for line in lines if len(line) >= SHORTEST] if len(lines) > 1 else []


def _fields(value: str) -> Iterator[str]:
    """Credentials in a JSON object, as secret managers keep a login."""
    try:
        content = json.loads(value)
    except ValueError:
        return
    for key, each in content.items():
        if isinstance(each, str) and (re.match(CREDENTIAL, key) or _is_token(each)):
            yield each


def _is_token(text: str) -> bool:
    """Whether it looks like a key rather than a word, a date or a host."""
    mixed = re.search(r"[0-9]", text) or re.search(r".[A-Z]", text)
    host = "." in text and text == text.lower()
    return len(text) >= SHORTEST and bool(mixed and re.search(r"[A-Za-z]", text)) and not host


def _forms(text: str) -> Iterator[str]:
    """Regular expressions of a secret as text, in base64 and in hexadecimal."""
    yield _escaped(text)
    for raw in {text.encode(), text.encode("latin-1", "ignore")}:  # `requests` sends logins in Latin-1
        if len(raw) >= SHORTEST:
            yield from _base64(raw)
            yield f"(?i:{'[ :-]?'.join(f'{byte:02x}' for byte in raw)})"


def _where_alone(texts: list[str]) -> str:
    """A regular expression of secrets as a whole text, after a word such as password, in an address, or as a word."""
    any_text = "|".join(map(_escaped, texts))
    words = [_escaped(text) for text in texts if len(text) >= SHORTEST_WORD]
    words += [re.escape(b64encode(text.encode()).decode()) for text in texts if len(text) >= SHORTEST_WORD]
    return "|".join(
        (
            rf"\A(?:{any_text})\Z",
            rf"(?P<before>{CREDENTIAL}[\"']?(?:\s{{0,4}}[:=]\s{{0,4}}|\s{{1,4}}(?:is\s)?)[\"']?)(?:{any_text})(?![\w-])",
            rf"(?<=:)(?:{any_text})(?=@)",
            *([rf"(?<![\w./:-])(?:{'|'.join(words)})(?![\w/:-]|\.\w)"] if words else []),
        )
    )


def _without_login(match: re.Match[str]) -> str:
    """An HTTP header with the login taken out, where what follows the word Basic is one."""
    login = match["login"].rstrip("=").replace("-", "+").replace("_", "/")
    try:
        is_login = b":" in b64decode(login + "=" * (-len(login) % 4), validate=True)
    except ValueError:
        return match[0]
    return match[0].replace(match["login"], MASK) if is_login else match[0]


def _escaped(text: str) -> str:
    """A regular expression of the text as it is, and as addresses, JSON, HTML and Python show it."""
    return "".join(char if char.isascii() and char.isalnum() else _escapes(char) for char in text)


@lru_cache(maxsize=256)
def _escapes(char: str) -> str:
    """A regular expression of one character in any form; text within text has several backslashes."""
    raw, utf_16, slashes = char.encode("utf-8", "surrogatepass"), char.encode("utf-16-be", "surrogatepass"), SLASHES
    escapes = [
        "".join(rf"{slashes}u{high:02x}{low:02x}" for high, low in zip(utf_16[::2], utf_16[1::2], strict=True)),
        rf"{slashes}U{ord(char):08x}",
        rf"{slashes}x{ord(char):02x}",
        "".join(rf"{slashes}x{byte:02x}" for byte in raw),
        "".join(rf"%(?:25){{0,3}}{byte:02x}" for byte in raw),
        rf"&#(?:{ord(char)}|x0?{ord(char):x});",
        re.escape(html.escape(char)),
    ]
    letter = {"\n": "n", "\r": "r", "\t": "t"}.get(char)
    short = f"{slashes}{letter}" if letter else {" ": r"\+", "\\": slashes, "'": "&apos;"}.get(char)
    plain = [f"(?:{slashes})?{re.escape(char)}", *([short] if short else [])]
    return f"(?:{'|'.join(plain)}|(?i:{'|'.join(escapes)}))"


def _base64(raw: bytes) -> Iterator[str]:
    """Regular expressions of bytes within a longer text in base64, by where they begin in a group of three."""
    for before in range(3):
        coded = b64encode(bytes(before) + raw).decode().rstrip("=")
        first, last = -(-8 * before // 6), 8 * (before + len(raw)) // 6
        # A character at either end stands for bits of the secret and of its neighbour.
        start, end = "[A-Za-z0-9+/_-]" if before else "", "[A-Za-z0-9+/_-]?" if 8 * (before + len(raw)) % 6 else ""
        whole = "".join({"+": "[+-]", "/": "[/_]"}.get(char, char) for char in coded[first:last])
        yield f"{start}{whole}{end}={{0,2}}"
