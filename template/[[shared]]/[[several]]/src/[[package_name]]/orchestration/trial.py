"""`make trial`: the project's orchestrators measured side by side on this machine, with the same pipeline and data.

Each block measures every orchestrator once, in random order, one after the other, and the first one twice: how far
apart these two are is what noise alone does. A finished measurement is a line of var/trial/results.jsonl, so a trial
that was interrupted goes on where it stopped. The result is a table, var/trial/trial.json and var/trial/index.html.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import psutil

from .. import orchestration
from ..platform import config, files, history, landing, masking
from ..platform.errors import OK, PERMANENT, ConfigError
from ..platform.partitions import Partition
from ..platform.pipelines import PACKAGE, Pipeline
from .comparison import inherited, silent
from .engine import Engine
from .services import free_mb
from .trial_result import AGAIN, AS_MADE, METRICS, ON_SERVICES, Cell, Metric, page, show, summary

LIMIT_SECONDS = 300  # for what may never end: a run whose process was killed
COMMAND_SECONDS = 1800
FREE_MB = 1024  # for the steps and for everything else on this machine


class NotMeasuredError(Exception):
    """Why there is no value: a sentence for the page."""


class NoEndError(NotMeasuredError):
    """What was to happen by itself did not happen; this counts as worse than any value."""


def run(pipeline: Pipeline, blocks: int, only: Sequence[str], seed: int, as_made: bool = False) -> int:
    """Measure what is not measured yet, and show the result. Returns the exit code.

    as_made: whether the services are also measured with the settings of their makers.
    """
    names = orchestration.names()
    if len(names) < 2:
        raise ConfigError(
            f"this project has only {names[0]}, so there is nothing to compare; add another orchestrator: "
            "make update ANSWERS='also_orchestrators=[...]', then make setup"
        )
    chosen = _chosen(only)
    engines = {name: orchestration.get(name) for name in names}
    _refuse_without_memory(engines.values())
    folder = config.load().root / "var" / "trial"
    store = Store(folder, _plan(pipeline, names, seed))
    print(f"{pipeline.name} on {', '.join(names)}: {blocks} blocks; stop with Ctrl-C, and repeat the command to go on")
    for block in range(1, blocks + 1):
        order = [*names, names[0] + AGAIN]
        order += [name + AS_MADE for name, each in engines.items() if as_made and hasattr(each, "as_made")]
        chance = random.Random(f"{seed} {block}")  # noqa: S311  an order, no secret
        chance.shuffle(order)
        for contender in order:
            wanted = [each for each in chosen if each in ON_SERVICES] if contender.endswith(AS_MADE) else chosen
            missing = [each for each in wanted if (contender, each.id, block) not in store.cells]
            if missing:
                engine = engines[contender.removesuffix(AGAIN).removesuffix(AS_MADE)]
                place = folder / re.sub(r"\W+", "-", contender)
                measured = Contender(engine, place, pipeline, chance, as_made=contender.endswith(AS_MADE))
                for cell in measured.measure(contender, missing, block):
                    store.add(cell)
                    shown = f"{cell.value:,.1f}" if cell.value is not None else f"- ({cell.note})"
                    print(f"  block {block} of {blocks}  {cell.contender:<20}{cell.metric:<15}{shown}", flush=True)
    report = summary(list(store.cells.values()), names, {each.id: each for each in engines.values()})
    report |= {
        "pipeline": pipeline.name,
        "blocks": blocks,
        "machine": _machine(),
        "made": f"{datetime.now(UTC):%Y-%m-%d}",
    }
    files.replace(folder / "trial.json", json.dumps(report, indent=2))
    files.replace(folder / "index.html", page(report))
    show(report)
    print(f"\npage: {_relative(folder / 'index.html')}    for the decision: {_relative(folder / 'trial.json')}")
    return OK if any(cell.value is not None for cell in store.cells.values()) else PERMANENT


class Store:
    """The measurements in var/trial/results.jsonl. Raises ConfigError when they are of another state of the project."""

    def __init__(self, folder: Path, plan: str) -> None:
        self.file = folder / "results.jsonl"
        self.cells: dict[tuple[str, str, int], Cell] = {}
        lines = self.file.read_text(encoding="utf-8").splitlines() if self.file.exists() else []
        if not lines:
            folder.mkdir(parents=True, exist_ok=True)
            files.replace(self.file, json.dumps({"plan": plan}) + "\n")
        elif _read(lines[0]).get("plan") != plan:
            raise ConfigError(
                "the project or the seed has changed since this trial began, so its measurements cannot be compared; "
                "undo the change, or begin again: rm -r var/trial"
            )
        for line in lines[1:]:
            with suppress(TypeError):  # cut off when the machine stopped: it is measured again
                self._keep(Cell(**_read(line)))
        if lines:
            kept = [json.dumps({"plan": plan}), *(json.dumps(asdict(cell)) for cell in self.cells.values())]
            files.replace(self.file, "\n".join(kept) + "\n")

    def add(self, cell: Cell) -> None:
        self._keep(cell)
        with self.file.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(asdict(cell)) + "\n")

    def _keep(self, cell: Cell) -> None:
        self.cells[cell.contender, cell.metric, cell.block] = cell


class Contender:
    """One orchestrator in a folder of its own: the project's files, and state that nothing else uses."""

    def __init__(
        self, engine: Engine, folder: Path, pipeline: Pipeline, chance: random.Random, *, as_made: bool = False
    ) -> None:
        self.engine, self.folder, self.pipeline, self.chance = engine, folder, pipeline, chance
        self.as_made = as_made
        self.root, self.uv = config.load().root, os.environ.get("UV", "uv")
        own_venv = self.root / f".venv-{engine.id}"
        self.environment = {
            **inherited(),
            **silent(pipeline),
            "APP_ENV": "dev",
            "ENV": "dev",
            "APP_ROOT": str(folder),
            "APP_WAREHOUSE__URL": "duckdb://var/dev/warehouse.duckdb",
            "ORCHESTRATOR": engine.id,
            f"{engine.id.upper()}_PORT": str(_free_port()),
            "UV_PROJECT_ENVIRONMENT": str(own_venv if own_venv.is_dir() else self.root / ".venv"),
        }
        if pipeline.settings.landing.url:  # a wait that ends: `failure` asks for a partition that has not landed
            self.environment |= {"APP_INPUT_WAIT__TIMEOUT_SECONDS": "1", "APP_INPUT_WAIT__POLL_SECONDS": "1"}

    def measure(self, contender: str, metrics: Sequence[Metric], block: int) -> Iterator[Cell]:
        """Measure in the order of METRICS; a measurement that fails says why, and the next one is made."""
        self._begin()
        try:
            for metric in metrics:
                load, before = os.getloadavg()[0], psutil.cpu_times()
                value, note, no_end = None, "", False
                try:
                    value = getattr(self, metric.id)()
                except NotMeasuredError as reason:
                    note, no_end = str(reason), isinstance(reason, NoEndError)
                except subprocess.TimeoutExpired:
                    note = f"not within {LIMIT_SECONDS if metric.limited else COMMAND_SECONDS} s"
                    no_end = metric.limited
                if value is None and metric.limited:  # a run that hangs would hold up what is measured next
                    self._make("down")
                    shutil.rmtree(self.folder / "var", ignore_errors=True)
                rounded = None if value is None else round(value, 3)
                steal = _steal(before, psutil.cpu_times())
                yield Cell(contender, metric.id, block, rounded, note, no_end, round(load, 2), steal)
        finally:
            self._make("down")
            shutil.rmtree(self.folder / "var", ignore_errors=True)

    def _begin(self) -> None:
        """An empty state; services that a killed trial left are stopped first."""
        if (self.folder / "var").exists():
            self._make("down")
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        for entry in self.root.iterdir():
            if entry.name not in ("var", ".git"):
                (self.folder / entry.name).symlink_to(entry)
        if self.as_made:
            self.environment |= self.engine.as_made(self.folder / "as_made")

    # What is measured without services.

    def setup(self) -> float:
        """uv's cache is warm, as it is after the first set-up on a machine."""
        target = self.folder / ".venv-trial"
        command = [self.uv, "sync", "--quiet", "--frozen", "--group", self.engine.id]
        try:
            return self._timed(command, UV_PROJECT_ENVIRONMENT=str(target))
        finally:
            shutil.rmtree(target, ignore_errors=True)

    def first(self) -> float:
        shutil.rmtree(self.folder / "var", ignore_errors=True)
        return self._timed(self._command("run", f"DATE={self._partitions(1)[0]}"))

    def load(self) -> float:
        path = self.engine.definition.format(package=PACKAGE, name=self.pipeline.name)
        module = path.removeprefix("src/").removesuffix(".py").replace("/", ".")
        code = f"import {module}" if path.startswith("src/") else f"import runpy; runpy.run_path({path!r})"
        return self._timed(self._in_environment("python", "-c", code))

    def tests(self) -> float:
        path = f"tests/integration/{self.engine.id}/test_pipelines.py"
        return self._timed(self._in_environment("pytest", "-q", "-p", "no:cacheprovider", path))

    # What is measured on services, which the first of these starts.

    def up(self) -> float:
        self._make("down")
        return self._timed(self._command("up"))

    def overhead(self) -> float:
        self._need_services()
        began = datetime.now(UTC).isoformat()
        seconds = self._backfill(self._partitions(1))
        return max(
            0.0, seconds - sum(fact.seconds for fact in self._history() if fact.kind == "step" and fact.at >= began)
        )

    def fan_1(self) -> float:
        return self._fan(1)

    def fan_3(self) -> float:
        return self._fan(3)

    def fan_10(self) -> float:
        return self._fan(10)

    def _fan(self, count: int) -> float:
        self._need_services()
        return self._backfill(self._partitions(count))

    def memory(self) -> float:
        """Sum of what all processes hold, shared pages in parts, at its highest while partitions run."""
        self._need_services()
        with self._sampled_memory() as samples:
            for count in (10, 3, 1):
                with suppress(NotMeasuredError):
                    self._backfill(self._partitions(count))
                    break
        return max(samples) / 2**20

    def failure(self) -> float:
        self._need_services()
        if not self.pipeline.settings.landing.url:
            raise NotMeasuredError("the pipeline reads no landed input that could be missing")
        missing = self.pipeline.calendar.following(self._landed()[-1])
        began, start = datetime.now(UTC).isoformat(), time.monotonic()
        with self._started(self._backfill_command([missing]), subprocess.DEVNULL):
            self._until(
                lambda: any(
                    f.kind == "failed" and f.partition == missing.key and f.at >= began for f in self._history()
                )
            )
        return time.monotonic() - start

    def run_killed(self) -> float:
        return self._recovery(self._of_the_run)

    def worker_killed(self) -> float:
        return self._recovery(lambda _: self._program("worker", whole=True))

    def server_killed(self) -> float:
        self._need_services()
        _kill(self._program("server", whole=False))
        start = time.monotonic()
        partition = self._partitions(1)[0]
        while True:
            left = LIMIT_SECONDS - (time.monotonic() - start)
            if left <= 0:
                raise NoEndError(f"not within {LIMIT_SECONDS} s")
            if self._run(self._backfill_command([partition]), left).returncode == 0:
                return time.monotonic() - start
            time.sleep(1)

    def _recovery(self, victims: Callable[[set[int]], list[psutil.Process]]) -> float:
        """Request a partition, kill at a random moment of its run, and wait until it is published."""
        self._need_services()
        partition = self._partitions(1)[0]
        before, began = {each.pid for each in self._processes()}, datetime.now(UTC).isoformat()
        with self._started(self._backfill_command([partition]), subprocess.DEVNULL) as command:
            self._until(lambda: any(fact.kind == "step" and fact.at >= began for fact in self._history()), 0.02)
            time.sleep(self.chance.uniform(0, 0.5))
            published = self.pipeline.steps[-1]
            if any(fact.step == published and fact.at >= began for fact in self._history()):
                raise NotMeasuredError("the run was over before it could be killed")
            _kill(victims(before))
            start = time.monotonic()
            if command.wait(LIMIT_SECONDS):
                raise NoEndError("not by itself: the run has failed, and a person starts it again")
        return time.monotonic() - start

    def _of_the_run(self, before: set[int]) -> list[psutil.Process]:
        """Processes that the services have started for the run; those of the worker where it starts none."""
        return [each for each in self._processes() if each.pid not in before] or self._program("worker", whole=True)

    def _program(self, role: str, *, whole: bool) -> list[psutil.Process]:
        """The process of the service that is the engine's ``worker`` or ``server``; whole: with all below it."""
        name = getattr(self.engine, role, "")
        if not name:
            raise NotMeasuredError(f"{self.engine.title} has no {role} on this machine")
        supervisor = self._supervisor()
        matches = [each for each in (supervisor.children() if supervisor else []) if _service_of(each) == name]
        # A process that has renamed itself has overwritten its environment as well.
        matches = matches or [each for each in self._processes() if name in " ".join(_command_line(each)).split()]
        if not matches:
            raise NotMeasuredError(f"the service {name} does not run")
        return matches[:1] + (matches[0].children(recursive=True) if whole else [])

    # How.

    def _need_services(self) -> None:
        if self._supervisor() is None:
            self._make("down")
            self.up()

    def _supervisor(self) -> psutil.Process | None:
        try:
            pid = int((self.folder / "var" / "dev" / self.engine.id / "supervisord.pid").read_text())
            process = psutil.Process(pid)
            return process if "supervisor" in " ".join(process.cmdline()) else None
        except (OSError, ValueError, psutil.Error):
            return None

    def _processes(self) -> list[psutil.Process]:
        supervisor = self._supervisor()
        return supervisor.children(recursive=True) if supervisor else []

    def _landed(self) -> list[Partition]:
        if not self.pipeline.settings.landing.url:
            return [self.pipeline.due()]
        partitions = []
        for key in landing.of(self.pipeline).complete():
            with suppress(ConfigError):  # a folder that is no partition
                partitions.append(self.pipeline.partition(key))
        if not partitions:
            raise NotMeasuredError("no partition has landed")
        return partitions

    def _partitions(self, count: int) -> list[Partition]:
        """So many landed partitions that follow one another."""
        landed = self._landed()
        for first in range(len(landed) - count + 1):
            part = landed[first : first + count]
            if [each.key for each in self.pipeline.calendar.between(part[0].key, part[-1].key)] == [
                each.key for each in part
            ]:
                return part
        raise NotMeasuredError(f"fewer than {count} partitions in a row have landed")

    def _backfill_command(self, partitions: Sequence[Partition]) -> list[str]:
        return self._command("backfill", f"FROM={partitions[0]}", f"TO={partitions[-1]}")

    def _backfill(self, partitions: Sequence[Partition]) -> float:
        return self._timed(self._backfill_command(partitions))

    def _history(self) -> list[history.Fact]:
        file = self.folder / "var" / "dev" / "history" / f"{self.pipeline.name}.jsonl"
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        return [history.Fact(**fact) for line in lines if (fact := _read(line))]

    def _until(self, is_so: Callable[[], bool], pause: float = 0.2) -> None:
        start = time.monotonic()
        while not is_so():
            if time.monotonic() - start > LIMIT_SECONDS:
                raise NoEndError(f"not within {LIMIT_SECONDS} s")
            time.sleep(pause)

    @contextmanager
    def _started(self, command: Sequence[str], output: int, **variables: str) -> Iterator[subprocess.Popen[str]]:
        """A command; when the body ends before it, it is killed with all that it has started."""
        with subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.environment | variables,
            stdout=output,
            stderr=output,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                yield process
            finally:
                with suppress(psutil.NoSuchProcess):
                    started = psutil.Process(process.pid)
                    _kill([*started.children(recursive=True), started])

    @contextmanager
    def _sampled_memory(self) -> Iterator[list[int]]:
        samples, stop = [0], threading.Event()

        def sample() -> None:
            while not stop.wait(0.5):
                samples.append(sum(map(_proportional_bytes, self._processes())))

        thread = threading.Thread(target=sample)
        thread.start()
        try:
            yield samples
        finally:
            stop.set()
            thread.join()

    def _command(self, target: str, *variables: str) -> list[str]:
        own = [f"ORCHESTRATOR={self.engine.id}", f"PIPELINE={self.pipeline.name}", f"UV={self.uv}"]
        return ["make", "--no-print-directory", "-C", str(self.folder), target, *own, *variables]

    def _make(self, target: str) -> None:
        self._run(self._command(target), COMMAND_SECONDS)

    def _in_environment(self, *command: str) -> list[str]:
        variables = f"deploy/local/{self.engine.id}.env"
        return [self.uv, "run", "--quiet", "--no-sync", "--env-file", variables, *command]

    def _timed(self, command: Sequence[str], **variables: str) -> float:
        """Seconds that the command takes. Raises NotMeasuredError when it fails."""
        start = time.monotonic()
        done = self._run(command, COMMAND_SECONDS, **variables)
        if done.returncode:
            lines = (done.stderr or done.stdout).strip().splitlines() or ["no message"]
            raise NotMeasuredError(masking.mask(lines[-1]).removeprefix("error: ")[:200])
        return time.monotonic() - start

    def _run(self, command: Sequence[str], seconds: float, **variables: str) -> subprocess.CompletedProcess[str]:
        with self._started(command, subprocess.PIPE, **variables) as process:
            output, errors = process.communicate(timeout=seconds)
        return subprocess.CompletedProcess(command, process.returncode, output, errors)


