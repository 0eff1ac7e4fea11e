"""Claims: what must be done once, however many processes think it is theirs to do, such as sending an alert.

A claim is held while the work is done and kept only if it succeeded; a process that dies meanwhile lets go of it. On a
DuckDB file, which is one machine's, claims are files in var/<env>/claims; else they are rows of the warehouse.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from . import config, files, logging, warehouse

TABLE = "platform.claims"
WAIT_SECONDS = 60  # for another process that holds the claim; longer than one delivery takes


@dataclass
class Claim:
    """done: whether the work was done, by another process before or, once set, by this one."""

    done: bool = False


@contextmanager
def hold(settings: config.Settings, work: str) -> Iterator[Claim]:
    """Wait until nobody else holds this piece of work, but no longer than `WAIT_SECONDS`, and hold it for the body.

    Without a working store, or when another process keeps the claim, the work is done rather than left: once too often
    is better than never.
    """
    store = _files if settings.warehouse.is_file else _rows
    held = store(settings, work)
    claim = _enter(held)
    try:
        yield claim or Claim()
    finally:
        if claim:
            _leave(held)


def forget(settings: config.Settings, before: datetime) -> None:
    """Remove the claims of work that was done before that instant."""
    if settings.warehouse.is_file:
        _forget_files(settings.state / "claims", before)
        return
    with warehouse.connect(settings) as con:
        if warehouse.has(con, TABLE):
            warehouse.run(con, f"DELETE FROM {TABLE} WHERE done_at < ?", [before])


def _forget_files(folder: Path, before: datetime) -> None:
    from filelock import FileLock, Timeout

    for lock in folder.glob("*.lock"):
        if lock.stat().st_mtime >= before.timestamp():
            continue
        with suppress(Timeout), FileLock(lock, timeout=0):  # one that is held stays
            lock.with_suffix("").unlink(missing_ok=True)
            lock.unlink(missing_ok=True)


def _enter(held: AbstractContextManager[Claim]) -> Claim | None:
    try:
        return held.__enter__()
    except Exception as error:  # noqa: BLE001  whatever the store, the work matters more
        _warn(error)
        return None


def _leave(held: AbstractContextManager[Claim]) -> None:
    try:
        held.__exit__(None, None, None)
    except Exception as error:  # noqa: BLE001  as above; the work is done
        _warn(error)


def _warn(error: Exception) -> None:
    log = logging.get_logger()
    log.warning("claim not kept, so this may be done twice", error=type(error).__name__, reason=str(error))


@contextmanager
def _files(settings: config.Settings, work: str) -> Iterator[Claim]:
    from filelock import FileLock

    folder = settings.state / "claims"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / _digest(work)
    with FileLock(file.with_suffix(".lock"), timeout=WAIT_SECONDS):
        claim = Claim(done=_is_done(file, work))
        before = claim.done
        yield claim
        if claim.done and not before:
            files.replace(file, f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {work}\n")


def _is_done(file: Path, work: str) -> bool:
    """Whether the file says so; one that is damaged does not."""
    return file.exists() and file.read_bytes().endswith(f" {work}\n".encode())


@contextmanager
def _rows(settings: config.Settings, work: str) -> Iterator[Claim]:
    with warehouse.connect(settings) as con:
        # The server ends a wait, and a session that holds a claim and does nothing any more.
        warehouse.run(con, f"SET lock_timeout = '{WAIT_SECONDS}s'")
        warehouse.run(con, f"SET idle_in_transaction_session_timeout = '{WAIT_SECONDS}s'")
        with warehouse.transaction(con, lock=TABLE):
            warehouse.run(con, "CREATE SCHEMA IF NOT EXISTS platform")
            columns = "id text PRIMARY KEY, work text, done_at timestamptz"
            warehouse.run(con, f"CREATE TABLE IF NOT EXISTS {TABLE} ({columns})")
        digest = _digest(work)
        with warehouse.transaction(con, lock=digest):
            before = bool(warehouse.rows(con, f"SELECT 1 FROM {TABLE} WHERE id = ?", [digest]))
            claim = Claim(done=before)
            yield claim
            if claim.done and not before:
                warehouse.run(con, f"INSERT INTO {TABLE} VALUES (?, ?, now())", [digest, work])


def _digest(work: str) -> str:
    return sha256(work.encode()).hexdigest()[:32]
