"""Become one of Dagster's services on this machine: code, daemon or ui; see deploy/local/dagster.conf.

Daemon and UI talk to one code server, through a port of this machine that it finds free and leaves in code.port. (A
socket in the project's folder would do without a port, but Dagster needs its full path to be short.)
"""

from __future__ import annotations

import os
import socket
import sys
import time
from pathlib import Path

import psutil

from ...platform.errors import ConfigError
from . import ENGINE, instance

HOST = "127.0.0.1"
COMMANDS = {
    # Not `code-server start`: a second process serves then, ends without heartbeats, and is not started again.
    "code": ["dagster", "api", "grpc", "--lazy-load-user-code"],
    "daemon": ["dagster-daemon", "run"],
    "ui": ["dagster-webserver", "--host", HOST, "--port", str(ENGINE.port)],
}


def main(service: str, options: list[str]) -> None:
    """Replace this process by the service, once what it needs is there. Raises ConfigError."""
    instance.choose()
    instance.make()  # the code server opens them as well
    if service == "code":
        instance.make()  # the code server opens the instance, too
        port = _free_port()
        _port_file().write_text(f"{_supervisor()} {port}", encoding="utf-8")
        options = ["--host", HOST, "--port", str(port), *options]
    elif service == "daemon":
        with instance.opened() as dagster:
            instance.prepare(dagster)
    if service != "code":
        os.environ["DAGSTER_CODE_PORT"] = str(_port_of_code_server())
    command = [*COMMANDS[service], "--log-format", "json", *options]
    os.execvp(command[0], command)  # noqa: S606  no shell wanted


def _port_file() -> Path:
    return instance.state() / "code.port"


def _free_port() -> int:
    """The port of last time, which the others know if only the code server was restarted; else another one."""
    for port in (_last_port(), 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return probe.getsockname()[1]
    raise ConfigError("no free port on this machine")


def _port_of_code_server() -> int:
    while True:
        port = _last_port()
        with socket.socket() as probe:
            if port and probe.connect_ex((HOST, port)) == 0:
                return port
        time.sleep(0.2)


def _last_port() -> int:
    """The port written since this supervisor came up, 0 without one: another program may hold an older one."""
    try:
        supervisor, port = _port_file().read_text(encoding="utf-8").split()
        return int(port) if supervisor == _supervisor() else 0
    except (FileNotFoundError, ValueError):
        return 0


def _supervisor() -> str:
    """This process's parent by number and start, as numbers are used again."""
    parent = psutil.Process(os.getppid())
    return f"{parent.pid}@{parent.create_time():.2f}"


if __name__ == "__main__":
    try:
        main(sys.argv[1], sys.argv[2:])
    except ConfigError as error:
        sys.exit(f"error: {error}")
