"""What is published, from which input, and who works on it: tables in the schema ``platform`` of the warehouse.

``published`` has a row for each time a partition was published, written in the transaction that publishes its tables.
``partition_claims`` has a row for each partition that a run works on. A run claims its partition with its first step
that writes; another run of that partition is then refused until the first has published, has failed for good or is
gone. A run whose partition was taken over cannot publish it any more. ``inputs_read`` has a row for each run that has
read a partition's input since the partition was published: how old the input was, and a digest of it.
"""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from . import config, warehouse
from .errors import PartitionBusy, PartitionTaken
from .runs import current_run

if TYPE_CHECKING:
    from .partitions import Partition
    from .pipelines import Pipeline
    from .runs import Run
    from .warehouse import Connection

PUBLISHED, CLAIMS, INPUTS = "platform.published", "platform.partition_claims", "platform.inputs_read"
COLUMNS = {
    PUBLISHED: 'pipeline text, partition text, version integer, engine text, run text, rows text, "at" timestamp, '
    "PRIMARY KEY (pipeline, partition, version)",
    CLAIMS: "pipeline text, partition text, engine text, run text, host text, process text, until timestamp, "
    "PRIMARY KEY (pipeline, partition)",
    INPUTS: "pipeline text, partition text, engine text, run text, changed timestamp, digest text",
}
GRACE = timedelta(seconds=60)  # for what an engine does between two steps, or before it repeats one
turns = threading.Lock()  # for threads of a mapped step: DuckDB refuses the second of two that change one table at once


@dataclass(frozen=True)
class Publication:
    """One publication of a partition. rows: by table. version: counts from 1. at: in UTC."""

    pipeline: str
    partition: str
    version: int
    engine: str
    run: str
    rows: Mapping[str, int]
    at: datetime


def record(con: Connection, pipeline: Pipeline, partition: Partition, run: Run, rows: Mapping[str, int]) -> None:
    """Note a publication and its contracts, in the transaction of the caller, and end the run's claim."""
    from . import data_contracts  # which reads the models

    key = [pipeline.name, partition.key]
    row = "?, ?, coalesce(max(version), 0) + 1, ?, ?, ?, ?"
    earlier = f"FROM {PUBLISHED} WHERE pipeline = ? AND partition = ?"
    values = [*key, *run.owner, json.dumps(dict(rows)), _now(), *key]
    warehouse.run(con, f"INSERT INTO {PUBLISHED} SELECT {row} {earlier}", values)
    warehouse.run(con, f"DELETE FROM {CLAIMS} WHERE pipeline = ? AND partition = ?", key)
    others = "pipeline = ? AND partition = ? AND NOT (engine = ? AND run = ?)"
    warehouse.run(con, f"DELETE FROM {INPUTS} WHERE {others}", [*key, *run.owner])
    data_contracts.publish(con, pipeline)


def note_input(con: Connection, pipeline: Pipeline, partition: Partition, changed: datetime, digest: str) -> None:
    """Note the input that the current run is about to read: when it changed last, and its digest; see `late_input`."""
    key = [pipeline.name, partition.key, *current_run().owner]
    mine = "pipeline = ? AND partition = ? AND engine = ? AND run = ?"
    warehouse.run(con, f"DELETE FROM {INPUTS} WHERE {mine}", key)
    at = changed.astimezone(UTC).replace(tzinfo=None)
    warehouse.run(con, f"INSERT INTO {INPUTS} VALUES (?, ?, ?, ?, ?, ?)", [*key, at, digest])


def inputs_read(pipeline: Pipeline) -> dict[tuple[str, str, str], tuple[datetime, str]]:
    """When the input had changed last, in UTC, and its digest, by partition, engine and run."""
    with warehouse.connect() as con:
        if not warehouse.has(con, INPUTS):
            return {}
        selected = f"SELECT partition, engine, run, changed, digest FROM {INPUTS} WHERE pipeline = ?"
        rows = warehouse.rows(con, selected, [pipeline.name])
    return {tuple(key): (changed.replace(tzinfo=UTC), digest) for *key, changed, digest in rows}


