"""Pipelines that wait for a person's decision, on running services: the same outcomes from each orchestrator."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import duckdb
import psutil
import pytest
from combinations import MANIFESTS, SERVED, answers_for
from conformance.alert_receiver import AlertReceiver
from projects import RUN_SECONDS, SET_UP_SECONDS, UV, Project
from servers import free_port

pytestmark = [pytest.mark.project, pytest.mark.deep]
WAIT_SECONDS = 600  # a busy machine; no test asserts a time
READING_SECONDS = 5  # Airflow loses an answer of the second in which the task pauses, and asks again
NAME = "delay_model"
APPROVED, REJECTED, ANSWERED, EXPIRED = (f"2013-0{month}" for month in range(1, 5))
# What became of each request: its state, who decided, whether it was promoted, and the state of its run.
OUTCOMES = {
    APPROVED: ("approved", "ann", True, "success"),
    REJECTED: ("rejected", "bob", False, "success"),
    ANSWERED: ("approved", "Anonymous", True, "success"),
    EXPIRED: ("expired", "", False, "success"),
}
SELECTED = "SELECT partition, id, state, decided_by, run FROM platform.approvals ORDER BY requested_at"


class Services:
    """The project on one orchestrator, as its users drive it. It has one place for runs: those that wait hold none."""

    def __init__(self, project: Project, name: str, receiver: AlertReceiver) -> None:
        self.project, self.name, self.port, self.receiver = project, name, free_port(), receiver
        self.variables = {
            "APP_ALERTS__URL": "secret:alert-url",
            "APP_SECRET_ALERT_URL": receiver.url,
            "APP_WAREHOUSE__LOCK_TIMEOUT_SECONDS": "300",
            "AIRFLOW__CORE__PARALLELISM": "1",
            "FLOW_RUNS_AT_ONCE": "1",
        }

    def configure(self, **approval: object) -> None:
        """Set values of [approval] for what starts from now on."""
        prefix = f"APP_PIPELINES__{NAME.upper()}__APPROVAL__"
        self.variables |= {f"{prefix}{name.upper()}": str(value) for name, value in approval.items()}

    def make(self, *arguments: str, timeout: float = RUN_SECONDS) -> subprocess.CompletedProcess[str]:
        return self.project.make(*arguments, *self.own, timeout=timeout, **self.variables)

    @property
    def own(self) -> list[str]:
        return [f"{self.name.upper()}_PORT={self.port}", f"PIPELINE={NAME}"]

    def up(self) -> None:
        done = self.make("up", timeout=WAIT_SECONDS)
        assert done.returncode == 0, done.stdout + done.stderr

    def down(self) -> None:
        self.make("down", timeout=WAIT_SECONDS)

    def kill(self) -> None:
        """End every process of the services at once, the one that keeps them first."""
        state = self.project.folder / "var" / "dev" / self.name
        supervisor = psutil.Process(int((state / "supervisord.pid").read_text()))
        processes = [supervisor, *supervisor.children(recursive=True)]
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(processes, timeout=60)

    def ask(self, *keys: str) -> None:
        """Run these months on the services until each has asked for a decision; the runs go on."""
        command = ["make", f"UV={UV}", "backfill", f"FROM={keys[0]}", f"TO={keys[-1]}", *self.own]
        backfill = subprocess.Popen(
            command,
            cwd=self.project.folder,
            env={**os.environ, **self.variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            until(lambda: all(self.request(key) for key in keys), lambda: f"{keys} have not asked: {self.state()}")
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(backfill.pid, signal.SIGINT)
            backfill.communicate(timeout=60)

    def request(self, key: str) -> dict | None:
        """The newest request of a month."""
        rows = [row for row in self.rows(SELECTED) if row[0] == key]
        return dict(zip(("partition", "id", "state", "decided_by", "run"), rows[-1], strict=True)) if rows else None

    def rows(self, query: str) -> list[tuple]:
        """Rows of a query on the warehouse, as soon as no other process has the file open; [] without the table."""
        file = self.project.folder / "var" / "dev" / "warehouse.duckdb"
        end = time.monotonic() + WAIT_SECONDS
        while True:
            try:
                with duckdb.connect(file, read_only=True) as con:
                    return con.execute(query).fetchall()
            except duckdb.CatalogException:
                return []
            except duckdb.IOException:
                if time.monotonic() > end:
                    raise
                time.sleep(0.2)

    def promoted(self) -> set[str]:
        return {f"{month:%Y-%m}" for (month,) in self.rows(f"SELECT DISTINCT month FROM {NAME}")}

    def decide(self, key: str, decision: str, by: str, reason: str = "") -> subprocess.CompletedProcess[str]:
        return self.make("approvals", f"{decision}={self.request(key)['id']}", f"BY={by}", f"REASON={reason}")

    def refused(self, key: str, decision: str, by: str, reason: str = "") -> str:
        """The sentence with which a decision is refused."""
        done = self.decide(key, decision, by, reason)
        assert done.returncode != 0, done.stdout
        (sentence,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
        return sentence

    def state(self) -> dict[str, str]:
        """The state of the newest run of each month, as the orchestrator knows it."""
        lines = self.make("state").stdout.splitlines()
        fields = [line.split() for line in lines if line.startswith("2013-")]
        return {key: state for key, state, *_ in reversed(fields)}

    def answer(self, method: str, path: str, body: dict | None = None, **headers: str) -> dict:
        """What the orchestrator's own API answers; asked again while its database, SQLite, is locked."""
        data = None if body is None else json.dumps(body).encode()
        url = f"http://127.0.0.1:{self.port}{path}"
        request = urllib.request.Request(url, data, {"Content-Type": "application/json", **headers}, method=method)
        for _ in range(30):
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310  a loopback address
                    return json.loads(answer.read() or b"null")
            except urllib.error.HTTPError as error:
                problem = f"{method} {path}: {error.code} {error.read().decode()}"
                if error.code < 500:
                    break
            time.sleep(2)
        raise AssertionError(problem)


