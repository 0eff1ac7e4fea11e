"""Removes what is older than ``[retention] days`` from Airflow's database and logs: a service of `make up`, once a day.

As a command it does so once and ends: ``python -m <package>.orchestration.airflow.history once``.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path

from ...platform import config, retention
from . import metadata, server

START_SECONDS = 60  # the services that start need the machine first
BATCH = 1000  # rows in one transaction, as SQLite lets nobody else write meanwhile

log = logging.getLogger(__name__)


def main(*arguments: str) -> None:
    if arguments == ("once",):
        metadata.set_variables()
        remove()
        return
    time.sleep(START_SECONDS)
    server.prepare_once()
    remove()
    # Waits in place of this process, which holds 200 MB; supervisord then starts it again.
    os.execvp("sleep", ["sleep", str(retention.CHECK_SECONDS)])  # noqa: S606  no shell wanted


def remove() -> None:
    """Remove old runs and what belongs to them, events, and log files. A run that has not ended stays, whatever its
    age, and so does what is younger than its start."""
    settings = config.load()
    retention.remove_own(settings)
    before = retention.oldest(settings)
    if before is None:
        return
    from airflow.configuration import conf
    from airflow.utils import db_cleanup
    from airflow.utils.session import create_session

    with create_session() as session:
        before = _before_runs_that_go_on(session, before)
        # A DAG is no history: it goes when its file does.
        tables = [name for name in db_cleanup.config_dict if name != "dag"]
        db_cleanup.run_cleanup(
            clean_before_timestamp=before,
            table_names=tables,
            skip_archive=True,
            confirm=False,
            batch_size=BATCH,
            session=session,
        )
    retention.remove_files(Path(conf.get("logging", "base_log_folder")), before)
    log.info("history before %s is removed", before)


def _before_runs_that_go_on(session: object, before: datetime) -> datetime:
    """The start of the oldest run that has not ended, where that is earlier: Airflow would delete it, too."""
    from airflow.models import DagRun
    from airflow.utils.state import DagRunState
    from sqlalchemy import select

    unended = DagRun.state.in_((DagRunState.QUEUED, DagRunState.RUNNING))
    first = select(DagRun).where(unended, DagRun.start_date < before).order_by(DagRun.start_date).limit(1)
    run = session.scalars(first).first()
    if run is None:
        return before
    log.warning("%s %s has not ended, so history since its start at %s stays", run.dag_id, run.run_id, run.start_date)
    return run.start_date - timedelta(seconds=1)  # SQLite compares the text of instants, with and without an offset


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    main(*sys.argv[1:])
