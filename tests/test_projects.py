"""Rendered projects, set up and run as their README says: on each orchestrator, and on all three together."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import duckdb
import pytest
from combinations import MANIFESTS, ORCHESTRATORS, QUICK, SERVED, answers_for
from projects import RUN_SECONDS, SET_UP_SECONDS, STOP_SECONDS, TEST_SECONDS, UV, Project, processes_of
from repository import git
from servers import free_port

pytestmark = pytest.mark.project
ALL = "+".join(ORCHESTRATORS)
DAY = "2013-01-02"
STEPS = ["wait for input", "extract", "transform", "check", "publish"]


@pytest.fixture(
    scope="module",
    params=[QUICK, *(pytest.param(name, marks=pytest.mark.deep) for name in (*ORCHESTRATORS, ALL) if name != QUICK)],
)
def project(request, render, tmp_path_factory) -> Project:
    """One project per orchestrator, and one with all; a copy, as the rendered one is shared with other tests."""
    names = tuple(request.param.split("+"))
    folder = shutil.copytree(render(**answers_for(names)), tmp_path_factory.mktemp("installed") / "project")
    made = Project(Path(folder), names)
    done = made.make("setup", timeout=SET_UP_SECONDS)
    assert done.returncode == 0, done.stderr
    return made


INDEPENDENT = f"""
    WITH flights AS (
        SELECT carrier, origin, dest, dep_time = 'NA' AS cancelled,
            nullif(dep_delay, 'NA')::INT AS dep_delay, nullif(arr_delay, 'NA')::INT AS arr_delay
        FROM read_csv(
            'data/landing/flights_daily/{DAY}/flights.csv', all_varchar = true, auto_type_candidates = ['VARCHAR']
        )
    )