def on_airflow(services: Services, key: str, by: str) -> None:
    """Approve as the form of Airflow's UI does. Nobody signs in on this machine: everybody is Anonymous."""
    token = services.answer("GET", "/auth/token")["access_token"]
    run = quote(services.request(key)["run"])
    path = f"/api/v2/dags/{NAME}/dagRuns/{run}/taskInstances/decide/-1"

    def is_asking() -> bool:
        task = services.answer("GET", path.removesuffix("/-1"), Authorization=f"Bearer {token}")
        return task["state"] == "awaiting_input"

    until(is_asking, lambda: f"Airflow does not ask about {key}")
    time.sleep(READING_SECONDS)
    body = {"chosen_options": ["Approve"], "params_input": {"reason": "seen in the UI"}}
    services.answer("PATCH", f"{path}/hitlDetails", body, Authorization=f"Bearer {token}")


def on_prefect(services: Services, key: str, by: str) -> None:
    """Approve as the form of Prefect's UI does."""
    run = f"/api/flow_runs/{services.request(key)['run']}"
    until(lambda: services.answer("GET", run)["state"]["name"] == "Suspended", lambda: f"{key} is not suspended")
    answer = {"decision": "approve", "by": by, "reason": "seen in the UI"}
    services.answer("POST", f"{run}/resume", {"run_input": answer})


