"""Structured logging with structlog: readable lines in development, one JSON object a line elsewhere.

Every line has the same keys: timestamp, level, event, env, pipeline, step, run_id, partition, attempt. Lines of engines
and libraries, which use the standard library's logging, take the same form through `formatter`. Secrets are masked in
all of them.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, Processor

from . import config, masking, telemetry

CONTEXT = ("env", "pipeline", "step", "run_id", "partition", "attempt")
# What identifies a line is never masked: it comes from the platform, and a line without it helps nobody.
STRUCTURE = (*CONTEXT, "timestamp", "level", "logger")


def get_logger() -> structlog.stdlib.BoundLogger:
    return structlog.get_logger("pipelines")


def configure(settings: config.Settings | None = None, file: TextIO | None = None) -> None:
    """Set structlog up for this process as ``[logging]`` says, and mask secrets in what else is logged.

    An engine that has set structlog up for its own task logs keeps its form; our context and masks come before it.
    file: where lines go, standard error by default.
    """
    masking.mask_records()
    if structlog.is_configured():
        _add_to(structlog.get_config()["processors"])
        return
    settings = settings or config.load()
    file = file or sys.stderr
    structlog.configure(
        processors=[*_common(settings), _mask, telemetry.emit, *_rendered(settings, colors=file.isatty())],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(settings.logging.level)),
        logger_factory=structlog.WriteLoggerFactory(file=file),
    )


def formatter(colors: bool = False) -> logging.Formatter:
    """A formatter that gives records of the standard library's logging the form of our own lines.

    Engines name it in their logging configuration: ``"()": <package>.platform.logging.formatter``.
    """
    settings = config.load()
    masking.mask_records()
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*_common(settings), structlog.stdlib.add_logger_name, structlog.stdlib.ExtraAdder()],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_rendered(settings, colors)],
    )


def dict_config() -> dict[str, Any]:
    """For `logging.config.dictConfig`: all records of this process to standard error, in our form."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"project": {"()": f"{__name__}.formatter"}},
        "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "project"}},
        "root": {"handlers": ["console"], "level": config.load().logging.level},
    }


def _common(settings: config.Settings) -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        *([] if settings.logging.format == "console" else [_complete(settings.env)]),
    ]


def _rendered(settings: config.Settings, colors: bool) -> list[Processor]:
    # Tracebacks as text, before the masks; those with local variables would show more than anyone wants logged.
    if settings.logging.format == "console":
        plain = structlog.dev.plain_traceback
        return [
            structlog.processors.format_exc_info,
            _mask,
            structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=plain),
        ]
    return [structlog.processors.format_exc_info, _mask, structlog.processors.JSONRenderer(default=str)]


def _complete(env: str) -> Processor:
    """Outside of a step the keys are there too, null, so that each line can be searched alike."""

    def complete(_: Any, __: str, event: EventDict) -> EventDict:
        return {**dict.fromkeys(CONTEXT), "env": env, **event}

    return complete


def _mask(_: Any, __: str, event: EventDict) -> EventDict:
    error = event["exc_info"] if isinstance(event.get("exc_info"), BaseException) else sys.exc_info()[1]
    if event.get("exc_info") and error:
        masking.scrub(error)  # an engine may show it in a form of its own
    untouched = (*STRUCTURE, "exc_info")
    return {key: value if key in untouched else masking.mask_all(value) for key, value in event.items()}


def _add_to(processors: list[Processor]) -> None:
    """Put context and masks before an engine's own processors, in place, since it may have handed them out already."""
    ours: list[Callable[..., Any]] = [structlog.contextvars.merge_contextvars, _mask, telemetry.emit]
    for processor in reversed(ours):
        if processor not in processors:
            processors.insert(0, processor)
