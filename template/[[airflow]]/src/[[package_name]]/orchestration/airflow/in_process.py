"""Partitions through Airflow in this process, without services: `make run`.

While the services are down, the runs are kept in the database of the services; while they are up, in one of their own,
run.db, because a scheduler takes every run that is not ended for its own.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from functools import cache
from typing import TYPE_CHECKING, TextIO

from filelock import Timeout

from ...platform import config, files
from ...platform.errors import PermanentError
from ..services import Services
from . import metadata
from .partitions import CONF

if TYPE_CHECKING:
    from airflow.sdk import DAG

    from ...platform.partitions import Partition
    from ...platform.pipelines import Pipeline
    from ..engine import Engine


@contextmanager
def in_process(engine: Engine) -> Iterator[Callable[[Pipeline, Partition], bool]]:
    """See `engine.Engine.in_process`; Airflow's own output goes to run.log from here on."""
    start = time.perf_counter()
    metadata.set_variables()
    root, home = config.load().root, metadata.home()
    log_file = home / "run.log"
    with _database(engine), files.open_log(log_file) as log:
        _load_airflow(log)
        print(f"  {'start airflow':<16}{time.perf_counter() - start:6.1f} s   log: {os.path.relpath(log_file, root)}")
        load_dag = cache(lambda pipeline: _load_dag(pipeline, log))
        yield lambda pipeline, partition: _run(load_dag(pipeline), pipeline, partition)


def _run(dag: DAG, pipeline: Pipeline, partition: Partition) -> bool:
    """Run the DAG for the partition; true when it succeeded."""
    from . import policies

    policies.ONE_PROCESS = True
    try:
        # With a logical date of its own, which is now: without one it clears and deletes what it did before.
        run = dag.test(run_conf={CONF: partition.key})
    except Exception:  # Airflow's own failure, not a step's
        logging.getLogger(__name__).exception("the run broke off")
        return False
    _set_partition(run.id, partition)
    if run.state == "success":
        return True
    has_input = getattr(pipeline.code, "input_ready", None)
    if has_input and not has_input(partition):
        raise policies.not_ready(pipeline, partition.key)  # Airflow knows only that its sensor timed out
    return False


@contextmanager
def _database(engine: Engine) -> Iterator[None]:
    """The database to run in: that of the services if nobody else uses it."""
    lock = metadata.lock()
    with suppress(Timeout):  # another `make run` has it, or services that start
        lock.acquire(blocking=False)
    own = not lock.is_locked or bool(os.environ.get("ENGINE_DATABASE_URL")) or Services(engine).supervisor is not None
    if own:
        lock.release()
        for name in ("SQL_ALCHEMY_CONN", "SQL_ALCHEMY_CONN_ASYNC"):
            driver = "sqlite+aiosqlite" if name.endswith("ASYNC") else "sqlite"
            os.environ[f"AIRFLOW__DATABASE__{name}"] = f"{driver}:///{metadata.home() / 'run.db'}"
    database = metadata.home() / ("run.db" if own else "airflow.db")
    if not database.exists():
        print("  making Airflow's database, once")
    try:
        yield
    finally:
        if not own:
            _end_interrupted()
        lock.release()


def _load_airflow(log: TextIO) -> None:
    with redirect_stdout(log), redirect_stderr(log):
        from airflow.sdk.log import configure_logging
        from airflow.utils import db

        json = config.load().logging.format == "json"  # which Airflow writes as bytes
        configure_logging(output=log.buffer if json else log, json_output=json)
        with metadata.lock("run"):
            db.upgradedb()


def _load_dag(pipeline: Pipeline, log: TextIO) -> DAG:
    from airflow.dag_processing.dagbag import DagBag

    root = config.load().root
    with redirect_stdout(log), redirect_stderr(log):
        bag = DagBag(root / "dags")
    if dag := bag.dags.get(pipeline.name):
        dag.deadline = []  # with one, DAG.test() fails at its end
        return dag
    for file, error in bag.import_errors.items():
        raise PermanentError(f"{os.path.relpath(file, root)} cannot be loaded: {error.splitlines()[-1]}")
    raise PermanentError(f"dags/ has no DAG {pipeline.name}: add a file that defines it")


def _set_partition(run_id: int, partition: Partition) -> None:
    """Note the partition where the UI shows it; `DAG.test` has no argument for it."""
    from airflow.models import DagRun
    from airflow.utils.session import create_session
    from sqlalchemy import update

    values = {"partition_key": partition.key, "partition_date": partition.start}
    with create_session() as session:
        session.execute(update(DagRun).where(DagRun.id == run_id).values(values))


def _end_interrupted() -> None:
    from airflow.utils.session import create_session

    with create_session() as session:
        metadata.end_runs_in_process(session)
