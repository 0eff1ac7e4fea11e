"""Runs in this process, for `make run`, and for `make backfill` without services.

The server of `make up` records them while it is up, else a temporary one, in the same database. Prefect's own log
lines go to var/<env>/prefect/run.log.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ...platform import config, files, steps
from ...platform import logging as platform_logging
from ...platform.errors import ConfigError
from . import server

if TYPE_CHECKING:
    from ...platform.partitions import Partition
    from ...platform.pipelines import Pipeline
    from ..engine import InProcess


@contextmanager
def running() -> Iterator[InProcess]:
    """What runs partitions in this process."""
    os.environ["PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"] = "CRITICAL"
    home = Path(os.environ["PREFECT_HOME"])
    home.mkdir(parents=True, exist_ok=True)
    is_ready = False

    def run(pipeline: Pipeline, partition: Partition) -> bool:
        nonlocal is_ready
        if not is_ready:  # only now, so that its progress stands below the partition's title
            _start(home, pipeline)
            is_ready = True
        return _run(pipeline, partition)

    yield run


def _start(home: Path, pipeline: Pipeline) -> None:
    if "PREFECT_API_URL" in os.environ:
        _log_to(home / "run.log")
        return
    with _progress("start server", "temporary, for this command"):
        temporary = server.TemporaryServer(home)
        os.environ["PREFECT_API_URL"] = temporary.url  # before Prefect is imported, which reads it then
        _log_to(home / "run.log")
        _load_libraries(pipeline)
        temporary.wait()
        _free_places()


def _run(pipeline: Pipeline, partition: Partition) -> bool:
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    flow = _flow(pipeline)
    try:
        # Ending the thread that sends heartbeats takes a second, and nobody watches for them here.
        with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
            state = flow(partition=partition.key, return_state=True)
    except Exception:
        logging.getLogger("prefect").exception("run of %s %s ended with an error", pipeline.name, partition)
        return False
    if state.is_completed():
        return True
    error = state.result(raise_on_failure=False)
    if isinstance(error, steps.EXPECTED):
        raise error
    return False


def _flow(pipeline: Pipeline):
    from prefect.exceptions import MissingFlowError, ScriptError
    from prefect.flows import load_flow_from_entrypoint

    file = f"flows/{pipeline.name}.py"
    if not (config.load().root / file).is_file():
        raise ConfigError(f"{pipeline.name} has no flow, so Prefect cannot run it: write {file}")
    try:
        entrypoint = f"{config.load().root}/{file}:{pipeline.name}"
        return load_flow_from_entrypoint(entrypoint, use_placeholder_flow=False)
    except ScriptError as error:
        cause = error.user_exc
        raise ConfigError(f"{file} cannot be imported: {type(cause).__name__}: {cause}") from cause
    except MissingFlowError:
        raise ConfigError(f"{file} has no flow named {pipeline.name}") from None


def _load_libraries(pipeline: Pipeline) -> None:
    """Load what the steps would load, while the server starts."""
    import ibis

    _flow(pipeline)
    with suppress(ImportError):  # not every shape has one
        importlib.import_module(f"{pipeline.module}.contract")
    ibis.to_sql(ibis.table({"one": "int64"}, name="one").count(), dialect="duckdb")


def _free_places() -> None:
    """Free what an earlier process has left: `make up` may have set limits in the same database."""
    from prefect.client.orchestration import get_client

    from . import deployments

    with get_client(sync_client=True) as client:
        deployments.free_places(client)


def _log_to(path: Path) -> None:
    import prefect.main  # noqa: F401  sets logging up when it is imported, and would remove our handler

    from . import logs

    handler = logging.StreamHandler(files.open_log(path))
    handler.setFormatter(platform_logging.formatter())
    for each in (logs.RunContext(), logs.ShortLocks()):
        handler.addFilter(each)
    logging.getLogger().addHandler(handler)


@contextmanager
def _progress(title: str, detail: str) -> Iterator[None]:
    """Show the body as a step: seconds count up at a terminal, and stay as a line when it is done."""
    start = time.monotonic()
    done = threading.Event()
    line = f"  {title:<16}{{:6.1f}} s"

    def count() -> None:
        while not done.wait(0.1):
            print(f"\r{line.format(time.monotonic() - start)}", end="", flush=True)

    counter = threading.Thread(target=count, daemon=True)
    at_terminal = sys.stdout.isatty()
    if at_terminal:
        counter.start()
    try:
        yield
    finally:
        done.set()
        if at_terminal:
            counter.join()
            print("\r", end="")
    print(f"{line.format(time.monotonic() - start)}   {detail}", flush=True)
