"""Prefect's log records in the project's terms; deploy/local/prefect/logging.yml names this."""

from __future__ import annotations

import logging
import sqlite3

from ...platform import logging as platform_logging

# Key of our lines: what Prefect calls it.
NAMES = {"pipeline": "flow_name", "step": "task_name", "run_id": "flow_run_id"}


class RunContext(logging.Filter):
    """Gives records about a run the keys that lines of its steps have."""

    def filter(self, record: logging.LogRecord) -> bool:
        for ours, theirs in NAMES.items():
            if hasattr(record, theirs):
                setattr(record, ours, getattr(record, theirs))
        flow, run = getattr(record, "flow_name", None), getattr(record, "flow_run_name", None)
        if flow and run and run.startswith(f"{flow}-"):  # see `policies.run_name`
            record.partition = run.removeprefix(f"{flow}-")
        # Set by handlers before this one; the event says the same.
        record.__dict__.pop("message", None)
        return True


class ShortLocks(logging.Filter):
    """Says in one line that SQLite was busy: what it refused is tried again, so a traceback would only alarm people."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        while error is not None:
            if isinstance(error, sqlite3.OperationalError) and "locked" in str(error):
                record.msg, record.args = f"{record.getMessage().splitlines()[0]}: {error}, will try again", ()
                record.exc_info = record.exc_text = None
                record.levelno, record.levelname = logging.WARNING, "WARNING"
                return True
            error = getattr(error, "orig", None) or error.__cause__ or error.__context__
        return True


def log_line(text: str = "") -> None:
    """A printer for Prefect's workers: one line, also of the tracebacks that they print of what they will try again."""
    lines = text.strip().splitlines()
    if lines:
        platform_logging.get_logger().info(lines[-1 if lines[0].startswith("Traceback") else 0])
