"""Airflow's own data on this machine: the keys that its processes share, its database, and the pools in it.

While the services are down `make run` uses their database, so that its runs are there when they are up again. A lock
keeps the two apart, because a scheduler takes every run that is not ended for its own.
"""

from __future__ import annotations

import base64
import os
import secrets
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock

from ...platform import config

POOL_DESCRIPTION = "[concurrency] in config/"


def home() -> Path:
    return Path(os.environ["AIRFLOW_HOME"])


def lock(name: str = "metadata") -> FileLock:
    """Held while the database is made or changed, and by `make run` for as long as it uses that of the services."""
    home().mkdir(parents=True, exist_ok=True)
    return FileLock(home() / f"{name}.lock")


def set_variables() -> None:
    """Set the variables of Airflow that follow from the settings, and write its keys; before Airflow is imported."""
    variables = {"AIRFLOW__LOGGING__JSON_LOGS": str(config.load().logging.format == "json")}
    if url := os.environ.get("ENGINE_DATABASE_URL"):
        # Both name the driver that the project has, else Airflow takes psycopg2 and asyncpg.
        variables |= dict.fromkeys(
            ("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC"),
            url.replace("postgresql://", "postgresql+psycopg://", 1),
        )
    for name, value in variables.items():
        os.environ.setdefault(name, value)
    _write_keys(home() / "airflow.cfg")


def prepare() -> None:
    """Make or migrate the database, set the pools, read the DAGs, and end what an interrupted `make run` has left."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import BundleDagBag, sync_bag_to_db
    from airflow.models.dag import DagModel
    from airflow.utils import db
    from airflow.utils.session import create_session

    db.upgradedb()
    with create_session() as session:
        _set_pools(session)
        end_runs_in_process(session)
        manager = DagBundlesManager()
        manager.sync_bundles_to_db(session=session)
        session.commit()
        for bundle in manager.get_all_dag_bundles():
            bundle.initialize()
            bag = BundleDagBag(bundle.path, bundle_path=bundle.path, bundle_name=bundle.name)
            sync_bag_to_db(bag, bundle.name, bundle_version=None, session=session)
            files = {str(file.relative_to(bundle.path)) for file in Path(bundle.path).rglob("*.py")}
            DagModel.deactivate_deleted_dags(bundle.name, files, session=session)


def end_runs_in_process(session: object) -> None:
    """Mark runs of `make run` that were interrupted as failed: the scheduler would go on with them."""
    from airflow.models import DagRun
    from airflow.utils.state import DagRunState
    from airflow.utils.types import DagRunTriggeredByType
    from sqlalchemy import update

    unended = DagRun.state.in_((DagRunState.QUEUED, DagRunState.RUNNING))
    interrupted = (DagRun.triggered_by == DagRunTriggeredByType.TEST, unended)
    ended = {"state": DagRunState.FAILED, "end_date": datetime.now(UTC)}
    session.execute(update(DagRun).where(*interrupted).values(ended))


def _set_pools(session: object) -> None:
    """A pool for each line of [concurrency]; one whose line is gone is deleted."""
    from airflow.models.pool import Pool

    limits = config.load().concurrency
    for name, slots in limits.items():
        Pool.create_or_update_pool(name, slots, POOL_DESCRIPTION, include_deferred=False, session=session)
    for pool in Pool.get_pools(session=session):
        if pool.description == POOL_DESCRIPTION and pool.pool not in limits:
            Pool.delete_pool(pool.pool, session=session)


def _write_keys(file: Path) -> None:
    """Keys that the processes share. Without this file Airflow writes one that keeps all defaults of its version."""
    with lock("keys"):
        if file.exists():
            return
        fernet_key = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
        draft = file.with_suffix(".new")
        draft.touch(mode=0o600)
        draft.write_text(
            f"[core]\nfernet_key = {fernet_key}\n"
            f"[api]\nsecret_key = {secrets.token_hex(32)}\n"
            f"[api_auth]\njwt_secret = {secrets.token_hex(32)}\n"
        )
        draft.rename(file)
