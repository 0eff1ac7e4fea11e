"""A container of a step, on this machine: the project's command in a process of its own.

An emulator starts these where the cloud starts a container, with the same command and variables. The log is what comes
out, as in the cloud: what a step has done is read from its lines.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, TextIO

from ..platform import config, pipelines, steps
from ..platform.logging import CONTEXT
from .executions import now

STOP_SECONDS = 5  # between a request to end and the end
# Keys of a line that are not counts of rows.
OTHER_KEYS = (*CONTEXT, "timestamp", "level", "event", "seconds", "error", "reason", "logger")
# The lines are read by `Container`, whatever the environment shows to people.
ENVIRONMENT = {"APP_LOGGING__FORMAT": "json", "APP_LOGGING__LEVEL": "INFO", "PYTHONUNBUFFERED": "1"}


class Container:
    """A started command. command: as in the image, ``python -m <package> step …``. log: where its output goes.

    error, reason: of the step, once it has failed. started, ended: ISO 8601, in UTC; ended is empty while it runs.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: TextIO) -> None:
        program, *arguments = command
        self.error = self.reason = self.ended = ""
        self.started = now()
        self._log = log
        self._process = subprocess.Popen(
            [sys.executable if program == "python" else program, *arguments],
            cwd=config.load().root,
            env={**os.environ, **ENVIRONMENT, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,  # Ctrl-C is for the command; it ends its containers itself
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def exit_code(self) -> int | None:
        """As a container's: 128 and the signal for a process that was killed. None while it runs."""
        code = self._process.poll()
        if code is None:
            return None
        self._reader.join(STOP_SECONDS)  # what it has logged comes before its end
        self.ended = self.ended or now()
        return 128 - code if code < 0 else code

    def wait(self, seconds: float | None = None) -> int:
        """Wait for the end and return the exit code. Raises TimeoutError; the process then still runs."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise TimeoutError from None
        return self.exit_code

    def stop(self) -> None:
        """End it as a container is ended: on request, and then by force."""
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _read(self) -> None:
        for text in self._process.stdout:
            with suppress(ValueError):  # a closed log: the command has ended meanwhile
                self._log.write(text)
            with suppress(ValueError):
                line = json.loads(text)
                if isinstance(line, dict):
                    self._note(line)

    def _note(self, line: dict[str, Any]) -> None:
        if line.get("event") == "step failed":
            self.error, self.reason = line.get("error", ""), line.get("reason", "")
        if line.get("event") in ("step finished", "step failed"):
            report = _report(line)
            for watch in steps.watchers:
                watch(report)


def _report(line: Mapping[str, Any]) -> steps.StepReport:
    """A step as its log line tells of it."""
    pipeline = pipelines.get(line["pipeline"])
    failed = line["event"] == "step failed"
    rows = {key: value for key, value in line.items() if key not in OTHER_KEYS and isinstance(value, int)}
    return steps.StepReport(
        pipeline,
        pipeline.partition(line["partition"]),
        line["step"],
        seconds=line.get("seconds", 0.0),
        rows={} if failed else rows,
        detail=line.get("reason" if failed else "detail", ""),
        failed=failed,
        error=line.get("error", ""),
    )