def latest(pipeline: Pipeline, keys: Iterable[str] | None = None) -> dict[str, Publication]:
    """The newest publication of each partition, or of those with the given keys, by key."""
    newest: dict[str, Publication] = {}
    with warehouse.connect() as con:
        if not warehouse.has(con, PUBLISHED):
            return {}
        selected = f"SELECT * FROM {PUBLISHED} WHERE pipeline = ? ORDER BY partition, version"
        for name, key, version, engine, run, rows, at in warehouse.rows(con, selected, [pipeline.name]):
            newest[key] = Publication(name, key, version, engine, run, json.loads(rows), at.replace(tzinfo=UTC))
    wanted = None if keys is None else set(keys)
    return {key: each for key, each in newest.items() if wanted is None or key in wanted}


def missing(pipeline: Pipeline, partitions: list[Partition]) -> list[Partition]:
    """Those of the partitions that were never published."""
    there = latest(pipeline)
    return [partition for partition in partitions if partition.key not in there]


def prepare(con: Connection) -> None:
    """Make the tables and the schemas where they are missing."""
    if warehouse.has(con, INPUTS):
        return
    with warehouse.transaction(con, lock="platform"):
        for schema in ("platform", warehouse.STAGING):
            warehouse.run(con, f"CREATE SCHEMA IF NOT EXISTS {schema}")
        for table, columns in COLUMNS.items():
            warehouse.run(con, f"CREATE TABLE IF NOT EXISTS {table} ({columns})")


def claim(con: Connection, pipeline: Pipeline, partition: Partition, run: Run, seconds: float, *, first: bool) -> None:
    """Take the partition for this run before a step of it, or keep it.

    seconds: that the step may take. first: whether this is the run's first step that writes; only that one may take a
    partition, a later one must have it. Raises PartitionBusy while another run works on it, PartitionTaken when a later
    step finds that its run lost it.
    """
    until = _now() + timedelta(seconds=seconds) + GRACE
    holder = [socket.gethostname(), _process(os.getpid())]
    prepare(con)
    key = [pipeline.name, partition.key]
    mine = [*key, *run.owner, *holder, until]
    if first:  # mostly nobody has it
        if warehouse.write(con, f"INSERT INTO {CLAIMS} VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", mine):
            return
    else:
        kept = "pipeline = ? AND partition = ? AND engine = ? AND run = ? AND host = ? AND process = ? AND until >= ?"
        lasting = [*key, *run.owner, *holder, until - GRACE]
        if warehouse.rows(con, f"SELECT 1 FROM {CLAIMS} WHERE {kept}", lasting):
            return
        if _update(con, pipeline, partition, run, until, holder):
            return
    with warehouse.transaction(con, lock=f"claim {' '.join(key)}"):
        selected = f"SELECT engine, run, host, process, until FROM {CLAIMS} WHERE pipeline = ? AND partition = ?"
        claims = warehouse.rows(con, selected, key)
        owner = claims[0] if claims else None
        if owner is None or tuple(owner[:2]) != run.owner:
            if not first:
                reason = (
                    f"was taken over by {_words(*owner[:2])}"
                    if owner
                    else "is published already, or another run has given it up"
                )
                raise PartitionTaken(
                    f"{pipeline.name} {partition} {reason}, so this run cannot continue: "
                    "run it again from its first step"
                )
            if owner is not None and _is_active(*owner[2:]):
                raise PartitionBusy(
                    f"{pipeline.name} {partition} is being run by {_words(*owner[:2])}: wait until that run has ended, "
                    "or stop it"
                )
        warehouse.run(con, f"DELETE FROM {CLAIMS} WHERE pipeline = ? AND partition = ?", key)
        warehouse.run(con, f"INSERT INTO {CLAIMS} VALUES (?, ?, ?, ?, ?, ?, ?)", mine)


@contextmanager
def held(con: Connection, pipeline: Pipeline, partition: Partition, step: str, *, first: bool) -> Iterator[None]:
    """Hold the partition for the body, a step of the current run; see `claim`. The body is one transaction."""
    run, settings = current_run(), config.load().for_step(pipeline.name, step)
    claim(con, pipeline, partition, run, settings.timeout_seconds, first=first)
    try:
        with warehouse.transaction(con):
            yield
            if not run.one_process:  # its process holds the claim, as long as the step might have taken
                pause(con, pipeline, partition, run, 0)
    except BaseException as error:
        with suppress(Exception):  # a warehouse that is gone; the claim then ends by its time
            if run.is_last(error, settings.retries.attempts):
                release(con, pipeline, partition, run)
            else:
                pause(con, pipeline, partition, run, settings.retries.max_delay_seconds)
        raise


