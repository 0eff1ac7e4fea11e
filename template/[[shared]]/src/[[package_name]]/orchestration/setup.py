"""Setting up the services of `make up`: one of them does it, and the others learn from a file how it ended."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

if TYPE_CHECKING:
    from .services import Services

ATTEMPTS = 20  # a server that has just started on a busy machine refuses a request now and then
PAUSE_SECONDS = 1
WAIT_SECONDS = 600
TELL_SECONDS = 15


@dataclass(frozen=True)
class SetUp:
    """name: of the orchestrator. home: the variable that holds its folder. does: what it does, for those who wait."""

    name: str
    home: str
    does: str

    def run(self, set_up: Callable[[], list[str]]) -> int:
        """Set up, and note the outcome: a sentence for each pipeline that cannot run. Returns the exit code."""
        from ..platform import logging
        from ..platform.errors import ConfigError

        log = logging.get_logger()
        for attempt in range(1, ATTEMPTS + 1):
            try:
                problems = set_up()
            except Exception as error:  # whatever it was, the services that wait must learn of it
                is_bare = not isinstance(error, ConfigError)
                log.warning("setup failed", attempt=attempt, exc_info=is_bare, reason=str(error))
                problem = f"{self.name} cannot be set up ({type(error).__name__}: {error}): see setup.log"
                time.sleep(PAUSE_SECONDS)
            else:
                for each in problems:
                    log.error(each)
                self._note(is_ready=True, problems=problems)
                return 0
        self._note(is_ready=False, problems=[problem])
        return 1

    def wait(self, supervisor: psutil.Process) -> None:
        """Return when the services that this supervisor keeps have been set up."""
        while not self._outcome(supervisor).get("is_ready"):
            time.sleep(0.2)

    def problems(self, services: Services) -> list[str]:
        """Wait until the services are set up, and return why some pipelines cannot run, a sentence each."""
        start = time.monotonic()
        tell_at = start + TELL_SECONDS
        while not (outcome := self._outcome(services.supervisor)):
            waited = time.monotonic() - start
            if services.supervisor is None:
                return [f"{self.name}'s services have ended"]
            if waited > WAIT_SECONDS:
                return [f"{self.name} is not set up after {WAIT_SECONDS} s: see {self._file.with_name('setup.log')}"]
            if time.monotonic() > tell_at:
                print(f"{self.name} {self.does}, {waited:.0f} s so far", flush=True)
                tell_at += TELL_SECONDS
            time.sleep(0.2)
        return outcome["problems"]

    @property
    def _file(self) -> Path:
        return Path(os.environ[self.home]) / "setup.json"

    def _note(self, **outcome: Any) -> None:
        """Write the outcome for those who wait, in one piece."""
        draft = self._file.with_suffix(".new")
        draft.write_text(json.dumps({"supervisor": _identity(psutil.Process().parent()), **outcome}), encoding="utf-8")
        draft.replace(self._file)

    def _outcome(self, supervisor: psutil.Process | None) -> dict[str, Any]:
        """The outcome for the services that this process keeps; empty before there is one."""
        try:
            outcome = json.loads(self._file.read_text(encoding="utf-8"))
            return outcome if supervisor and outcome["supervisor"] == _identity(supervisor) else {}
        except (OSError, ValueError, KeyError, TypeError, psutil.Error):  # of an earlier start, or damaged
            return {}


def _identity(process: psutil.Process) -> str:
    return f"{process.pid} {process.create_time():.2f}"
