"""Outgoing calls that end at one deadline, whatever the other side does.

The time-outs of HTTP and mail libraries hold for a single read, so a receiver that sends a byte a second keeps them for
ever. Run as a program, this file delivers one alert: a process can be ended in the middle of a call, a thread cannot.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import copy_context
from threading import Thread
from typing import TypeVar

Result = TypeVar("Result")

_last: dict[str, Thread] = {}


def within(seconds: float, call: Callable[[], Result], key: str = "") -> Result:
    """The result of a call that may take so many seconds. Raises TimeoutError when it takes longer.

    A call that hangs is left to its thread, which does not keep the process from ending. key: while a call with the
    same key hangs, the next one raises TimeoutError at once, so that such threads do not pile up.
    """
    if key and key in _last and _last[key].is_alive():
        raise TimeoutError("the call before it still hangs")
    future: Future[Result] = Future()
    context = copy_context()

    def work() -> None:
        try:
            future.set_result(context.run(call))
        except BaseException as error:  # noqa: BLE001  the caller raises it
            future.set_exception(error)

    thread = Thread(target=work, daemon=True, name=f"outgoing {key}")
    thread.start()
    if key:
        _last[key] = thread
    try:
        return future.result(seconds)
    except TimeoutError:
        if future.done():
            raise
        raise TimeoutError(f"no answer within {seconds:g} s") from None


def deliver(url: str, title: str, body: str, seconds: float) -> str:
    """Send an alert to an Apprise URL in a process of its own. Returns why it was not delivered, empty when it was."""
    # -P: the modules beside this file must not hide those of the standard library, such as logging.
    command = [sys.executable, "-P", __file__]
    try:
        done = subprocess.run(
            command, input=json.dumps([url, title, body]), capture_output=True, text=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        return f"no answer within {seconds:g} s"
    if done.returncode == 0:
        return ""
    lines = done.stderr.strip().splitlines()
    return lines[-1] if lines else f"the sending process ended with {done.returncode}"


def main() -> int:
    """Deliver the alert that standard input describes: the list of Apprise URL, title and body, as JSON."""
    import logging

    import apprise

    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    url, title, body = json.load(sys.stdin)
    receiver = apprise.Apprise()
    added = receiver.add(url)
    return 0 if added and receiver.notify(body, title=title, body_format=apprise.NotifyFormat.TEXT) else 1


if __name__ == "__main__":
    sys.exit(main())
