"""The shape service_glue: each orchestrator publishes and delivers the same rows of the same recording."""

from __future__ import annotations

import shutil

import duckdb
import pytest
from combinations import MANIFESTS, ORCHESTRATORS, SERVED, answers_for
from projects import RUN_SECONDS, SET_UP_SECONDS, TEST_SECONDS, Project

ENGINES = [name for name, each in MANIFESTS.items() if "service_glue" in each.get("shapes", [])]
DAYS = ("2013-01-01", "2013-01-02")


@pytest.mark.project
@pytest.mark.deep
@pytest.mark.parametrize("engine", ENGINES)
def test_each_orchestrator_publishes_and_delivers_the_same(render, tmp_path_factory, engine):
    folder = shutil.copytree(
        render(**{**answers_for((engine,)), "pipeline_shape": "service_glue", "accept_exclusion": "yes"}),
        tmp_path_factory.mktemp("glue") / "project",
    )
    project = Project(folder, (engine,))
    assert project.make("setup", timeout=SET_UP_SECONDS).returncode == 0
    done = project.make("backfill", f"FROM={DAYS[0]}", f"TO={DAYS[1]}", timeout=RUN_SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr
    with duckdb.connect(folder / "var/dev/warehouse.duckdb", read_only=True) as con:
        figures = "SELECT flight_date::text, count(*), sum(arr_delay_min), min(arr_delay_min) FROM top_hundred"
        assert con.execute(f"{figures} GROUP BY 1 ORDER BY 1").fetchall() == [
            (DAYS[0], 100, 9797, 40),
            (DAYS[1], 100, 10325, 47),
        ]
    for day in DAYS:
        assert len((folder / f"var/dev/delivered/top_hundred/{day}/top_hundred.csv").read_text().splitlines()) == 101
    project.check_itself(TEST_SECONDS)


@pytest.mark.project
@pytest.mark.deep
@pytest.mark.parametrize("engine", [name for name in ORCHESTRATORS if name not in SERVED])
def test_a_cloud_s_own_orchestrator_publishes_what_dagster_publishes(render, tmp_path, engine):
    names = ("dagster", engine)
    project = Project(
        shutil.copytree(render(**answers_for(names), accept_exclusion="yes"), tmp_path / "project"), names
    )
    done = project.make("setup", timeout=SET_UP_SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr
    done = project.make("compare", f"FROM={DAYS[0]}", f"TO={DAYS[1]}", timeout=SET_UP_SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "identical" in done.stdout
