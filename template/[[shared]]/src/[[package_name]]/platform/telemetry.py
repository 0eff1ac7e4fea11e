"""Traces and log lines for an OpenTelemetry collector, where ``[telemetry]`` names one; off by default.

Needs the dependency group ``telemetry``. A step is a span, and the steps of a run are one trace, also where each runs
in a process of its own. Engines' lines are not sent: they have exporters of their own.
"""

from __future__ import annotations

import atexit
import logging
import os
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager, suppress
from functools import lru_cache
from hashlib import sha256
from threading import Event, Thread
from time import time_ns
from typing import TYPE_CHECKING, Any

from . import config
from .errors import ConfigError

if TYPE_CHECKING:
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk.trace import TracerProvider

SEND_SECONDS = 3  # a collector that does not answer costs each step no more than this, and the process's end as much
SERVICE = __name__.split(".")[0]
logging.getLogger("opentelemetry.exporter").setLevel(logging.CRITICAL)  # repeats every second that nobody answers


@contextmanager
def span(settings: config.Settings, run_id: str, attributes: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Record the body as the span of a step; what is put into the yielded dictionary becomes attributes at the end.

    run_id: the steps that have it share a trace.
    Raises ConfigError when a collector is named and the libraries are not installed.
    """
    if not settings.telemetry.otlp_endpoint:
        yield {}
        return
    from opentelemetry import trace

    spans, _, sender = _providers(settings.telemetry.otlp_endpoint, settings.env)
    more: dict[str, Any] = {}
    name = f"{attributes['pipeline']} {attributes['step']}"
    tracer = spans.get_tracer(SERVICE)
    try:
        with tracer.start_as_current_span(name, _trace_of(attributes, run_id), attributes=attributes) as current:
            try:
                yield more
            except BaseException as error:
                current.set_status(trace.StatusCode.ERROR, f"{type(error).__name__}: {error}")
                raise
            finally:
                current.set_attributes(more)
    finally:
        sender.send()  # an engine may end this process without running what is registered for its end


def emit(_: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor that sends each line, whatever form it is written in."""
    settings = config.load()
    if settings.telemetry.otlp_endpoint:
        from opentelemetry._logs import SeverityNumber

        attributes = {key: _plain(value) for key, value in event.items() if key not in ("event", "timestamp", "level")}
        level = method.upper() if method != "exception" else "ERROR"
        _providers(settings.telemetry.otlp_endpoint, settings.env)[1].get_logger(SERVICE).emit(
            timestamp=time_ns(),
            severity_text=level,
            severity_number=SeverityNumber[{"WARNING": "WARN", "CRITICAL": "FATAL"}.get(level, level)],
            body=str(event["event"]),
            attributes={key: value for key, value in attributes.items() if value is not None},
        )
    return event


@lru_cache(maxsize=1)
def _providers(endpoint: str, env: str) -> tuple[TracerProvider, LoggerProvider, Sender]:
    try:
        from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk._logs import LoggerProvider
        from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        raise ConfigError(
            "telemetry.otlp_endpoint is set, but its libraries are not installed: leave it empty, or add telemetry to "
            "default-groups in pyproject.toml and run make setup"
        ) from None
    resource = Resource.create({"service.name": SERVICE, "deployment.environment.name": env})
    # Their own way to end waits for half a minute.
    spans = TracerProvider(resource=resource, shutdown_on_exit=False)
    logs = LoggerProvider(resource=resource, shutdown_on_exit=False)
    base = endpoint.rstrip("/")
    spans.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{base}/v1/traces", timeout=SEND_SECONDS)))
    logs.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter(f"{base}/v1/logs", timeout=SEND_SECONDS)))
    sender = Sender(lambda: (spans.force_flush(), logs.force_flush()))
    atexit.register(sender.send)
    return spans, logs, sender


class Sender:
    """Sends what is queued, and waits for it no longer than `SEND_SECONDS`: the library's own flush has no deadline.

    Its one thread starts early, because none can be started while a process ends.
    """

    def __init__(self, flush: Callable[[], object]) -> None:
        self.flush = flush
        self._start()

    def send(self) -> None:
        if self.process != os.getpid():
            self._start()
        self.done.clear()
        self.wanted.set()
        self.done.wait(SEND_SECONDS)

    def _start(self) -> None:
        """Start the thread, again in a process that was forked: threads do not come along."""
        self.process, self.wanted, self.done = os.getpid(), Event(), Event()
        Thread(target=self._work, daemon=True, name="telemetry").start()

    def _work(self) -> None:
        while True:
            self.wanted.wait()
            self.wanted.clear()
            with suppress(Exception):
                self.flush()
            self.done.set()


def _trace_of(attributes: dict[str, Any], run_id: str) -> Any:
    """The run as the parent of its steps: the same ids in every process. Without a run, a step is its own trace."""
    if not run_id:
        return None
    from opentelemetry import trace

    run = " ".join((attributes["env"], attributes["pipeline"], attributes["partition"], run_id))
    digest = sha256(run.encode()).digest()
    ids = {"trace_id": int.from_bytes(digest[:16]), "span_id": int.from_bytes(digest[16:24])}
    sampled = trace.TraceFlags(trace.TraceFlags.SAMPLED)
    parent = trace.SpanContext(**ids, is_remote=True, trace_flags=sampled)
    return trace.set_span_in_context(trace.NonRecordingSpan(parent))


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, (str, bool, int, float)) else str(value)
