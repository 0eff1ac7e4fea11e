"""Structured logging with structlog: readable lines in development, one JSON object a line elsewhere.

An engine that has set structlog up for its own task logs keeps its setting; our lines then follow its form.
"""

from __future__ import annotations

import logging
import sys
from typing import TextIO

import structlog

from . import config


def get_logger() -> structlog.stdlib.BoundLogger:
    return structlog.get_logger("pipelines")


def configure(settings: config.Settings | None = None, file: TextIO | None = None) -> None:
    """Set structlog up for this process as ``[logging]`` says, unless that was done before.

    file: where lines go, standard error by default.
    """
    if structlog.is_configured():
        return
    chosen = (settings or config.load()).logging
    file = file or sys.stderr
    readable = chosen.format == "console"
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *([] if readable else [structlog.processors.dict_tracebacks]),
            structlog.dev.ConsoleRenderer(colors=file.isatty()) if readable else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(chosen.level)),
        logger_factory=structlog.WriteLoggerFactory(file=file),
    )
