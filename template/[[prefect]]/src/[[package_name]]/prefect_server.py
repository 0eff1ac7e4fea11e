"""A temporary Prefect server on this machine, for `make run` and the tests.

Prefect would start one by itself, but only after it has imported the whole server into the calling process; here both
load at the same time.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

START_SECONDS = 120
STOP_SECONDS = 5
# As Prefect starts its own temporary servers: without the UI, the scheduler and what else only a lasting one needs.
TEMPORARY = {"PREFECT_UI_ENABLED": "0", "PREFECT__SERVER_EPHEMERAL": "1", "PREFECT__SERVER_FINAL": "1"}


class ServerError(Exception):
    """The server did not start; the message names its log."""


@contextmanager
def temporary_server(home: Path) -> Iterator[Callable[[], str]]:
    """A server that keeps its runs in ``home``, and stops after the body.

    Gives a function that waits until the server answers and returns the address of its API; import what else takes
    time before calling it.
    """
    home.mkdir(parents=True, exist_ok=True)
    port = _free_port()
    url = f"http://127.0.0.1:{port}/api"
    command = [sys.executable, "-m", "uvicorn", "--factory", "prefect.server.api.server:create_app"]
    options = ["--host", "127.0.0.1", "--port", str(port), "--log-level", "error"]
    environment = {name: value for name, value in os.environ.items() if name != "PREFECT_API_URL"}
    environment |= TEMPORARY | {"PREFECT_HOME": str(home)}
    log = home / "temporary-server.log"
    with log.open("w") as output:
        # In a session of its own, so that Ctrl-C lets the run end properly before its server does.
        server = subprocess.Popen(
            [*command, *options],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield lambda: _started(server, url, log)
    finally:
        server.terminate()
        try:
            server.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def answers(url: str) -> bool:
    """Whether a Prefect API answers at that address."""
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=2) as answer:  # noqa: S310  a loopback address
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


def _started(server: subprocess.Popen, url: str, log: Path) -> str:
    deadline = time.monotonic() + START_SECONDS
    while not answers(url):
        if server.poll() is not None or time.monotonic() > deadline:
            raise ServerError(f"Prefect's temporary server did not start, see {log}")
        time.sleep(0.1)
    return url


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
