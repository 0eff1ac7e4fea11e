"""Rules, routes and dashboards speak of metrics that the project really leaves, and an alert of a real run arrives."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import promql_parser
import pytest
import yaml
from conformance.alert_receiver import AlertReceiver
from repository import QUESTIONS, ROOT
from servers import free_port

UV = Path(sys.executable).with_name("uv")
IN_BRACES = re.compile(r"\{[^}]*\}|\"[^\"]*\"|\[[^\]]*\]|\b(?:by|on|without|ignoring) *\([^)]*\)")
NAME = re.compile(r"\b[a-z][a-z0-9]*(?:_[a-z0-9]+)+\b(?! *\()")  # what is called has a bracket
METRIC = re.compile(r"\b(?:pipeline|orchestrator|node)_[a-z_]+(?=[{\[\s)])|\bup(?={)")
SECONDS = re.compile(r"\d{3}")  # such as 86400, which would fit one grain of partitions only
DECLARED = re.compile(r'^    "((?:pipeline|orchestrator)_\w+)": \(\(?"', re.MULTILINE)
OF_PROMETHEUS = {
    *("up", "node_textfile_mtime_seconds"),
    *("node_filesystem_avail_bytes", "node_filesystem_size_bytes"),
}
PROGRAMS = ("prometheus", "prometheus-alertmanager", "prometheus-node-exporter")
needs_promtool = pytest.mark.skipif(
    not (shutil.which("promtool") and shutil.which("amtool")),
    reason="promtool or amtool is missing: apt-get install prometheus prometheus-alertmanager",
)
ARRIVES_SECONDS = 180
MORE_SECONDS = 45  # three more evaluations of the rules, in which an alert must not come once more


ENGINES = yaml.safe_load((ROOT / "tests" / "engine_metrics.yml").read_text())


def engine_metrics(engine: str) -> set[str]:
    return {*ENGINES[engine]["shown"], *ENGINES[engine]["on_failure"]}


def names(expression: str) -> set[str]:
    """The metrics of an expression that have a name of several words."""
    return set(NAME.findall(IN_BRACES.sub(" ", expression)))


@pytest.fixture(scope="module")
def written(render) -> set[str]:
    """Names of the metrics that there are."""
    package = next(render().glob("src/*/platform")).parent
    files = (package / "platform" / "metrics.py", package / "orchestration" / "observing.py")
    names = {name for file in files for name in DECLARED.findall(file.read_text())}
    assert {"pipeline_step_failed", "orchestrator_up"} <= names
    return names | OF_PROMETHEUS


def rules(project: Path, name: str = "prometheus") -> list[dict]:
    groups = yaml.safe_load((project / "observability" / f"{name}_alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def test_rules_use_metrics_that_exist(render, written):
    assert rules(render())
    for rule in rules(render()):
        promql_parser.parse(rule["expr"])
        used = set(METRIC.findall(rule["expr"]))
        assert used, rule["alert"]
        assert used <= written, rule["alert"]
        assert not SECONDS.search(rule["expr"]), rule["alert"]
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"].keys() == {"summary", "runbook"}


def test_every_expression_of_a_dashboard_is_one_of_metrics_that_exist(render, written):
    shown = set()
    for file in (render() / "observability" / "dashboards").glob("*.json"):
        if file.stem in ENGINES:
            continue
        board = json.loads(file.read_text())
        panels = [panel for each in board["panels"] for panel in (each, *each.get("panels", []))]
        expressions = [target["expr"] for panel in panels for target in panel.get("targets", [])]
        assert expressions, file
        for expression in expressions:
            promql_parser.parse(expression)
            used = set(METRIC.findall(f"{expression} "))
            assert used, expression
            assert used <= written, expression
            shown |= used
        queries = [each["query"] for each in board["templating"]["list"] if each["type"] == "query"]
        assert all(set(METRIC.findall(query.replace(",", " "))) <= written for query in queries), file
    assert written - {"up", "pipeline_step_attempt"} <= shown


def of_engine(render, engine: str) -> Path:
    return render(orchestrator=engine, accept_exclusion="yes")


def test_an_engine_with_metrics_of_its_own_has_rules_and_a_dashboard():
    for name in ("{}_alerts.yml", "{}_alerts_test.yml", "dashboards/{}.json"):
        there = {
            path.parts[-1 - name.count("/") - 2] for path in ROOT.glob(f"template/*/observability/{name.format('*')}")
        }
        assert {each.strip("[]") for each in there} - {"shared"} == set(ENGINES), name


@pytest.mark.parametrize("engine", ENGINES)
def test_rules_and_panels_of_an_engine_use_metrics_that_it_shows(render, engine):
    project = of_engine(render, engine)
    expressions = [rule["expr"] for rule in rules(project, engine)]
    board = json.loads((project / "observability" / "dashboards" / f"{engine}.json").read_text())
    expressions += [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    used = set()
    for expression in expressions:
        promql_parser.parse(expression)
        used |= names(expression)
    assert used == engine_metrics(engine)
    labels = {label for known in ENGINES[engine]["shown"].values() for label in known}
    for by in re.findall(r"\bby \(([^)]*)\)", " ".join(expressions)):
        assert set(re.split(r", *", by)) - {"env", "operation"} <= labels, by
    for rule in rules(project, engine):
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"].keys() == {"summary", "runbook"}


@pytest.mark.parametrize("engine", ENGINES)
def test_every_rule_of_an_engine_is_tested(render, engine):
    folder = of_engine(render, engine) / "observability"
    tests = yaml.safe_load((folder / f"{engine}_alerts_test.yml").read_text())["tests"]
    cases = [case for test in tests for case in test["alert_rule_test"]]
    known = {rule["alert"] for rule in rules(folder.parent, engine)}
    assert {case["alertname"] for case in cases if case["exp_alerts"]} == known


@pytest.mark.parametrize("engine", ENGINES)
def test_the_runbook_has_what_a_rule_of_an_engine_points_to(render, engine):
    project = of_engine(render, engine)
    headings = re.findall(r"^## (.+)$", (project / "docs" / "runbook.md").read_text(), flags=re.MULTILINE)
    anchors = {each.lower().replace(" ", "-") for each in headings}
    pointed = {rule["annotations"]["runbook"] for rule in rules(project, engine)}
    assert {each.partition("#")[2] for each in pointed} <= anchors


def test_every_rule_is_tested_and_inhibited_by_names_that_exist(render):
    folder = render() / "observability"
    names = {rule["alert"] for rule in rules(render())}
    tests = yaml.safe_load((folder / "prometheus_alerts_test.yml").read_text())["tests"]
    cases = [case for test in tests for case in test["alert_rule_test"]]
    assert {case["alertname"] for case in cases if case["exp_alerts"]} == names
    routes = yaml.safe_load((folder / "alertmanager.yml").read_text())
    matchers = [each for rule in routes["inhibit_rules"] for each in rule["source_matchers"] + rule["target_matchers"]]
    for matcher in matchers:
        assert set(matcher.split('"')[1].split("|")) <= names, matcher


@needs_promtool
@pytest.mark.parametrize(
    "channel",
    [
        "none",
        *(
            pytest.param(each, marks=pytest.mark.deep)
            for each in QUESTIONS["alert_channel"]["choices"].values()
            if each != "none"
        ),
    ],
)
def test_promtool_and_amtool_find_nothing(render, channel):
    folder = render(alert_channel=channel) / "observability"
    for command in (
        "promtool test rules prometheus_alerts_test.yml",
        "promtool check config --syntax-only prometheus.yml",
        "amtool check-config alertmanager.yml",
    ):
        done = subprocess.run(command.split(), cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
@pytest.mark.parametrize("engine", ENGINES)
def test_rules_of_an_engine_fire_when_they_should(render, engine, tmp_path):
    folder = Path(shutil.copytree(of_engine(render, engine) / "observability", tmp_path / "observability"))
    command = ["promtool", "test", "rules", f"{engine}_alerts_test.yml"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    file = folder / f"{engine}_alerts.yml"
    file.write_text(re.sub(r"\[15m\]\)+ > \d+", lambda found: f"{found[0]}000", file.read_text()))
    assert subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode != 0


@needs_promtool
def test_a_laptop_wakes_nobody_and_production_its_team(render):
    file = render(owning_team="crew") / "observability" / "alertmanager.yml"
    for env, receiver in (("dev", "nobody"), ("prod", "crew")):
        command = ["amtool", "config", "routes", "test", f"--config.file={file}", f"env={env}", "severity=warning"]
        assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == receiver


@needs_promtool
def test_a_rule_that_no_longer_fires_is_caught(render, tmp_path):
    folder = Path(shutil.copytree(render() / "observability", tmp_path / "observability"))
    file = folder / "prometheus_alerts.yml"
    file.write_text(file.read_text().replace("pipeline_step_failed == 1", "pipeline_step_failed == 2"))
    command = ["promtool", "test", "rules", "prometheus_alerts_test.yml"]
    assert subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode != 0


@pytest.fixture
def receiver() -> Iterator[AlertReceiver]:
    each = AlertReceiver()
    yield each
    each.close()


@pytest.mark.project
@pytest.mark.deep
@pytest.mark.skipif(
    not all(map(shutil.which, PROGRAMS)), reason=f"a program is missing: apt-get install {' '.join(PROGRAMS)}"
)
def test_a_failed_run_travels_through_prometheus_and_alertmanager_once(render, tmp_path, receiver):
    project = Path(shutil.copytree(render(orchestrator="prefect"), tmp_path / "project"))
    rules_file = project / "observability" / "prometheus_alerts.yml"
    # As it is, but for the half hour that retries may take.
    rules_file.write_text(re.sub(r"for: 30m # longer.*", "for: 0s", rules_file.read_text()))
    ports = {f"{name}_PORT": str(free_port()) for name in ("PROMETHEUS", "ALERTMANAGER", "NODE_EXPORTER", "PREFECT")}
    environment = os.environ | ports | {"UV_SYSTEM_CERTS": "true", "APP_ROOT": str(project), "APP_ENV": "dev"}
    subprocess.run([UV, "sync", "--quiet", "--group", "prefect"], cwd=project, env=environment, check=True)
    command = [project / ".venv" / "bin" / "python", "-m", "flight_marts"]
    flights = project / "data" / "landing" / "flights_daily" / "2013-01-02" / "flights.csv"
    flights.write_text(flights.read_text().replace(",EWR,", ",,"))
    for step in ("wait_for_input", "extract", "transform"):
        arguments = ["step", "flights_daily", step, "--partition", "2013-01-02", "--run-id", "run-1"]
        subprocess.run([*command, *arguments], cwd=project, env=environment, check=True, capture_output=True)
    url = receiver.url.replace("json:", "http:")
    observing = subprocess.Popen([*command, "observe", "--receiver", url], cwd=project, env=environment)
    try:
        check = ["step", "flights_daily", "check", "--partition", "2013-01-02", "--run-id", "run-1"]
        assert subprocess.run([*command, *check], cwd=project, env=environment, capture_output=True).returncode == 65
        [post] = receiver.wait_for("PipelineStepKeepsFailing", seconds=ARRIVES_SECONDS)
        [alert] = post["alerts"]
        assert alert["status"] == "firing"
        assert alert["labels"]["pipeline"] == "flights_daily"
        assert alert["labels"]["step"] == "check"
        assert alert["annotations"]["summary"] == "flights_daily (dev): the last attempt of check failed"
        time.sleep(MORE_SECONDS)
        assert len(receiver.of("PipelineStepKeepsFailing")) == 1
    finally:
        observing.send_signal(signal.SIGTERM)
        observing.wait(timeout=60)
    text = (project / "var" / "dev" / "metrics" / "orchestrator-prefect.prom").read_text()
    assert 'orchestrator_up{env="dev",orchestrator="prefect"} 0.0' in text
