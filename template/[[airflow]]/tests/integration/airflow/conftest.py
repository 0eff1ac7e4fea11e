"""Airflow with a home and a database of its own, and flights_daily run through it in this process."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[3]


def pytest_configure(config: pytest.Config) -> None:
    # Airflow's own, and those of what it is built on.
    for category in ("DeprecationWarning", "UserWarning", "FutureWarning"):
        config.addinivalue_line("filterwarnings", f"ignore::{category}:airflow.*")
        config.addinivalue_line("filterwarnings", f"ignore::{category}:fastapi.*")


@pytest.fixture(scope="session")
def airflow_home(tmp_path_factory) -> Path:
    """A new home with a database; Airflow reads where it is when it is first imported."""
    home = tmp_path_factory.mktemp("airflow")
    os.environ |= {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
    }
    from airflow.utils import db

    db.upgradedb()
    return home


@pytest.fixture
def load_dags(airflow_home, project_state) -> Callable:
    """Reads dags/ with the settings of the test: ``load_dags()`` gives the DAGs by name."""
    from airflow.dag_processing.dagbag import DagBag

    def load():
        bag = DagBag(PROJECT / "dags")
        assert bag.import_errors == {}
        return bag.dags

    return load


@pytest.fixture
def load_dag(load_dags) -> Callable:
    """Loads flights_daily with the settings of the test: ``load_dag()``."""
    return lambda: load_dags()["flights_daily"]


@pytest.fixture
def run_dag(load_dag) -> Callable:
    """Runs flights_daily, by hand for ``day`` or as of a scheduled ``tick``: each task's (state, attempts)."""

    def run(day: date | None = None, tick: datetime | None = None) -> dict[str, tuple[str, int]]:
        dag = load_dag()
        dag.deadline = []  # with one, DAG.test() fails at its end
        conf = {"date": day.isoformat()} if day else None
        done = dag.test(run_after=tick, run_conf=conf)
        return {task.task_id: (str(task.state), task.try_number) for task in done.get_task_instances()}

    return run
