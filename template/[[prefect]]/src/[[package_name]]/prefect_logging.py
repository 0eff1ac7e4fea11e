"""Prefect's log records in the project's terms; deploy/local/prefect/logging.yml names this."""

from __future__ import annotations

import logging

# Key of our lines: what Prefect calls it.
NAMES = {"pipeline": "flow_name", "step": "task_name", "run_id": "flow_run_id"}


class RunContext(logging.Filter):
    """Gives records about a run the keys that lines of its steps have."""

    def filter(self, record: logging.LogRecord) -> bool:
        for ours, theirs in NAMES.items():
            if hasattr(record, theirs):
                setattr(record, ours, getattr(record, theirs))
        # Set by handlers before this one; the event says the same.
        record.__dict__.pop("message", None)
        return True
