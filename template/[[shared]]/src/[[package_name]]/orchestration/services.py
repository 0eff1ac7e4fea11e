"""An orchestrator's services on this machine: `make up`, `make down`.

deploy/local/<orchestrator>.conf names the processes, and supervisord keeps them. A process counts as ours by its
command line, which names this project and environment: after a restart, the process number alone may belong to another
program.

An orchestrator that runs in its cloud alone has no services: an emulator runs it within each command.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import psutil

from ..platform import config, secrets
from ..platform.errors import ConfigError
from .engine import Engine

START_SECONDS = 600  # a busy machine takes minutes; services that die are noticed long before
PID_SECONDS = 10
STOP_SECONDS = 60
PROGRESS_SECONDS = 15


class Services:
    """The services of one orchestrator in this environment."""

    def __init__(self, engine: Engine) -> None:
        settings = config.load()
        self.engine, self.root = engine, settings.root
        self.state = settings.root / "var" / settings.env / engine.id
        self.url = f"http://127.0.0.1:{engine.port}"
        mark = sha256(str(self.root).encode()).hexdigest()[:8]
        self.identifier = f"{engine.id}-{settings.env}-{mark}"

    @property
    def supervisor(self) -> psutil.Process | None:
        """The process that keeps the services, None when they are not up."""
        try:
            process = psutil.Process(int((self.state / "supervisord.pid").read_text()))
            return process if self.identifier in process.cmdline() else None
        except (OSError, ValueError, psutil.Error):
            return None

    def are_up(self) -> bool:
        """Whether the services have been started and the server answers; without services there is nothing to start."""
        return not self.engine.port or (self.supervisor is not None and answers(self.url + self.engine.health))

    def up(self) -> None:
        """Start the services and return when the server answers. Raises ConfigError when they cannot be started.

        Without services, write the page of what has run.
        """
        if not self.engine.port:
            self._show_executions()
            return
        name, logs = self.engine.id, f"{self.state.relative_to(self.root)}/*.log"
        command = self._command()
        if subprocess.run(command, check=False).returncode:
            raise ConfigError(f"{name} cannot be started by deploy/local/{name}.conf, see above")
        start = time.monotonic()
        progress_at = start + PROGRESS_SECONDS
        while not answers(self.url + self.engine.health):
            waited = time.monotonic() - start
            # supervisord writes the number of its process a moment after the call that starts it has returned.
            if waited > PID_SECONDS and not self.supervisor:
                raise ConfigError(f"{name} did not start: see {logs}")
            if waited > START_SECONDS:
                raise ConfigError(
                    f"{name} does not answer at {self.url} after {START_SECONDS} s, though its services still run: "
                    f"see {logs}, or stop it with: make down"
                )
            if time.monotonic() > progress_at:
                print(f"{name} is starting, {waited:.0f} s so far: {self._running()}", flush=True)
                progress_at += PROGRESS_SECONDS
            time.sleep(0.5)
        self._warn()
        print(f"{name} is up at {self.url}{self.engine.ui} after {time.monotonic() - start:.0f} s; logs: {logs}")

    def serve(self) -> None:
        """Become the process that keeps the services: for what starts it again by itself, such as systemd.

        Raises ConfigError when there are none.
        """
        if not self.engine.port:
            raise ConfigError(f"{self.engine.id} has no services: it runs in its cloud")
        command = [*self._command(), "--nodaemon"]
        os.execv(command[0], command)  # noqa: S606  in place of this process, so that signals reach it

    def _command(self) -> list[str]:
        """What starts the services. Raises ConfigError when they cannot start."""
        name = self.engine.id
        if self.supervisor:
            raise ConfigError(f"{name} is up already at {self.url}{self.engine.ui}; stop it with: make down")
        if _is_taken(self.engine.port):
            raise ConfigError(
                f"port {self.engine.port} is taken by another program; use: make up {name.upper()}_PORT=<free port>"
            )
        if others := [each.id for each in _up() if each.id != name]:
            refuse_a_shared_file([name, *others])
        secrets.verify(config.load())  # services that cannot start say so in their logs only
        self.state.mkdir(parents=True, exist_ok=True)
        conf = self.root / "deploy" / "local" / f"{name}.conf"
        return [sys.executable, "-m", "supervisor.supervisord", "-c", str(conf), "--identifier", self.identifier]

    def down(self) -> None:
        """Stop the services. Raises ConfigError when they do not end."""
        if not self.engine.port:
            print(f"{self.engine.id} has no services on this machine")
            return
        supervisor = self.supervisor
        if supervisor is None:
            print(f"{self.engine.id} is not up")
            return
        supervisor.terminate()
        try:
            supervisor.wait(STOP_SECONDS)
        except psutil.TimeoutExpired:
            raise ConfigError(
                f"{self.engine.id} does not stop: process {supervisor.pid} is still running; "
                f"end it with: kill -9 {supervisor.pid}"
            ) from None
        print(f"{self.engine.id} is down")

    def _warn(self) -> None:
        for problem in self.engine.problems():
            print(f"warning: {problem}", file=sys.stderr)

    def _show_executions(self) -> None:
        from .executions import write_page  # only projects with such an orchestrator have it

        self._warn()
        print(f"{self.engine.id} runs in its cloud, and here within each command; what has run here: {write_page()}")

    def _running(self) -> str:
        try:
            started = len(self.supervisor.children()) if self.supervisor else 0
        except psutil.Error:
            started = 0
        return f"{started} processes run, and {self.url}{self.engine.health} does not answer yet"


def refuse_together(engines: Sequence[Engine]) -> None:
    """Raise ConfigError when the services of these orchestrators cannot run at once: before the first one starts."""
    engines = [each for each in engines if each.port]  # others have no services here
    names = [each.id for each in engines]
    refuse_a_shared_file(names)
    starting = [each for each in engines if Services(each).supervisor is None]
    needed, free = sum(each.peak_mb for each in starting), free_mb()
    if needed > free:
        raise ConfigError(
            f"{', '.join(names)} need about {needed:,} MB of memory together, and {free:,} MB are free: end other "
            f"programs, or start one of them with: make up ORCHESTRATOR={names[0]}"
        )


def free_mb() -> int:
    """Memory that is free on this machine, or in its container, in MB."""
    free = psutil.virtual_memory().available
    group = Path("/sys/fs/cgroup")
    with suppress(OSError, ValueError, KeyError):  # "max", or no control group
        used, kinds = int((group / "memory.current").read_text()), (group / "memory.stat").read_text().split()
        cache = int(dict(zip(kinds[::2], kinds[1::2], strict=True))["inactive_file"])  # given back when it is needed
        free = min(free, int((group / "memory.max").read_text()) - used + cache)
    return free // 2**20


def refuse_a_shared_file(names: Sequence[str]) -> None:
    """Raise ConfigError when the services of several orchestrators would publish into one DuckDB file."""
    settings = config.load()
    if len(names) > 1 and settings.warehouse.is_file:
        raise ConfigError(
            f"{', '.join(names)} cannot run at once on {settings.warehouse.url}, as one process at a time may write a "
            "DuckDB file: set APP_WAREHOUSE__URL to a PostgreSQL database, or start one of them with: "
            f"make up ORCHESTRATOR={names[0]}"
        )


def _up() -> list[Engine]:
    """The orchestrators of this project whose services run here."""
    from .. import orchestration

    return [each for name in orchestration.names() if Services(each := orchestration.get(name)).supervisor]


def port(engine: str, default: int) -> int:
    """The port of a server on this machine, from ``<ENGINE>_PORT``. Raises ConfigError when that is no number."""
    given = os.environ.get(f"{engine.upper()}_PORT") or str(default)
    if not given.isdecimal() or not 0 < int(given) < 65536:
        raise ConfigError(f"{engine.upper()}_PORT is {given!r}: use a number from 1 to 65535")
    return int(given)


def answers(url: str) -> bool:
    """Whether something at this address of this machine answers 200."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310  a loopback address
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False
