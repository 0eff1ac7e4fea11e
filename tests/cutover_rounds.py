"""Rounds of handing a pipeline over between two orchestrators, for `test_cutover`; it runs in a project's environment.

Each round has two processes that stand for orchestrators, which run what is due on their schedule, and one for the
command `cutover`. All three are killed at random moments and started again. A publication appends a row, so a partition
that is published twice shows. Arguments: package, rounds, the two orchestrators. Prints how many partitions were lost,
doubled, or published by the wrong one.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import signal
import sys
import time
from importlib import import_module

PACKAGE, ROUNDS = sys.argv[1], int(sys.argv[2])
assignments, config, publications, warehouse, pipelines = (
    import_module(f"{PACKAGE}.platform.{name}")
    for name in ("assignments", "config", "publications", "warehouse", "pipelines")
)
errors, runs = (import_module(f"{PACKAGE}.platform.{name}") for name in ("errors", "runs"))
cutover = import_module(f"{PACKAGE}.orchestration.cutover")

PIPELINE = pipelines.get("flights_daily")
LAST, TICK = 24, 0.03  # partitions, and seconds between two that come due
KEYS = [partition.key for partition in PIPELINE.calendar.between("2013-01-01", f"2013-01-{LAST}")]
OLD, NEW = sys.argv[3:5]
MOST_KILLS = 8
ROUND_SECONDS = 60


def chance() -> float:
    return random.random()  # noqa: S311  nothing secret


def work(engine: str, key: str) -> None:
    """A run of one partition, in two steps."""
    partition, run = PIPELINE.partition(key), runs.Run(f"{key} of {os.getpid()}", engine=engine, one_process=True)
    refused = (errors.PartitionBusy, errors.PartitionTaken, errors.PartitionElsewhere)
    with contextlib.suppress(*refused), runs.run_context(run), warehouse.connect() as con:
        with publications.held(con, PIPELINE, partition, "extract", first=True):
            time.sleep(chance() * 2 * TICK)
        with publications.held(con, PIPELINE, partition, "publish", first=False):
            warehouse.run(con, f"INSERT INTO rows_published VALUES ('{key}', '{engine}')")
            publications.record(con, PIPELINE, partition, run, {"rows_published": 1})


def schedule(engine: str, began: float) -> None:
    """An orchestrator whose schedule is on all the time."""
    while True:
        due = KEYS[: int((time.time() - began) / TICK)]
        for partition in publications.missing(PIPELINE, [PIPELINE.partition(key) for key in due]):
            work(engine, partition.key)
        time.sleep(TICK / 3)


def move() -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        cutover.cut_over(PIPELINE, NEW, back=False)


def start(function, *arguments) -> int:
    process = os.fork()
    if process == 0:
        try:
            function(*arguments)
        except BaseException as error:  # noqa: BLE001  another attempt follows
            print(f"{function.__name__}: {type(error).__name__}: {error}", file=sys.stderr)
            os._exit(1)
        os._exit(0)
    return process


def end(process: int) -> bool:
    """Kill a process; false when it had ended by itself with success."""
    os.kill(process, signal.SIGKILL)
    return os.waitpid(process, 0)[1] != 0


def clear(con) -> None:
    for table in (publications.PUBLISHED, publications.CLAIMS, assignments.TABLE):
        if warehouse.has(con, table):
            warehouse.run(con, f"DELETE FROM {table}")
    warehouse.run(con, "DROP TABLE IF EXISTS rows_published")
    warehouse.run(con, "CREATE TABLE rows_published (partition text, engine text)")


def play(seed: int) -> tuple[int, int, int, int, int]:
    """One round. Returns how many partitions were lost, doubled, of the wrong one, of the new one; and kills."""
    random.seed(seed)
    with warehouse.connect() as con:
        clear(con)
        assignments.hand_over(con, PIPELINE, OLD, OLD)  # as the pipeline stands before
        began = time.time()
        live = {engine: start(schedule, engine, began) for engine in (OLD, NEW)}
        after, there, moving, moved, kills = int(chance() * LAST * 0.7), 0, 0, False, 0  # publications
        try:
            while time.time() < began + ROUND_SECONDS:
                time.sleep(TICK / 2)
                if not moving and there >= after:
                    moving = start(move)
                if moving and not moved:
                    ended, status = os.waitpid(moving, os.WNOHANG)
                    if ended:
                        moved = status == 0
                        moving = moving if moved else start(move)
                if chance() < 0.25 and kills < MOST_KILLS:
                    who = (OLD, NEW, "cutover")[int(chance() * 3)]
                    if who != "cutover":
                        end(live[who])
                        live[who] = start(schedule, who, began)
                        kills += 1
                    elif moving and not moved:
                        moved = not end(moving)
                        moving = moving if moved else start(move)
                        kills += 1
                [(there,)] = warehouse.rows(con, "SELECT count(DISTINCT partition) FROM rows_published")
                if moved and there == LAST:
                    time.sleep(3 * TICK)  # for one that would publish again
                    break
        finally:
            for process in [*live.values(), *([moving] if moving and not moved else [])]:
                with contextlib.suppress(ProcessLookupError, ChildProcessError):
                    end(process)
        rows = warehouse.rows(con, "SELECT partition, engine FROM rows_published")
        keys = {key for key, _ in rows}
        of = {key: assignments.owner(con, PIPELINE, PIPELINE.partition(key)) for key in keys}
        wrong = sum(of[key] != engine for key, engine in rows)
        return LAST - len(keys), len(rows) - len(keys), wrong, sum(engine == NEW for _, engine in rows), kills


def main() -> None:
    totals = dict.fromkeys(("lost", "doubled", "wrong", "by_the_new_one", "kills"), 0)
    moved = 0
    for seed in range(ROUNDS):
        result = dict(zip(totals, play(seed), strict=True))
        if result["lost"] or result["doubled"] or result["wrong"]:
            print(f"round {seed}: {result}", file=sys.stderr)
        moved += result["by_the_new_one"] > 0
        totals = {name: totals[name] + value for name, value in result.items()}
    print(json.dumps({**totals, "rounds": ROUNDS, "rounds_that_moved": moved}))


if __name__ == "__main__":
    main()
