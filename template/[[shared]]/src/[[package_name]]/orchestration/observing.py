"""`make observe`: Prometheus, Alertmanager and node_exporter on this machine with the files of observability/.

They run until this process ends. Meanwhile `probe` writes what the orchestrator itself says into the metrics' folder.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from prometheus_client import CollectorRegistry, Gauge, generate_latest

from ..platform import config, files, logging, pipelines
from ..platform.errors import ConfigError, PermanentError
from .engine import Engine
from .services import answers, port

# Names of the program, the package of Debian, and the port on this machine; <NAME>_PORT names another one.
PROGRAMS = {
    "node_exporter": (("node_exporter", "prometheus-node-exporter"), "prometheus-node-exporter", 9100),
    "alertmanager": (("alertmanager", "prometheus-alertmanager"), "prometheus-alertmanager", 9093),
    "prometheus": (("prometheus",), "prometheus", 9090),
}
PROBE_SECONDS = 30
STOP_SECONDS = 20
RUNS = 100  # of a pipeline, that are counted by state
OPEN_STATES = ("queued", "running", "waiting")
# Name: labels besides env, and description.
METRICS = {
    "orchestrator_up": (("orchestrator",), "Whether the orchestrator's server answers."),
    "orchestrator_runs": (("orchestrator", "pipeline", "state"), "Runs that have not ended."),
}


def observe(engine: Engine, receiver: str = "", beside: Sequence[str] = ()) -> None:
    """Start the three programs and probe the orchestrator until this process is interrupted.

    receiver: the URL that gets every alert, as Alertmanager's webhook; empty keeps alerts in Alertmanager alone.
    beside: other orchestrators of the project, each probed by `make probe` from its own environment.
    Raises ConfigError when a program is not installed, PermanentError when one ends.
    """
    programs = _programs()
    settings = config.load()
    folder, metrics = settings.state / "observe", settings.state / "metrics"
    for each in (folder, metrics):
        each.mkdir(parents=True, exist_ok=True)
    ports = {name: port(name, default) for name, (*_, default) in PROGRAMS.items()}
    _configure(settings.root / "observability", folder, ports, receiver)
    _find(engine, settings, folder / "targets")
    options = {
        "node_exporter": [
            "--collector.disable-defaults",
            "--collector.filesystem",
            "--collector.textfile",
            f"--collector.textfile.directory={metrics}",
        ],
        "alertmanager": [
            f"--config.file={folder / 'alertmanager.yml'}",
            f"--storage.path={folder / 'alertmanager'}",
            "--cluster.listen-address=",
        ],
        "prometheus": [
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'prometheus'}",
        ],
    }
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as Ctrl-C does
    running: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for name, program in programs.items():
            command = [program, f"--web.listen-address=127.0.0.1:{ports[name]}", *options[name]]
            with (folder / f"{name}.log").open("wb") as log:
                running[name] = subprocess.Popen(command, stdout=log, stderr=log)
            print(f"{name:<14} http://127.0.0.1:{ports[name]}", flush=True)
        print("Ctrl-C ends them", flush=True)
        while True:
            probe(engine, settings)
            for name in beside:
                command = ["make", "--no-print-directory", "probe", f"ORCHESTRATOR={name}"]
                subprocess.run(command, cwd=settings.root, check=False)
            time.sleep(PROBE_SECONDS)
            for name, process in running.items():
                if process.poll() is not None:
                    raise PermanentError(f"{name} has ended: see {folder / name}.log")
    finally:
        for process in running.values():
            process.terminate()
        for process in running.values():
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def probe(engine: Engine, settings: config.Settings) -> None:
    """Write what the orchestrator says about itself to var/<env>/metrics/orchestrator-<id>.prom.

    A pipeline whose runs cannot be read is left out.
    """
    registry = CollectorRegistry()
    gauges = {
        name: Gauge(name, description, ("env", *labels), registry=registry)
        for name, (labels, description) in METRICS.items()
    }
    up = not engine.port or answers(f"http://127.0.0.1:{engine.port}{engine.health}")
    gauges["orchestrator_up"].labels(settings.env, engine.id).set(up)
    own = [each for each in pipelines.all() if each.settings.orchestrator == engine.id] if up else []
    for pipeline in own:
        try:
            states = Counter(run.state for run in engine.runs(pipeline, RUNS))
        except Exception as error:  # noqa: BLE001  an engine that goes away meanwhile; `orchestrator_up` says so
            logging.get_logger().warning("runs not counted", pipeline=pipeline.name, error=type(error).__name__)
            continue
        for state in OPEN_STATES:
            gauges["orchestrator_runs"].labels(settings.env, engine.id, pipeline.name, state).set(states[state])
    folder = settings.state / "metrics"
    folder.mkdir(parents=True, exist_ok=True)
    files.replace(folder / f"orchestrator-{engine.id}.prom", generate_latest(registry).decode(), durable=False)


def _programs() -> dict[str, str]:
    """The programs' paths by name. Raises ConfigError, with what to install, when one is missing."""
    there = {name: next(filter(None, map(shutil.which, names)), "") for name, (names, *_) in PROGRAMS.items()}
    if missing := [PROGRAMS[name][1] for name, path in there.items() if not path]:
        raise ConfigError(
            f"make observe needs programs that are not installed; on Debian: apt-get install {' '.join(missing)}"
        )
    return there


def _find(engine: Engine, settings: config.Settings, folder: Path) -> None:
    """Write which of the orchestrator's own metrics are on this machine: those of its server, if it shows any."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    source = settings.root / "observability" / "targets" / f"{engine.id}.yml"
    groups = yaml.safe_load(source.read_text(encoding="utf-8")) if source.exists() else []
    here = [each["labels"] | {"env": settings.env} for each in groups if each["labels"].get("service") == "here"]
    targets = [{"targets": [f"127.0.0.1:{engine.port}"], "labels": labels} for labels in here]
    files.replace(folder / f"{engine.id}.yml", yaml.safe_dump(targets), durable=False)


def _configure(source: Path, folder: Path, ports: Mapping[str, int], receiver: str) -> None:
    """Write the configuration of observability/ with the addresses of this machine."""
    prometheus = yaml.safe_load((source / "prometheus.yml").read_text(encoding="utf-8"))
    prometheus["rule_files"] = [str(source / name) for name in prometheus["rule_files"]]
    text = yaml.safe_dump(prometheus)
    for name, (*_, default) in PROGRAMS.items():
        text = text.replace(f"127.0.0.1:{default}", f"127.0.0.1:{ports[name]}")
    files.replace(folder / "prometheus.yml", text, durable=False)
    alertmanager: dict[str, Any] = yaml.safe_load((source / "alertmanager.yml").read_text(encoding="utf-8"))
    here = {"webhook_configs": [{"url": receiver}]} if receiver else {}
    alertmanager["receivers"] = [{"name": each["name"], **here} for each in alertmanager["receivers"]]
    files.replace(folder / "alertmanager.yml", yaml.safe_dump(alertmanager), durable=False)
