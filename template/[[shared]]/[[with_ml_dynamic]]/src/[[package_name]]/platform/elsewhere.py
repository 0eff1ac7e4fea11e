"""A step elsewhere: a command of the project's starts it in a container, and this process waits for its end.

The command, such as ``sh deploy/kubernetes/step.sh``, gets the words of ``python -m <package> step`` after it, hands
back what the step prints as it prints it, and ends with the step's exit code; when it is ended, it ends the step. So an
orchestrator sees a step like any other: its heartbeat, its time-out, its attempts and its log lines.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from collections import deque
from typing import TYPE_CHECKING

from . import config, errors, logging
from .runs import current_run

if TYPE_CHECKING:
    from .partitions import Partition
    from .pipelines import Pipeline

OURS = ("timestamp", "level", "event", "logger")  # of a line of the step, which the line here has itself
SECONDS_TO_END = 30  # for the command to end the step


def run(runner: str, pipeline: Pipeline, step: str, partition: Partition, item: str) -> None:
    """Run one mapped step for one item by this command. Raises the kind of error that its exit code stands for."""
    now, settings = current_run(), config.load()
    engine, run_id = now.owner
    arguments = [pipeline.name, step, "--partition", partition.key, "--item", item]
    arguments += ["--run-id", run_id, "--attempt", str(now.attempt), "--engine", engine, "--here"]
    seconds = settings.for_step(pipeline.name, step).timeout_seconds
    environment = {**os.environ, "APP_ENV": settings.env, "STEP_SECONDS": f"{seconds:.0f}"}
    try:
        process = subprocess.Popen(
            [*shlex.split(runner), *arguments],
            cwd=settings.root,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
    except (OSError, ValueError) as error:  # ValueError: a quotation mark that is not closed
        raise errors.ConfigError(f"runner under [model] of {pipeline.name} cannot be started: {error}") from None
    last: deque[str] = deque(maxlen=1)
    with process:
        try:
            for line in process.stdout:
                if line.strip():
                    last.append(line.strip())
                    _log(line.strip())
            process.wait()
        except BaseException:  # the step's time-out, or a run that is cancelled
            process.terminate()
            try:
                process.wait(SECONDS_TO_END)
            except subprocess.TimeoutExpired:
                process.kill()
            raise
    if process.returncode:
        reason = "".join(last).removeprefix("error: ") or "it printed nothing"
        raise errors.of_exit_code(process.returncode)(f"{item}: {reason} (exit code {process.returncode})")


def _log(line: str) -> None:
    log = logging.get_logger()
    try:
        fields = json.loads(line)
        event = fields.pop("event")
    except (ValueError, AttributeError, KeyError, TypeError):
        log.info("from the step", line=line)
        return
    log.info(event, **{name: value for name, value in fields.items() if name not in OURS})
