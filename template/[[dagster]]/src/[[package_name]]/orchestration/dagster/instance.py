"""Dagster's instance: where it keeps runs and events, and what must be right before its daemon starts.

It is in SQLite files on this machine, or in PostgreSQL when ENGINE_DATABASE_URL is set; each has a folder with a
dagster.yaml. Where DAGSTER_HOME names another instance, ``python -m <package>.orchestration.dagster.instance`` sets its
pools.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
from filelock import FileLock

from ...platform import config, pipelines
from ...platform.errors import ConfigError

if TYPE_CHECKING:
    import dagster as dg

URL = "ENGINE_DATABASE_URL"


def state() -> Path:
    """The folder for what Dagster keeps on this machine."""
    return Path(os.environ["DAGSTER_STATE"])


def choose() -> None:
    """Let this process and those it starts use PostgreSQL when it is asked for."""
    url = os.environ.get(URL)
    if url:
        os.environ["DAGSTER_HOME"] = str(config.project_root() / "deploy" / "local" / "dagster_postgres")
        # SQLAlchemy 2.1 takes psycopg 3 for a plain postgresql://, dagster-postgres needs psycopg2.
        os.environ["DAGSTER_DATABASE_URL"] = f"postgresql+psycopg2://{url.partition('://')[2]}"


@contextmanager
def opened() -> Iterator[dg.DagsterInstance]:
    """The instance. Raises ConfigError when its database does not answer."""
    choose()
    make()
    with _get() as instance:
        yield instance


def make() -> None:
    """Make the SQLite files where they are missing: services that start together would all make the same tables."""
    made = state() / "made"
    if os.environ.get(URL) or made.exists():
        return
    state().mkdir(parents=True, exist_ok=True)
    with FileLock(state() / "made.lock"):
        if not made.exists():
            with _get() as instance:
                instance.get_runs_count()
                instance.all_asset_keys()
                instance.all_instigator_state()
            made.touch()


def prepare(instance: dg.DagsterInstance) -> None:
    """Before the daemon starts: pools as ``[concurrency]`` says, no state of sensors whose pipeline was removed, and an
    end to runs whose process is gone, which the daemon would notice only later, see `launcher`.
    """
    import dagster as dg

    from . import approvals, arrivals

    set_pools(instance)
    for known in instance.all_instigator_state():  # the daemon forgets schedules by itself, not sensors
        pipeline = known.instigator_name.removesuffix(arrivals.SENSOR).removesuffix(approvals.SENSOR)
        if pipeline != known.instigator_name and pipeline not in pipelines.names():
            instance.delete_instigator_state(known.instigator_origin_id, known.selector_id)
    for run in instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])):
        if reason := lost(instance, run.run_id):
            instance.report_run_failed(run, reason)


def lost(instance: dg.DagsterInstance, run_id: str) -> str:
    """Why a run that has started will not end: its process on this machine is gone. Empty while it is there."""
    pid, since = _process(instance, run_id)
    return "" if _is_alive(pid, since) else f"process {pid or ''} is gone: killed, or the machine stopped"


def is_in_dagster_plus(instance: dg.DagsterInstance) -> bool:
    """Whether Dagster+ keeps the instance, which lets no code of ours delete history or ask for freshness."""
    return type(instance).__module__.partition(".")[0] == "dagster_cloud"


def set_pools(instance: dg.DagsterInstance) -> None:
    """A pool for each line of ``[concurrency]``; one whose line is gone is deleted."""
    limits = config.load().concurrency
    storage = instance.event_log_storage
    for pool, limit in limits.items():
        storage.set_concurrency_slots(pool, limit)
    for known in storage.get_pool_limits():
        if known.name not in limits:
            storage.delete_concurrency_limit(known.name)


def _get() -> dg.DagsterInstance:
    import dagster as dg

    try:
        return dg.DagsterInstance.get()
    except Exception as error:
        if type(error).__name__ != "DagsterPostgresException":
            raise
        where = os.environ[URL].rpartition("@")[2]
        raise ConfigError(f"{URL}: PostgreSQL does not answer at {where}, or refuses the user") from None


def _process(instance: dg.DagsterInstance, run_id: str) -> tuple[int, float]:
    """The process that executes a run and when it was named, from the last event that names one; 0 without one."""
    import dagster as dg

    for entry in reversed(instance.all_logs(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT)):
        pid = entry.dagster_event.event_specific_data.metadata.get("pid")
        if pid is not None:
            return int(pid.value), entry.timestamp
    return 0, 0.0


def _is_alive(pid: int, since: float) -> bool:
    """Whether the process is there and is the same: one that was created later has only got its number."""
    try:
        return pid > 0 and psutil.Process(pid).create_time() <= since
    except psutil.NoSuchProcess:
        return False


if __name__ == "__main__":
    with _get() as instance:
        set_pools(instance)