"""
# Per table: the query over the file, and the one over what was published.
QUERIES = {
    "fact_flights": (
        "SELECT count(*), count(*) FILTER (cancelled), sum(dep_delay), sum(arr_delay) FROM flights",
        "SELECT count(*), count(*) FILTER (cancelled), sum(dep_delay_min), sum(arr_delay_min) FROM fact_flights",
    ),
    "daily_carrier_performance": (
        """
        SELECT carrier, count(*), count(*) FILTER (cancelled), count(*) FILTER (NOT cancelled),
            avg(dep_delay), quantile_cont(dep_delay, 0.9), avg(arr_delay), quantile_cont(arr_delay, 0.9)
        FROM flights GROUP BY carrier ORDER BY carrier
        """,
        """
        SELECT carrier, flights, cancelled, departed, mean_dep_delay_min, p90_dep_delay_min, mean_arr_delay_min,
            p90_arr_delay_min
        FROM daily_carrier_performance ORDER BY carrier
        """,
    ),
    "daily_route_volume": (
        "SELECT origin, dest, count(*), count(*) FILTER (cancelled) FROM flights GROUP BY 1, 2 ORDER BY 1, 2",
        "SELECT origin, destination, flights, cancelled FROM daily_route_volume ORDER BY 1, 2",
    ),
}


def assert_published_equals_the_file(folder: Path) -> None:
    with duckdb.connect(folder / "var" / "dev" / "warehouse.duckdb", read_only=True) as con:
        for table, (independent, published) in QUERIES.items():
            source = INDEPENDENT.replace("data/landing", str(folder / "data" / "landing"))
            want = con.execute(source + independent).fetchall()
            got = con.execute(
                published.replace(f"FROM {table}", f"FROM {table} WHERE flight_date = '{DAY}'")
            ).fetchall()
            assert len(got) == len(want), table
            for got_row, want_row in zip(got, want, strict=True):
                assert got_row == pytest.approx(want_row), table


def test_a_day_is_published_twice_with_the_figures_of_the_file(project):
    for name in project.orchestrators:
        for _ in range(2):
            done = project.make("run", f"DATE={DAY}", f"ORCHESTRATOR={name}", timeout=RUN_SECONDS)
            assert done.returncode == 0, done.stdout + done.stderr
            assert_published_equals_the_file(project.folder)
            lines = done.stdout.splitlines()
            assert lines[0].startswith(f"flights_daily {DAY} on "), lines
            shown = [line.strip().rsplit("  ", 1)[0].split("  ")[0] for line in lines if line.startswith("  ")]
            assert [step for step in shown if step in STEPS] == STEPS, lines
            assert any("943" in line and line.startswith(DAY) for line in lines), lines
            assert "var/dev/warehouse.duckdb" in lines[-1]
            assert not done.stderr.strip(), done.stderr


def test_a_backfill_publishes_every_day(project):
    name = project.orchestrators[-1]
    done = project.make(*("backfill", "FROM=2013-01-01", "TO=2013-01-03", f"ORCHESTRATOR={name}"), timeout=RUN_SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr
    with duckdb.connect(project.folder / "var" / "dev" / "warehouse.duckdb", read_only=True) as con:
        days = con.execute("SELECT flight_date::VARCHAR, count(*) FROM fact_flights GROUP BY 1 ORDER BY 1").fetchall()
    assert days == [("2013-01-01", 842), ("2013-01-02", 943), ("2013-01-03", 914)]


def test_a_missing_day_ends_in_one_sentence(project):
    for name in project.orchestrators:
        done = project.make(
            *("run", "DATE=2013-02-01", f"ORCHESTRATOR={name}"),
            timeout=RUN_SECONDS,
            APP_INPUT_WAIT__TIMEOUT_SECONDS="0",
        )
        assert done.returncode != 0
        assert "Traceback" not in done.stdout + done.stderr
        told = [line for line in done.stderr.splitlines() if line.startswith("error:")]
        assert len(told) == 1, done.stderr
        assert "Error 66" in done.stderr  # the exit code for input that is not there yet
        assert "data/landing/flights_daily/2013-02-01/_SUCCESS has not arrived" in told[0]


def test_an_unknown_environment_or_orchestrator_is_told(project):
    for wrong, told in (("ENV=moon", "use one of"), ("ORCHESTRATOR=moon", "moon is not in this project")):
        done = project.make("run", wrong, timeout=RUN_SECONDS)
        assert done.returncode != 0
        assert told in done.stderr


@pytest.mark.parametrize("project", [QUICK], indirect=True)
def test_with_one_orchestrator_there_is_nothing_to_compare(project):
    done = project.make("compare", f"DATE={DAY}", timeout=RUN_SECONDS)
    assert done.returncode != 0
    assert f"error: this project has only {QUICK}; add another orchestrator: make update" in done.stderr


side_by_side = pytest.mark.parametrize("project", [pytest.param(ALL, marks=pytest.mark.deep)], indirect=True)


@side_by_side
def test_orchestrators_publish_the_same_rows(project):
    days = ("FROM=2013-01-01", f"TO={DAY}")
    done = project.make("compare", *days, timeout=2 * RUN_SECONDS * len(project.orchestrators))
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"rows published for flights_daily 2013-01-01 to {DAY}, 2 partitions" in done.stdout
    shown = done.stdout.splitlines()
    rows = next(line.split() for line in shown if line.startswith("fact_flights "))
    assert rows == ["fact_flights", *["1785"] * len(project.orchestrators), "0"]
    assert shown[-1].endswith(" publish identical rows")


@side_by_side
def test_an_orchestrator_that_publishes_other_rows_is_told(project):
    first, *_, last = project.orchestrators
    elsewhere = project.folder / "data" / "elsewhere" / DAY
    shutil.copytree(project.folder / "data" / "landing" / "flights_daily" / DAY, elsewhere)
    flights = elsewhere / "flights.csv"
    flights.write_text("".join(flights.read_text().splitlines(keepends=True)[:-1]))
    settings = project.folder / "deploy" / "local" / f"{last}.env"
    original = settings.read_text()
    settings.write_text(f"{original}APP_PIPELINES__FLIGHTS_DAILY__LANDING__URL=data/elsewhere\n")
    try:
        done = project.make("compare", f"DATE={DAY}", timeout=RUN_SECONDS * len(project.orchestrators))
    finally:
        settings.write_text(original)
        shutil.rmtree(elsewhere.parent)
    assert done.returncode != 0
    assert "error: the orchestrators publish different rows. " in done.stderr
    assert f"fact_flights: rows only from {first} 1, only from {last} 0" in done.stderr
    assert f"daily_carrier_performance.flights: 1 row differs between {first} and {last}" in done.stderr


@pytest.mark.parametrize("project", [QUICK], indirect=True)
@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("FROM=2013-01-02",), "TO is missing: name the first and the last partition"),
        ((f"DATE={DAY}", f"FROM={DAY}", f"TO={DAY}"), "with DATE, or with FROM and TO, not both"),
        (("DATE=2031-01-01",), "2031-01-01: no complete input has landed"),
        ((f"DATE={DAY}", "TOLERANCE=much"), "TOLERANCE=much is not understood: write a number such as 0.01"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_anything_runs(project, arguments, reason):
    done = project.make("compare", *arguments, timeout=RUN_SECONDS)
    assert done.returncode != 0
    assert "error: " in done.stderr
    assert reason in done.stderr
    assert "Traceback" not in done.stderr


def test_its_own_tests_pass(project):
    done = project.make("test", timeout=TEST_SECONDS * len(project.orchestrators))
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert done.stdout.count(" passed") == len(project.orchestrators)


def test_its_own_checks_pass(project):
    done = project.make("lint", timeout=TEST_SECONDS)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def test_pre_commit_hooks_pass_without_a_repository_host(project):
    git("init", "--quiet", cwd=project.folder)
    git("add", "--all", cwd=project.folder)
    path = f"{Path(UV).parent}:{os.environ['PATH']}"
    environment = {"PATH": path, "HOME": os.environ["HOME"], "https_proxy": "http://127.0.0.1:9"}
    command = [project.folder / ".venv" / "bin" / "pre-commit", "run", "--all-files"]
    done = subprocess.run(command, cwd=project.folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("Passed") == 5, done.stdout


def test_business_code_that_imports_an_orchestrator_fails_the_checks(project):
    business = next(project.folder.glob("src/*/pipelines/flights_daily")) / "extra.py"
    name = MANIFESTS[project.orchestrators[-1]]["import_names"][0]
    business.write_text(f'"""Not allowed."""\n\nimport {name}  # noqa: F401\n')
    try:
        done = project.make("lint", timeout=TEST_SECONDS)
    finally:
        business.unlink()
    assert done.returncode != 0
    assert "BROKEN" in done.stdout


def test_the_server_comes_up_and_goes_down_without_leaving_a_process(project):
    for name in set(project.orchestrators) & set(SERVED):
        port = f"{name.upper()}_PORT={free_port()}"
        up = project.make("up", f"ORCHESTRATOR={name}", port, timeout=RUN_SECONDS + STOP_SECONDS)
        try:
            assert up.returncode == 0, up.stdout + up.stderr
            assert f"{name} is up" in up.stdout
            again = project.make("up", f"ORCHESTRATOR={name}", port, timeout=RUN_SECONDS)
            assert "is up already" in again.stderr
        finally:
            down = project.make("down", f"ORCHESTRATOR={name}", port, timeout=STOP_SECONDS)
        assert down.returncode == 0, down.stdout + down.stderr
        assert not processes_of(project.folder)


@pytest.mark.deep
def test_an_orchestrator_without_a_server_shows_a_page(project):
    for name in set(project.orchestrators) - set(SERVED):
        assert project.make("run", f"DATE={DAY}", f"ORCHESTRATOR={name}", timeout=RUN_SECONDS).returncode == 0
        up = project.make("up", f"ORCHESTRATOR={name}", timeout=RUN_SECONDS)
        assert up.returncode == 0, up.stderr
        page = (project.folder / "var" / "dev" / "executions" / "index.html").read_text()
        assert f"flights_daily {DAY}" in page
        state = project.make("state", f"ORCHESTRATOR={name}", timeout=RUN_SECONDS)
        assert DAY in state.stdout
        down = project.make("down", f"ORCHESTRATOR={name}", timeout=STOP_SECONDS)
        assert down.returncode == 0, down.stderr
        assert not processes_of(project.folder)


@pytest.mark.deep
def test_the_same_tests_pass_on_postgresql(project, postgresql):
    done = project.make("test", timeout=TEST_SECONDS * len(project.orchestrators), TEST_WAREHOUSE_URL=postgresql)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def test_one_value_publishes_to_postgresql(project, postgresql):
    import psycopg

    name = project.orchestrators[-1]
    with psycopg.connect(postgresql, autocommit=True) as con:
        con.execute("DROP TABLE IF EXISTS fact_flights")
        done = project.make(
            *("run", f"DATE={DAY}", f"ORCHESTRATOR={name}"), timeout=RUN_SECONDS, APP_WAREHOUSE__URL=postgresql
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert con.execute("SELECT count(*) FROM fact_flights").fetchone() == (943,)
