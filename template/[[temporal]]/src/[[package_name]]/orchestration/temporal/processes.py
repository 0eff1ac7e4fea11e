"""A step in a process of its own: one that hangs, or needs too much memory, is ended without its worker.

A server process loads the libraries once and forks for each step. A step's process ends when its worker is gone.
"""

from __future__ import annotations

import asyncio
import logging.config
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from typing import Any

from ...platform import errors, landing, masking, pipelines, steps
from ...platform import logging as platform_logging
from ...platform.errors import InputNotReady
from ...platform.runs import Run, progress_kept, run_context

BEAT_SECONDS = 3
END_SECONDS = 5  # between a request to end and the end
_context = multiprocessing.get_context("forkserver")


@dataclass(frozen=True)
class Work:
    """A step of a partition. looks: whether it only looks for the input. last: whether it looks for the last time.

    options: of the step's function.
    """

    pipeline: str
    step: str
    partition: str
    run: Run
    looks: bool = False
    last: bool = False
    options: dict[str, Any] = field(default_factory=dict)

    def __call__(self) -> dict[str, int] | None:
        """Do it in this process. Returns the step's rows, None when the input is not there yet."""
        pipeline = pipelines.get(self.pipeline)
        partition = pipeline.partition(self.partition)
        with run_context(self.run):
            if self.looks and not pipeline.code.input_ready(partition):
                if not self.last:
                    return None
                with steps.step(pipeline, self.step, partition):
                    place = landing.of(pipeline).shown(partition) if pipeline.settings.landing.url else partition
                    raise InputNotReady(f"no input: {place} is not complete")
            return dict(pipeline.step(self.step)(partition, **self.options) or {})


@dataclass(frozen=True)
class Progress:
    """What a step has noted of how far it is."""

    value: Any


@dataclass(eq=False)
class Failure(Exception):
    """How a step failed. error: class of the error. transient: whether another attempt may succeed."""

    error: str
    reason: str
    transient: bool

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        name = type(error).__name__
        reason = str(error) if isinstance(error, steps.EXPECTED) else f"{name}: {error}"
        return cls(name, masking.mask(reason), errors.is_transient(error))


def warm_up() -> None:
    """Start the server process, which loads the libraries, before the first step."""
    _context.set_forkserver_preload([f"{__package__}.preloaded"])
    forkserver.ensure_running()


async def run(work: Work, seconds: float, beat: Callable[[Any], Any]) -> dict[str, int] | None:
    """Do the work in a process of its own, which is ended after so many seconds, or when this is cancelled.

    beat: is called every few seconds meanwhile, and whenever the step notes progress, with the newest. Raises Failure.
    """
    ours, theirs = _context.Pipe()
    process = _context.Process(target=_main, args=(theirs, work))
    await asyncio.to_thread(process.start)
    theirs.close()
    loop, arrived = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(ours.fileno(), arrived.set)
    patience, outcome = 0, Progress(work.run.progress)
    try:
        async with asyncio.timeout(seconds):
            while isinstance(outcome, Progress):
                beat(outcome.value)  # each time, as a beat without it would have the server forget it
                with suppress(TimeoutError):
                    await asyncio.wait_for(arrived.wait(), BEAT_SECONDS)
                arrived.clear()
                if ours.poll():
                    outcome = ours.recv()
        patience = END_SECONDS
    except TimeoutError:
        raise Failure("TimeoutError", f"{work.step} took longer than {seconds:,.0f} s and was ended", True) from None
    except (EOFError, ConnectionError):
        await asyncio.to_thread(process.join)
        raise Failure("ProcessDied", f"the process of {work.step} {_ended(process.exitcode)}", True) from None
    finally:
        loop.remove_reader(ours.fileno())
        await asyncio.shield(asyncio.to_thread(_end, process, patience))
        ours.close()
    if isinstance(outcome, Failure):
        raise outcome
    return outcome


def _end(process: multiprocessing.process.BaseProcess, patience: float) -> None:
    """End a process; one that has handed over its outcome has some time to end by itself."""
    process.join(patience)
    if process.is_alive():
        process.terminate()
        process.join(END_SECONDS)
    if process.is_alive():
        process.kill()
        process.join()


def _ended(code: int | None) -> str:
    if code == -signal.SIGKILL:
        return "was killed, which a machine without free memory does"
    return f"ended with exit code {code}"


def _main(channel: Connection, work: Work) -> None:
    """What the process does."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_worker, args=(channel,), daemon=True).start()
    logging.config.dictConfig(platform_logging.dict_config())
    try:
        with progress_kept(lambda value: channel.send(Progress(value))):
            outcome: Any = work()
    except Exception as error:  # noqa: BLE001  the worker decides what becomes of it
        outcome = Failure.of(error)
    channel.send(outcome)


def _end_with_worker(channel: Connection) -> None:
    """Nobody sends anything: what comes is the end of the worker."""
    try:
        channel.recv()
    except (EOFError, OSError):
        os.kill(os.getpid(), signal.SIGKILL)
