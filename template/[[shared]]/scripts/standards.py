"""Check this project against the standards of its template: `make standards`, in CI, and before each commit.

The checks are the package orch-standards, taken from the template at the version this project was made from, so that
they change only when the project is updated. uv fetches a version once and keeps it; then no network is needed. With
--offline nothing is ever fetched: a version that is not on this machine is not checked.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

ROOT = Path(__file__).resolve().parents[1]
ANSWERS = ROOT / ".copier-answers.yml"
HOSTS = {"gh:": "https://github.com/", "gl:": "https://gitlab.com/"}  # as Copier abbreviates them
PACKAGE, FOLDER = "orch-standards", "hooks"
FROM_GIT = "Git operation failed"  # in what uv says


class StandardsError(Exception):
    """The checks cannot be run; the message says what to do."""


def answer(name: str) -> str:
    """A line of the answers file, empty when it is not there. Raises StandardsError without the file."""
    if not ANSWERS.is_file():
        raise StandardsError(f"{ANSWERS.name} is missing: restore it, for example with git checkout -- {ANSWERS.name}")
    line = re.search(rf"^{name}: *(.*?) *$", ANSWERS.read_text(encoding="utf-8"), re.MULTILINE)
    return line[1].strip("'\"") if line else ""


def requirement(source: str, version: str) -> str:
    """What uv installs: the package in the template at ``source``, at a version as `git describe` words it."""
    if not source:
        raise StandardsError(f"{ANSWERS.name} does not say where the template is (_src_path): restore the file")
    described = re.search(r"-g([0-9a-f]{7,})$", version)
    at = f"@{described[1] if described else version}" if version else ""
    return f"{PACKAGE} @ {_address(source)}{at}#subdirectory={FOLDER}" if at else f"{PACKAGE} @ {_folder(source)}"


def _address(source: str) -> str:
    """The address of a repository in the form that pip and uv take."""
    short = next((prefix for prefix in HOSTS if source.startswith(prefix)), None)
    if short:
        name = source.removeprefix(short).removeprefix("/").removesuffix(".git")
        return f"git+{HOSTS[short]}{name}.git"
    source = source.removeprefix("git+")
    if "://" in source:
        return f"git+{source}"
    remote = re.fullmatch(r"([\w.-]+@[\w.-]+):(.+)", source)
    if remote:
        return f"git+ssh://{remote[1]}/{remote[2].lstrip('/')}"
    return f"git+file://{quote(_path(source).as_posix())}"


def _folder(source: str) -> str:
    """The package's own folder, in a template that is not under version control."""
    return f"file://{quote((_path(source) / FOLDER).as_posix())}"


def _path(source: str) -> Path:
    path = (ROOT / Path(source).expanduser()).resolve()
    if not path.is_dir():
        raise StandardsError(f"the template is not at {source} any more: see _src_path in {ANSWERS.name}")
    return path


def uv() -> str:
    command = os.environ.get("UV") or shutil.which("uv") or str(ROOT / ".uv" / "bin" / "uv")
    if not shutil.which(command):
        raise StandardsError("uv is not installed: run make setup")
    return command


def main(arguments: list[str]) -> int:
    offline = "--offline" in arguments
    passed_on = [each for each in arguments if each != "--offline"]
    version = answer("_commit")
    run = [uv(), "tool", "run", "--from", requirement(answer("_src_path"), version), PACKAGE]
    kept = [*run[:3], "--offline", *run[3:]]
    if _fails([*kept, "--version"]):
        if offline:
            print("not checked: the standards are not on this machine yet, make standards fetches them once")
            return 0
        print(f"fetching the standards of the template {version}", flush=True)
        said = _fails([*run, "--version"])
        if said:
            template = f"the template at {answer('_src_path')} ({version or 'no version'})"
            wrong = (
                f"{template} cannot be reached: check the network and your access to it"
                if FROM_GIT in said
                else f"the standards of {template} cannot be installed: check the network and the package index"
            )
            raise StandardsError(f"{wrong}, then run make standards again. uv said:\n{said}")
    return subprocess.run([*kept, "--root", str(ROOT), *passed_on], check=False).returncode


def _fails(command: list[str]) -> str:
    """What a command says when it fails, every line indented; empty when it succeeds."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return ""
    return "\n".join(f"  {line}" for line in done.stderr.splitlines() if line.strip()) or "  nothing"


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except StandardsError as error:
        sys.exit(f"standards: {error}")
