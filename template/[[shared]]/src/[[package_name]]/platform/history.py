"""History of each pipeline's steps and incidents, which the report shows: it needs no orchestrator that is up.

On a DuckDB file, which is one machine's, it is var/<env>/history/<pipeline>.jsonl; else rows of the warehouse.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from . import config, files, logging, outgoing, warehouse
from .runs import current_run

if TYPE_CHECKING:
    from .steps import StepReport

TABLE = "platform.history"
STEP, NOTICE = "step", "notice"  # kinds beside those of incidents
RECORD_SECONDS = 5  # a warehouse that hangs, or a file that stays locked, costs a step no more than this


@dataclass(frozen=True)
class Fact:
    """What happened to a partition. kind: ``step``, ``failed``, ``late`` or ``notice``. at: ISO 8601, in UTC.

    run: the same in all repetitions of a run. error: class of the error, empty when there was none. seconds: wall time.
    reason: in words, with secrets masked.
    """

    kind: str
    partition: str
    step: str = ""
    run: str = ""
    attempt: int = 1
    seconds: float = 0.0
    error: str = ""
    reason: str = ""
    at: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="milliseconds"))


def record_step(report: StepReport, settings: config.Settings) -> None:
    """Add a finished attempt of a step. Never raises, and takes no longer than `RECORD_SECONDS`."""
    run, seconds, reason = current_run(), round(report.seconds, 3), report.detail if report.failed else ""
    key = report.partition.key
    fact = Fact(STEP, key, report.step, run.owner[1], run.attempt, seconds, report.error, reason)
    record(settings, report.pipeline.name, fact)


def record(settings: config.Settings, pipeline: str, fact: Fact) -> None:
    """Add a fact. Never raises: what happens matters more than its record."""
    try:
        if settings.warehouse.is_file:
            _add_line(settings, pipeline, fact)
        else:
            outgoing.within(RECORD_SECONDS, lambda: _add_row(settings, pipeline, fact), key="history")
    except Exception as error:  # noqa: BLE001
        logging.get_logger().warning("history not recorded", error=type(error).__name__, reason=str(error))


def read(settings: config.Settings, pipeline: str) -> list[Fact]:
    """All facts about a pipeline that are kept, the oldest first."""
    if settings.warehouse.is_file:
        file = _file(settings, pipeline)
        texts = file.read_text(encoding="utf-8", errors="replace").splitlines() if file.exists() else []
    else:
        with warehouse.connect(settings) as con:
            selected = f"SELECT fact FROM {TABLE} WHERE pipeline = ?"
            there = warehouse.has(con, TABLE)
            texts = [text for (text,) in warehouse.rows(con, selected, [pipeline])] if there else []
    return sorted(filter(None, map(_parsed, texts)), key=lambda fact: fact.at)


def forget(settings: config.Settings, before: datetime) -> None:
    """Remove the facts before that instant."""
    if not settings.warehouse.is_file:
        with warehouse.connect(settings) as con:
            if warehouse.has(con, TABLE):
                warehouse.run(con, f'DELETE FROM {TABLE} WHERE "at" < ?', [before.astimezone(UTC)])
        return
    for file in (settings.state / "history").glob("*.jsonl"):
        with _locked(file):
            kept = [fact for fact in read(settings, file.stem) if fact.at >= before.astimezone(UTC).isoformat()]
            files.replace(file, "".join(f"{json.dumps(asdict(fact))}\n" for fact in kept))


def _file(settings: config.Settings, pipeline: str) -> Path:
    return settings.state / "history" / f"{pipeline}.jsonl"


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    from filelock import FileLock

    file.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(file.with_suffix(".lock"), timeout=RECORD_SECONDS):
        yield


def _add_line(settings: config.Settings, pipeline: str, fact: Fact) -> None:
    file = _file(settings, pipeline)
    with _locked(file), file.open("a", encoding="utf-8", newline="\n") as lines:
        lines.write(f"{json.dumps(asdict(fact))}\n")


def _add_row(settings: config.Settings, pipeline: str, fact: Fact) -> None:
    with warehouse.connect(settings) as con:
        if not warehouse.has(con, TABLE):
            with warehouse.transaction(con, lock=TABLE):
                warehouse.run(con, "CREATE SCHEMA IF NOT EXISTS platform")
                warehouse.run(con, f'CREATE TABLE IF NOT EXISTS {TABLE} (pipeline text, "at" timestamp, fact text)')
        values = [pipeline, datetime.fromisoformat(fact.at), json.dumps(asdict(fact))]
        warehouse.run(con, f"INSERT INTO {TABLE} VALUES (?, ?, ?)", values)


def _parsed(text: str) -> Fact | None:
    """The fact of a line; None when it is damaged, as by a crash, or of a later version."""
    try:
        return Fact(**json.loads(text))
    except (TypeError, ValueError):
        return None
