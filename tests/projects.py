"""Rendered projects as their users handle them: by typing `make`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

UV = str(Path(sys.executable).with_name("uv"))
# A fresh login has these, and what it needs to reach a package index.
KEPT_VARIABLES = (
    "PATH",
    "HOME",
    "UV_CACHE_DIR",
    "UV_DEFAULT_INDEX",
    "SSL_",
    "PIP_",
    "http",
    "HTTP",
    "no_proxy",
    "NO_PROXY",
)
SET_UP_SECONDS, RUN_SECONDS, TEST_SECONDS, STOP_SECONDS = 600, 180, 600, 120


@dataclass
class Project:
    """A rendered project that `make setup` has installed."""

    folder: Path
    orchestrators: tuple[str, ...]

    def make(self, *arguments: str, timeout: float, **variables: str) -> subprocess.CompletedProcess[str]:
        """Type `make`, in the environment of a fresh login."""
        kept = {name: value for name, value in os.environ.items() if name.startswith(KEPT_VARIABLES)}
        environment = {**kept, "COLUMNS": "80", **variables}
        command = ["make", "--no-print-directory", f"UV={UV}", *arguments]
        return subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=timeout, check=False
        )

    def check_itself(self, timeout: float) -> None:
        """Its own `make lint` and `make test` pass. timeout: seconds for each."""
        for target in ("lint", "test"):
            done = self.make(target, timeout=timeout)
            assert done.returncode == 0, done.stdout + done.stderr


def processes_of(folder: Path) -> list[str]:
    """Command lines of the processes that work in this folder or name it."""
    commands = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                if str(folder) in command or (entry / "cwd").resolve().is_relative_to(folder):
                    commands.append(command)
        except OSError:
            continue  # it ended meanwhile
    return commands


def python_of(version: str) -> str:
    """The path of an interpreter of this version that runs, of pyenv or in PATH; empty where there is none."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for path in [*sorted(pyenv.glob(f"{version}.*/bin/python")), shutil.which(f"python{version}")]:
        if path and subprocess.run([path, "-c", "import sqlite3, ssl"], capture_output=True).returncode == 0:
            return str(path)
    return ""
