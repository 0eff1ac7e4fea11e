"""A running engine on PostgreSQL with a proxied warehouse and an alert receiver, and the table of what was seen."""

from __future__ import annotations

import contextlib
import importlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from combinations import SERVED, answers_for
from projects import SET_UP_SECONDS, Project
from repository import ROOT
from servers import free_port, postgresql_server

from conformance import results
from conformance.alert_receiver import AlertReceiver
from conformance.stack import PASSWORD, Stack, add_weather
from conformance.warehouse_proxy import WarehouseProxy

CONFIGURATION = Path(__file__).with_name("conformance.toml")
RESULTS = ROOT / "build" / "conformance"


@contextlib.contextmanager
def running(
    name: str, render, folders, pipeline: str, prepare: Callable[[Path], None], **answers: str
) -> Iterator[Stack]:
    """A rendered project on that orchestrator, installed and up; stopped at the end.

    prepare: what is done to its files before it is installed.
    """
    rendered = render(**{**answers_for((name,)), **answers})
    folder = Path(shutil.copytree(rendered, folders.mktemp(name) / "project"))
    project = Project(folder, (name,))
    shutil.copy(CONFIGURATION, folder / "config" / "conformance.toml")
    prepare(folder)
    done = project.make("setup", timeout=SET_UP_SECONDS)
    assert done.returncode == 0, done.stderr
    with contextlib.ExitStack() as ends:
        url = ends.enter_context(postgresql_server(password=PASSWORD, connections=300))
        with psycopg.connect(url, autocommit=True) as con:
            for database in ("engine", "warehouse"):
                con.execute(f"CREATE DATABASE {database}")
        server = urlsplit(url)
        proxy = WarehouseProxy(server.hostname, server.port)
        ends.callback(proxy.close)
        receiver = AlertReceiver()
        ends.callback(receiver.close)
        variables = {
            "APP_WAREHOUSE__URL": f"postgresql://app@127.0.0.1:{proxy.port}/warehouse",
            "APP_SECRET_WAREHOUSE_PASSWORD": PASSWORD,
            "APP_SECRET_ALERT_URL": receiver.url,
            "ENGINE_DATABASE_URL": url.replace("/postgres", "/engine"),
        }
        engine = importlib.import_module(f"conformance.{name}").ENGINE(project, free_port(), variables, pipeline)
        warehouse_url = url.replace("/postgres", "/warehouse")
        ends.callback(engine.down)
        engine.up()
        yield Stack(engine, project, folder / "data" / "landing" / pipeline, proxy, receiver, warehouse_url)


@pytest.fixture(scope="module", params=SERVED)
def stack(request, render, tmp_path_factory) -> Iterator[Stack]:
    """The sample of batch_etl and an hourly pipeline beside it."""
    with running(request.param, render, tmp_path_factory, "flights_daily", add_weather) as found:
        yield found


@pytest.fixture
def evidence(request) -> Callable[[str], None]:
    """Says what was seen, for the table: ``evidence("3 attempts, after 1.1 s and 3.2 s")``."""
    seen = request.node.stash.setdefault(results.SEEN, [])
    return seen.append


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    marker = item.get_closest_marker("behaviour")
    if marker and (call.when == "call" or report.failed):
        *shape, orchestrator = item.callspec.params["stack"].split()
        shown = {"shape": shape[0] if shape else "batch_etl", "orchestrator": orchestrator, "behaviour": marker.args[0]}
        report.user_properties.append((results.SHOWN, shown | {"seen": item.stash.get(results.SEEN, [])}))
    return report


class ResultsTable:
    """Gathers what the tests have shown, in whichever process they ran."""

    def __init__(self) -> None:
        self.found: dict[str, results.Found] = {}  # by shape

    def pytest_runtest_logreport(self, report) -> None:
        for name, shown in report.user_properties:
            if name == results.SHOWN and (report.when == "call" or report.failed):
                shape, *rest = (shown[key] for key in ("shape", "orchestrator", "behaviour"))
                results.record(self.found.setdefault(shape, {}), *rest, report.outcome, shown["seen"])

    def pytest_sessionfinish(self) -> None:
        for shape, found in self.found.items():
            results.write(results.file_of(RESULTS, shape), found)

    def pytest_terminal_summary(self, terminalreporter) -> None:
        for shape, found in self.found.items():
            terminalreporter.section(f"behaviours of {shape} by orchestrator")
            terminalreporter.write_line(results.table(found))
            terminalreporter.write_line(f"written to {results.file_of(RESULTS, shape).relative_to(ROOT)}")


def pytest_configure(config) -> None:
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(ResultsTable())
