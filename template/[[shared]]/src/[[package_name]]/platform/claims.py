"""Claims: what must be done once, however many processes think it is theirs to do, as sending an alert.

A claim is held while the work is done and kept only if it succeeded; a process that dies meanwhile lets go of it. On a
DuckDB file, which is one machine's, claims are files in var/<env>/claims; else they are rows of the warehouse.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256

from . import config, logging, warehouse

TABLE = "platform.claims"


@dataclass
class Claim:
    """done: whether the work was done, by another process before or, once set, by this one."""

    done: bool = False


@contextmanager
def hold(settings: config.Settings, work: str) -> Iterator[Claim]:
    """Wait until nobody else holds this piece of work, and hold it for the body.

    Without a working store the work is done rather than left: once too often is better than never.
    """
    store = _files if settings.warehouse.url.startswith("duckdb:") else _rows
    held = store(settings, work)
    claim = _enter(held)
    try:
        yield claim or Claim()
    finally:
        if claim:
            _leave(held)


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
    logging.get_logger().warning("no claims can be kept", error=type(error).__name__, reason=str(error))


@contextmanager
def _files(settings: config.Settings, work: str) -> Iterator[Claim]:
    folder = settings.state / "claims"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _digest(work)).open("a+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        claim = Claim(done=bool(file.read()))
        before = claim.done
        yield claim
        if claim.done and not before:
            file.write(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {work}\n")


@contextmanager
def _rows(settings: config.Settings, work: str) -> Iterator[Claim]:
    with warehouse.connect(settings) as con:
        with warehouse.transaction(con, lock=TABLE):
            warehouse.run(con, "CREATE SCHEMA IF NOT EXISTS platform")
            columns = "id text PRIMARY KEY, work text, done_at timestamptz"
            warehouse.run(con, f"CREATE TABLE IF NOT EXISTS {TABLE} ({columns})")
        digest = _digest(work)
        with warehouse.transaction(con, lock=digest):
            found = con.con.execute(f"SELECT count(*) FROM {TABLE} WHERE id = '{digest}'").fetchone()[0]
            claim = Claim(done=bool(found))
            yield claim
            if claim.done and not found:
                con.con.execute(f"INSERT INTO {TABLE} VALUES ('{digest}', %s, now())", [work])


def _digest(work: str) -> str:
    return sha256(work.encode()).hexdigest()[:32]
