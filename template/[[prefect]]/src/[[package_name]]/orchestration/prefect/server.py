"""A temporary Prefect server on this machine, for `make run` and the tests.

Prefect can start one itself, but only after it has imported the whole server into the calling process; here both
load at the same time.
"""

from __future__ import annotations

import atexit
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from ...platform.errors import ConfigError

START_SECONDS = 600  # a busy machine takes minutes; a server that ends is noticed at once
STOP_SECONDS = 5
# As Prefect starts its own temporary servers: without the UI, the scheduler and what else only a lasting server needs.
TEMPORARY = {"PREFECT_UI_ENABLED": "0", "PREFECT__SERVER_EPHEMERAL": "1", "PREFECT__SERVER_FINAL": "1"}


class TemporaryServer:
    """A server that keeps its runs in ``home`` and stops when this process ends.

    Not sooner: Prefect sends its last events and log lines from threads that end only with the interpreter. Without a
    server they would try again for a minute.
    """

    def __init__(self, home: Path) -> None:
        home.mkdir(parents=True, exist_ok=True)
        port = _free_port()
        self.url = f"http://127.0.0.1:{port}/api"
        self.log = home / "temporary-server.log"
        command = [sys.executable, "-m", "uvicorn", "--factory", "prefect.server.api.server:create_app"]
        options = ["--host", "127.0.0.1", "--port", str(port), "--log-level", "error"]
        environment = {name: value for name, value in os.environ.items() if name != "PREFECT_API_URL"}
        with self.log.open("w") as output:
            # In a session of its own, so that Ctrl-C lets the run end properly before its server does.
            self.process = subprocess.Popen(
                [*command, *options],
                env=environment | TEMPORARY | {"PREFECT_HOME": str(home)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        atexit.register(self._stop)

    def wait(self) -> None:
        """Return when the server answers; import what else takes time before calling this."""
        try:
            wait_until_up(self.url, ended=lambda: self.process.poll() is not None)
        except ConfigError:
            raise ConfigError(f"Prefect's temporary server did not start: see {self.log}") from None

    def _stop(self) -> None:
        for another in (signal.SIGINT, signal.SIGTERM):  # uv and make pass on what the terminal has sent already
            signal.signal(another, signal.SIG_IGN)
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def answers(url: str) -> bool:
    """Whether a Prefect API answers at that address."""
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=2) as answer:  # noqa: S310  a loopback address
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


def wait_until_up(url: str, ended: Callable[[], bool] = lambda: False) -> None:
    """Return when the API answers. Raises ConfigError after ten minutes, or when ``ended`` says that it never will."""
    deadline = time.monotonic() + START_SECONDS
    while not answers(url):
        if ended() or time.monotonic() > deadline:
            raise ConfigError(f"no Prefect server answers at {url}")
        time.sleep(0.1)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
