"""`make cutover`: moves a pipeline from one orchestrator of the project to another, partition by partition.

1. one row of ``platform.assignments`` gives the new orchestrator all partitions from the first that nobody has claimed
2. config/pipelines/<name>.toml names the new orchestrator, whose schedule is on once it is restarted or deployed
3. the old one finishes the partitions that it has claimed
4. partitions that came due meanwhile run on the new one

Each step looks first whether it was done, so the same command goes on after a crash. Between the steps both schedules
may be on or off: a run of the wrong orchestrator cannot claim a partition.
"""

from __future__ import annotations

import re
import sys
import time
from datetime import UTC, datetime

from .. import orchestration
from ..platform import assignments, config, files, providers, publications, warehouse
from ..platform.errors import OK, PERMANENT, ConfigError
from ..platform.pipelines import PACKAGE, Pipeline
from .services import Services

POLL_SECONDS = 2
NAMED = re.compile(r"""^orchestrator\s*=\s*("[^"\n]*"|'[^'\n]*')""", re.MULTILINE)


def cut_over(pipeline: Pipeline, to: str, back: bool) -> int:
    """Move the pipeline, or give it back to the orchestrator that had it before. Returns the exit code.

    Raises ConfigError when it cannot be moved.
    """
    with warehouse.connect() as con:
        known = assignments.of_pipeline(con, pipeline)
    now = known[-1].engine if known else pipeline.settings.orchestrator
    if back:
        to = _before(pipeline, [each.engine for each in known])
    _refuse(pipeline, to, now)
    with warehouse.connect() as con:
        given = assignments.hand_over(con, pipeline, to, now)
        known = assignments.of_pipeline(con, pipeline)
    left = known[-2].engine if len(known) > 1 else ""
    range_ = f"{given.from_partition} and later" if given.from_partition else "all partitions"
    print(f"{pipeline.name}: {to} has {range_}", flush=True)
    _name_in_configuration(pipeline, to)
    _wait_for(pipeline, given.from_partition)
    for name in dict.fromkeys((to, now, left)):  # a move that was turned round ends on the one before it
        if name in orchestration.names() and Services(orchestration.get(name)).supervisor:
            print(f"restart {name}, so that it follows config/: make down up ORCHESTRATOR={name}")
    waiting = _due(pipeline, given.from_partition)
    if waiting:
        keys = f"FROM={waiting[0]} TO={waiting[-1]}"
        print(f"due, and not published: {', '.join(waiting[:5])}{' and more' * (len(waiting) > 5)}")
        print(f"run them: make backfill PIPELINE={pipeline.name} {keys} ONLY_MISSING=1 ORCHESTRATOR={to}")
    return _report_failed(pipeline, given.from_partition)


def _before(pipeline: Pipeline, engines: list[str]) -> str:
    """The orchestrator that had the pipeline before the one that has it now."""
    others = [name for name in engines if name != engines[-1]]
    if not others:
        raise ConfigError(f"no other orchestrator had {pipeline.name} before in this environment: use TO=...")
    configured = pipeline.settings.orchestrator
    if engines[-1] != configured:  # the move may have been in either direction
        raise ConfigError(
            f"{pipeline.name} is half way between {configured} and {engines[-1]}: end the move with TO={engines[-1]}, "
            f"or turn it round with TO={configured}"
        )
    return others[-1]


def _refuse(pipeline: Pipeline, to: str, now: str) -> None:
    engine = orchestration.get(to)
    file = engine.definition.format(package=PACKAGE, name=pipeline.name)
    if not (config.load().root / file).is_file():
        raise ConfigError(
            f"{to} has no {file}, so it cannot run {pipeline.name}: write that file first, as {now} has one, and see "
            f"that both publish the same: make compare PIPELINE={pipeline.name}"
        )


def _name_in_configuration(pipeline: Pipeline, to: str) -> None:
    """Write the orchestrator into the pipeline's file, where it is not yet."""
    path = config.load().root / "config" / "pipelines" / f"{pipeline.name}.toml"
    text, line = path.read_text(encoding="utf-8"), f'orchestrator = "{to}"'
    changed = NAMED.sub(line, text, count=1) if NAMED.search(text) else f"{line}\n{text}"
    if changed != text:
        files.replace(path, changed)
        print(f"config/pipelines/{pipeline.name}.toml names {to}: commit it, and deploy it where it runs", flush=True)


def _wait_for(pipeline: Pipeline, first: str) -> None:
    """Return when no run works on a partition before the first one of the new orchestrator."""
    shown: list[str] = []
    while True:
        with warehouse.connect() as con:
            working = [key for key in publications.claimed(con, pipeline, only_active=True) if key < first]
        if not working:
            return
        if working != shown:
            print(f"waiting for the runs of {', '.join(working)}; Ctrl-C does no harm", flush=True)
            shown = working
        time.sleep(POLL_SECONDS)


def _due(pipeline: Pipeline, first: str) -> list[str]:
    """Keys of partitions of the new orchestrator whose input is there, that are due and were never published."""
    last = pipeline.due(datetime.now(UTC)).key
    there = {key for key, each in providers.arrivals(pipeline).items() if each.complete and first <= key <= last}
    return sorted(there - publications.latest(pipeline).keys()) if first else []


def _report_failed(pipeline: Pipeline, first: str) -> int:
    """Name the partitions before the hand-over whose last run failed: they stay with the orchestrator before."""
    published = publications.latest(pipeline)
    with warehouse.connect() as con:
        failed = [key for key in publications.claimed(con, pipeline) if key < first and key not in published]
    for key in failed:
        print(f"error: {pipeline.name} {key} was claimed before the hand-over and is not published", file=sys.stderr)
    if failed:
        with warehouse.connect() as con:
            partition = pipeline.partition(failed[0])
            engine = assignments.owner(con, pipeline, partition)
        again = f"make backfill PIPELINE={pipeline.name} FROM={failed[0]} TO={failed[-1]} ONLY_MISSING=1"
        print(f"when the cause is solved: {again} ORCHESTRATOR={engine}", file=sys.stderr)
    return PERMANENT if failed else OK