def _chosen(only: Sequence[str]) -> list[Metric]:
    unknown = set(only) - {each.id for each in METRICS}
    if unknown:
        known = [each.id for each in METRICS]
        raise ConfigError(f"there is no measurement {min(unknown)}: {config.suggestion(min(unknown), known)}")
    return [each for each in METRICS if not only or each.id in only]


def _refuse_without_memory(engines: Sequence[Engine]) -> None:
    """Raise ConfigError when the largest of them, which run one after the other, has no room."""
    largest = max(engines, key=_peak_mb)
    needed, free = _peak_mb(largest) + FREE_MB, free_mb()
    if free < needed:
        raise ConfigError(
            f"{largest.title} and a run need about {needed:,} MB, and {free:,} MB are free; "
            "stop other programs, or take a larger machine"
        )


def _peak_mb(engine: Engine) -> int:
    return getattr(engine, "peak_mb", 0)


def _plan(pipeline: Pipeline, names: Sequence[str], seed: int) -> str:
    """A digest of what the measurements depend on."""
    root = config.load().root
    digest = sha256(json.dumps([pipeline.name, list(names), seed, os.cpu_count()]).encode())
    paths = [
        root / "uv.lock",
        *(root / "src").rglob("*.py"),
        *(root / "config").rglob("*.toml"),
        *(root / "deploy").rglob("*"),
    ]
    for name in names:
        paths.append(root / orchestration.get(name).definition.format(package=PACKAGE, name=pipeline.name))
    for path in sorted(each for each in paths if each.is_file()):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _machine() -> dict[str, Any]:
    return {"processors": os.cpu_count(), "memory_gb": round(psutil.virtual_memory().total / 2**30, 1)}


def _kill(processes: Sequence[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def _service_of(process: psutil.Process) -> str:
    """The name by which supervisord has started it."""
    try:
        return process.environ().get("SUPERVISOR_PROCESS_NAME", "")
    except (psutil.Error, OSError):
        return ""


def _command_line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _proportional_bytes(process: psutil.Process) -> int:
    try:
        return process.memory_full_info().pss
    except (psutil.Error, OSError, AttributeError):
        return 0


def _steal(before: Any, after: Any) -> float:
    total = sum(after) - sum(before)
    return round((getattr(after, "steal", 0.0) - getattr(before, "steal", 0.0)) / total, 3) if total > 0 else 0.0


def _free_port() -> int:
    """One that is free, with the one a thousand below, which some servers take as well."""
    while True:
        with socket.socket() as probe, socket.socket() as below:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
            with suppress(OSError, OverflowError):
                below.bind(("127.0.0.1", port - 1000))
                return port


def _read(line: str) -> dict[str, Any]:
    try:
        read = json.loads(line)
    except ValueError:
        return {}
    return read if isinstance(read, dict) else {}


def _relative(path: Path) -> str:
    return str(path.relative_to(config.load().root))
