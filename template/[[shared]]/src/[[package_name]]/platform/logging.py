"""Structured logging with structlog: readable lines in development, one JSON object a line elsewhere.

An engine that has set structlog up for its own task logs keeps its setting; our lines then follow its form.
"""

from __future__ import annotations

import logging
import sys

import structlog

from . import config


def get_logger() -> structlog.stdlib.BoundLogger:
    return structlog.get_logger("pipelines")


def configure(settings: config.Settings | None = None) -> None:
    """Set structlog up for this process as ``[logging]`` says, unless the engine has done so."""
    if structlog.is_configured():
        return
    chosen = (settings or config.load()).logging
    readable = chosen.format == "console"
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *([] if readable else [structlog.processors.dict_tracebacks]),
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()) if readable else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(chosen.level)),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
    )
