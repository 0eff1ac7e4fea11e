"""One copy in this process, and the CPU seconds of each phase, without those of the phases within it.

Arguments: template, target, orchestrator (empty: the template has no questions). Writes one JSON line.
"""

from __future__ import annotations

import contextlib
import functools
import io
import json
import resource
import sys
from collections import defaultdict


def used() -> float:
    """CPU seconds of this process and the git commands it waited for: the same on a busy machine."""
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in usage)


START = used()

import copier._cli  # noqa: E402  the imports are a phase
import copier._main  # noqa: E402
import copier._template  # noqa: E402
import jinja2  # noqa: E402
import yaml  # noqa: E402

# What to time: owner, function, and the phase it is told as.
FUNCTIONS = (
    (copier._template, "clone", "fetch the template"),
    (copier._template, "load_template_config", "read the questions"),
    (copier._main.Worker, "_ask", "ask the questions"),
    (jinja2.Environment, "compile", "compile Jinja"),
    (yaml, "safe_load", "parse YAML"),
    (copier._main.Worker, "_render_path", "render paths"),
    (copier._main.Worker, "_render_file", "write files"),
    (copier._main.Worker, "_sync_git_index_executable_bit", "file modes"),
)


class Phases:
    """Seconds and calls by phase; entering one stops the clock of the one around it."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.calls: dict[str, int] = defaultdict(int)
        self.open = ["the rest"]
        self.since = used()

    def _switch(self) -> None:
        now = used()
        self.seconds[self.open[-1]] += now - self.since
        self.since = now

    @contextlib.contextmanager
    def inside(self, phase: str):
        self._switch()
        self.open.append(phase)
        self.calls[phase] += 1
        try:
            yield
        finally:
            self._switch()
            self.open.pop()

    def watch(self, owner: object, name: str, phase: str) -> None:
        function = getattr(owner, name)

        @functools.wraps(function)
        def timed(*arguments, **options):
            with self.inside(phase):
                return function(*arguments, **options)

        setattr(owner, name, timed)


def main(source: str, target: str, orchestrator: str) -> None:
    phases = Phases()
    phases.seconds["import Copier"] = used() - START
    for owner, name, phase in FUNCTIONS:
        phases.watch(owner, name, phase)
    data = {"orchestrator": orchestrator, "accept_exclusion": "yes"} if orchestrator else {}
    with contextlib.redirect_stderr(io.StringIO()):
        copier.run_copy(source, target, data=data, defaults=True)
    with phases.inside("the rest"):
        pass
    print(json.dumps({"seconds": phases.seconds, "calls": phases.calls}))


if __name__ == "__main__":
    main(*sys.argv[1:])