def on_temporal(services: Services, key: str, by: str) -> None:
    """Approve as the update of Temporal's UI and command line does; it fails when the answer does not count."""

    def temporal(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [".venv/bin/temporal", *arguments, "--address", f"127.0.0.1:{services.port - 1000}"]
        return subprocess.run(command, cwd=services.project.folder, capture_output=True, text=True, check=False)

    run = services.request(key)["run"]
    listed = temporal("workflow", "list", "--query", f"RunId = '{run}'", "--output", "json")
    (listed_run,) = json.loads(listed.stdout)
    answer = json.dumps({"decision": "approve", "by": by, "reason": "seen in the UI"})
    named = ("--workflow-id", listed_run["execution"]["workflowId"], "--run-id", run, "--name", "decide")
    done = temporal("workflow", "update", "execute", *named, "--input", answer)
    assert (done.returncode == 0) == (by in services.variables[f"APP_PIPELINES__{NAME.upper()}__APPROVAL__DECIDERS"])


# How a person answers in the UI of the orchestrator, where it can be asked there.
IN_THE_UI: dict[str, Callable[[Services, str, str], None]] = {
    "airflow": on_airflow,
    "prefect": on_prefect,
    "temporal": on_temporal,
}


def until(is_so: Callable[[], bool], problem: Callable[[], object]) -> None:
    end = time.monotonic() + WAIT_SECONDS
    while not is_so():
        assert time.monotonic() < end, problem()
        time.sleep(1)


@pytest.fixture(params=[name for name in SERVED if "approval" in MANIFESTS[name]["shapes"]])
def services(request, render, tmp_path_factory) -> Iterator[Services]:
    """A project to which such a pipeline was added, with four months landed: the sample's, under four names."""
    rendered = render(**answers_for((request.param,)))
    folder = Path(shutil.copytree(rendered, tmp_path_factory.mktemp("approval") / "project"))
    project = Project(folder, (request.param,))
    for arguments in (("setup",), ("pipeline", f"NAME={NAME}", "SHAPE=approval")):
        done = project.make(*arguments, timeout=SET_UP_SECONDS)
        assert done.returncode == 0, done.stdout + done.stderr
    landing = folder / "data" / "landing" / NAME
    for key in OUTCOMES.keys() - {APPROVED}:
        shutil.copytree(landing / APPROVED, landing / key)
    receiver = AlertReceiver()
    made = Services(project, request.param, receiver)
    try:
        yield made
    finally:
        made.down()
        receiver.close()


def test_every_orchestrator_gives_the_same_outcomes(services):
    services.configure(deciders='["ann", "bob"]', remind_after_seconds=120, expire_after_seconds=86_400, poll_seconds=5)
    services.up()
    services.ask(APPROVED, REJECTED, ANSWERED)  # all wait at once, though there is one place for runs
    assert "approve: make approvals APPROVE=" in services.receiver.of(APPROVED, "waits for a decision")[0]["message"]
    ui = IN_THE_UI.get(services.name)
    if ui:
        ui(services, ANSWERED, "kim")
        until(lambda: services.rows("SELECT * FROM platform.refused_decisions"), lambda: "kim was not refused")
        assert services.request(ANSWERED)["state"] == "pending"
    # A process that is killed between sending a reminder and noting it would send it again.
    reminded = "SELECT * FROM platform.approvals WHERE reminded_at IS NOT NULL"
    until(lambda: len(services.rows(reminded)) == 3, lambda: f"no reminder of some: {services.rows(SELECTED)}")

    services.kill()
    services.configure(deciders='["ann", "bob", "Anonymous"]', expire_after_seconds=30)
    services.up()
    assert {key: services.request(key)["state"] for key in (APPROVED, REJECTED, ANSWERED)} == dict.fromkeys(
        (APPROVED, REJECTED, ANSWERED), "pending"
    )
    assert services.promoted() == set()
    assert "kim may not decide about delay_model" in services.refused(APPROVED, "APPROVE", "kim")
    assert "a rejection needs a reason" in services.refused(REJECTED, "REJECT", "bob")
    assert services.decide(APPROVED, "APPROVE", "ann").returncode == 0
    assert services.decide(REJECTED, "REJECT", "bob", "no better").returncode == 0
    assert "was approved by ann" in services.refused(APPROVED, "REJECT", "bob", "no better")
    if ui:
        ui(services, ANSWERED, "Anonymous")
    else:
        assert services.decide(ANSWERED, "APPROVE", "Anonymous").returncode == 0
    until(lambda: services.promoted() == {APPROVED, ANSWERED}, lambda: f"promoted: {services.promoted()}")

    services.ask(EXPIRED)
    services.receiver.wait_for(EXPIRED, "was not decided in time", seconds=WAIT_SECONDS)
    assert "expired at" in services.refused(EXPIRED, "APPROVE", "ann")

    until(lambda: set(services.state().values()) == {"success"}, services.state)
    states, promoted = services.state(), services.promoted()
    assert {
        key: (request["state"], request["decided_by"], key in promoted, states[key])
        for key in OUTCOMES
        if (request := services.request(key))
    } == OUTCOMES
    for words in ("waits for a decision (dev)", "still waits for a decision", "was not decided in time"):
        posts = services.receiver.of(words)
        titles = [post["title"] for post in posts if words in post["title"]]
        assert not [title for title in set(titles) if titles.count(title) > 1]


def test_what_orchestrators_ask_is_compared_and_nobody_is_asked(render, tmp_path):
    names = ("dagster", "temporal")
    answers = {**answers_for(names), "pipeline_shape": "approval", "accept_exclusion": "yes"}
    project = Project(Path(shutil.copytree(render(**answers), tmp_path / "project")), names)
    (landing,) = (project.folder / "data" / "landing").iterdir()
    receiver = AlertReceiver()
    alerts = {"APP_ALERTS__URL": "secret:alert-url", "APP_SECRET_ALERT_URL": receiver.url}
    compare = ("compare", f"DATE={APPROVED}")
    try:
        done = project.make(*compare, timeout=SET_UP_SECONDS + WAIT_SECONDS, **alerts)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "ask on identical evidence; nothing is published before a person decides" in done.stdout
        elsewhere = project.folder / "data" / "elsewhere" / APPROVED
        shutil.copytree(landing / APPROVED, elsewhere)
        departures = elsewhere / "departures.csv"
        departures.write_text("".join(departures.read_text().splitlines(keepends=True)[:-40]))
        with (project.folder / "deploy" / "local" / "temporal.env").open("a") as settings:
            settings.write(f"APP_PIPELINES__{landing.name.upper()}__LANDING__URL=data/elsewhere\n")
        done = project.make(*compare, timeout=WAIT_SECONDS, **alerts)
        assert done.returncode != 0
        assert "error: the orchestrators ask on different evidence: flights_trained_on" in done.stderr
        assert not receiver.of(APPROVED)
    finally:
        receiver.close()
