"""Where Dagster keeps runs and events: SQLite files on this machine, or PostgreSQL when ENGINE_DATABASE_URL is set.

One dagster.yaml then serves both. The address is read in each process, so it stands in no file and no command line.
"""

import fcntl
import os
from pathlib import Path
from typing import Any

from dagster._core.storage.base_storage import DagsterStorage
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import ConfigurableClassData

from .platform.config import ConfigError

DATABASE_URL = "ENGINE_DATABASE_URL"


class InstanceStorage(DagsterSqliteStorage):
    """Takes ``base_dir``, the folder of the SQLite files; without them it is not used."""

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Any) -> DagsterStorage:
        url = os.environ.get(DATABASE_URL)
        if not url:
            folder = Path(config_value["base_dir"])
            folder.mkdir(parents=True, exist_ok=True)
            with (folder / "storage.lock").open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)  # services that start together would all make the same tables
                return super().from_config_value(inst_data, config_value)
        from dagster_postgres import DagsterPostgresStorage  # takes a moment to load
        from dagster_postgres.utils import DagsterPostgresException

        # SQLAlchemy 2.1 takes psycopg 3 for a plain postgresql://, dagster-postgres needs psycopg2.
        _, _, rest = url.partition("://")
        try:
            return DagsterPostgresStorage(f"postgresql+psycopg2://{rest}", inst_data=inst_data)
        except DagsterPostgresException:
            where = rest.rpartition("@")[2]
            raise ConfigError(f"{DATABASE_URL}: PostgreSQL does not answer at {where}, or refuses the user") from None