@contextmanager
def held_apart(pipeline: Pipeline, partition: Partition, step: str, *, mapped: bool = False) -> Iterator[None]:
    """Hold the partition for the body, a later step of the current run, with no connection open meanwhile.

    For a step whose work another process does: a DuckDB file has one writer at a time. mapped: whether the run does the
    step for several items at once; the claim then lasts as long as the step may take, as others may still be at work.
    """
    run, settings = current_run(), config.load().for_step(pipeline.name, step)
    with turns, warehouse.connect() as con:
        claim(con, pipeline, partition, run, settings.timeout_seconds, first=False)
    try:
        yield
    except BaseException as error:
        with suppress(Exception), turns, warehouse.connect() as con:  # as above
            if run.is_last(error, settings.retries.attempts):
                release(con, pipeline, partition, run)
            elif not mapped:
                pause(con, pipeline, partition, run, settings.retries.max_delay_seconds)
        raise
    if not mapped:
        with warehouse.connect() as con:
            pause(con, pipeline, partition, run, 0)


def pause(con: Connection, pipeline: Pipeline, partition: Partition, run: Run, seconds: float) -> None:
    """Keep the claim between two steps for so many seconds and the grace, or until the run's one process is gone."""
    holder = [socket.gethostname(), _process(os.getpid()) if run.one_process else ""]
    _update(con, pipeline, partition, run, _now() + timedelta(seconds=seconds) + GRACE, holder)


def release(con: Connection, pipeline: Pipeline, partition: Partition, run: Run) -> None:
    """Let another run have the partition: this one has failed for good."""
    _update(con, pipeline, partition, run, _now(), [socket.gethostname(), ""])


def forget_work(con: Connection, pipeline: Pipeline) -> None:
    """Drop the staging tables and claims of a pipeline; what it has published stays, and so does its history."""
    if warehouse.has(con, CLAIMS):
        warehouse.run(con, f"DELETE FROM {CLAIMS} WHERE pipeline = ?", [pipeline.name])
    warehouse.drop_staged(con, *warehouse.staged_by(con, pipeline.name))


def _update(
    con: Connection, pipeline: Pipeline, partition: Partition, run: Run, until: datetime, holder: Sequence[str]
) -> int:
    """Change the claim of this run; 0 when it has none. holder: host and process."""
    chosen = "pipeline = ? AND partition = ? AND engine = ? AND run = ?"
    values = [until, *holder, pipeline.name, partition.key, *run.owner]
    return warehouse.write(con, f"UPDATE {CLAIMS} SET until = ?, host = ?, process = ? WHERE {chosen}", values)


def _is_active(host: str, process: str, until: datetime) -> bool:
    """Whether the run that has a claim still works on it: its process is there, or may be on another machine."""
    if until <= _now():
        return False
    return not process or host != socket.gethostname() or _process(int(process.split()[0])) == process


def _process(pid: int) -> str:
    """A process by its number and start, as numbers are used again; empty when it is gone."""
    import psutil

    try:
        return f"{pid} {psutil.Process(pid).create_time():.2f}"
    except psutil.NoSuchProcess:
        return ""


def _words(engine: str, run: str) -> str:
    return f"{engine or 'the command line'}{f' as run {run}' if run else ''}"


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


def freshness(pipeline: Pipeline, last: Publication | None) -> str:
    """``fresh`` when the partition that was due last is published, ``stale`` when it is not, ``-`` without a schedule.

    A partition has until ``sla_seconds`` after its tick.
    """
    schedule = pipeline.settings.schedule
    if not schedule.cron:
        return "-"
    from .schedules import previous_tick

    tick = previous_tick(
        schedule.cron, schedule.timezone, datetime.now(UTC) - timedelta(seconds=pipeline.settings.sla_seconds)
    )
    wanted = pipeline.due(tick)
    if last is None:
        return "stale"
    is_fresh = last.at >= tick if wanted.start is None else last.partition >= wanted.key
    return "fresh" if is_fresh else "stale"
