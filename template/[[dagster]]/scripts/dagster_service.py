"""Become one of Dagster's services on this machine: code, daemon or ui; called by deploy/local/dagster.conf.

Daemon and UI talk to one code server, through a port of this machine that it finds free and leaves in code.port. (A
socket in the project's folder would do without a port, but Dagster needs its full path to be short.)
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

HOST = "127.0.0.1"
STATE = Path(os.environ["DAGSTER_STATE"])
PORT_FILE = STATE / "code.port"
COMMANDS = {
    # Not `code-server start`: a second process serves then, ends without heartbeats, and is not started again.
    "code": ["dagster", "api", "grpc", "--lazy-load-user-code"],
    "daemon": ["dagster-daemon", "run"],
    "ui": ["dagster-webserver", "--host", HOST, "--port", os.environ["DAGSTER_PORT"]],
}


def main(service: str, options: list[str]) -> None:
    """Replace this process by the service, once what it needs is there."""
    if service == "code":
        port = _free_port()
        PORT_FILE.write_text(f"{os.getppid()} {port}")
        options = ["--host", HOST, "--port", str(port), *options]
    else:
        if service == "daemon":
            subprocess.run([sys.executable, "scripts/dagster_prepare.py"], check=True)
        if service == "ui":
            (STATE / "ui.port").write_text(os.environ["DAGSTER_PORT"])  # `make backfill` asks it
        os.environ["DAGSTER_CODE_PORT"] = str(_port_of_code_server())
    command = [*COMMANDS[service], "--log-format", "json", *options]
    os.execvp(command[0], command)  # noqa: S606  no shell wanted


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
    raise SystemExit("no free port on this machine")


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
        supervisor, port = PORT_FILE.read_text().split()
    except (FileNotFoundError, ValueError):
        return 0
    return int(port) if int(supervisor) == os.getppid() else 0


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
