"""dbt, which has an environment of its own: its pins do not go with those of every orchestrator.

`make setup` installs the versions of `environments/dbt/` into `.venv-dbt`. A pipeline that has a folder `dbt/` is a dbt
project. It reaches the warehouse by `dbt_profiles/profiles.yml`, whose variables come from the configuration. dbt
writes into the state of this environment, never into the project.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from filelock import FileLock

from . import config, secrets, warehouse
from .errors import ConfigError, ContractError, PermanentError

if TYPE_CHECKING:
    from .pipelines import Pipeline

PROFILES = Path(__file__).parent / "dbt_profiles"
PROJECT_FILE = "dbt_project.yml"
BROKEN = "broken_lines"  # table beside the landed ones, of lines that cannot be split into fields
MANIFEST = "v12"  # of dbt 1.8 to 1.11
# What may pass when dbt is run again.
PASSING = re.compile(
    r"could not set lock|could not connect|connection (to server .* failed|refused|reset|timed out)|"
    r"server closed the connection|terminating connection|too many (connections|clients)|deadlock detected|"
    r"could not serialize|cannot allocate|no space left",
    re.IGNORECASE,
)
TEXT_LENGTH = 400  # of dbt's own words in a message
DONE = ("success", "pass", "warn", "no-op", "skipped", "fail", "error", "runtime error", "partial success")


@dataclass(frozen=True)
class Node:
    """A model or test of a run of dbt. id: dbt's own, such as ``model.flights_daily.stg_planes``.

    kind: ``model``, ``test``, ``unit_test``, … status: ``started``, or as dbt says: ``success``, ``pass``, ``warn``,
    ``fail``, ``error``, ``skipped``. failures: rows that a test has found, None for a model.
    """

    id: str
    status: str
    seconds: float = 0.0
    message: str = ""
    failures: int | None = None

    @property
    def kind(self) -> str:
        return self.id.split(".")[0]

    @property
    def name(self) -> str:
        """As people write it: ``carrier_daily.v2``, ``not_null_fct_flights_carrier``."""
        parts = self.id.split(".")[2:]
        return ".".join(parts[:1] if self.kind == "test" else parts)

    @property
    def has_failed(self) -> bool:
        return self.status in ("fail", "error", "runtime error")


Watcher = Callable[[Node], None]
Runner = Callable[[Sequence[str]], list[Node]]  # runs dbt with these arguments, and returns `results`


def folder(pipeline: Pipeline) -> Path:
    """The dbt project of a pipeline."""
    return config.PIPELINES / pipeline.name / "dbt"


def is_used_by(pipeline: Pipeline) -> bool:
    return (folder(pipeline) / PROJECT_FILE).is_file()


def schemas(name: str) -> tuple[str, str]:
    """The schemas of a pipeline with models: of its landed rows, dbt's sources, and of what dbt builds.

    Nobody else reads them; `publish` copies what has passed its tests.
    """
    return f"{name}_landed", f"{name}_models"


def landed_schema(pipeline: Pipeline) -> str:
    return schemas(pipeline.name)[0]


def models_schema(pipeline: Pipeline) -> str:
    return schemas(pipeline.name)[1]


def state(pipeline: Pipeline) -> Path:
    return config.load().state / "dbt" / pipeline.name


def executable() -> str:
    """The program: DBT_EXECUTABLE, or that of `.venv-dbt`, or the one on the path. Raises ConfigError without one."""
    given = os.environ.get("DBT_EXECUTABLE")
    path = Path(given) if given else config.load().root / ".venv-dbt" / "bin" / "dbt"
    if os.access(path, os.X_OK):
        return str(path)
    if given:
        raise ConfigError(
            f"DBT_EXECUTABLE={given} is no program: give the path of dbt, or unset it and run: make setup"
        )
    if known := shutil.which("dbt"):
        return known
    raise ConfigError("dbt is not installed: install .venv-dbt with make setup, or set DBT_EXECUTABLE to its path")


def build(
    pipeline: Pipeline, variables: Mapping[str, str], watch: Watcher | None = None, runner: Runner | None = None
) -> list[Node]:
    """Build all models and test their rows. Unit tests judge the code: `make test` runs them.

    watch: gets each node when it starts and when it has ended. runner: runs dbt instead of `run`. Raises ContractError
    when a test fails, PermanentError when a model cannot be built, WarehouseError when it may pass.
    """
    arguments = ["build", "--exclude-resource-type", "unit_test", "--vars", json.dumps(dict(variables))]
    if runner is None:
        nodes = run(pipeline, arguments, watch)
    else:
        with _alone(pipeline):
            _results_file(pipeline).unlink(missing_ok=True)
            nodes = runner(arguments)
    refuse_failures(nodes)
    return nodes


def run(pipeline: Pipeline, arguments: Sequence[str], watch: Watcher | None = None) -> list[Node]:
    """Run dbt and return what became of each node. Raises an error where dbt has not come as far as its nodes."""
    target = state(pipeline) / "target"
    with _alone(pipeline):
        _results_file(pipeline).unlink(missing_ok=True)
        problems: list[str] = []
        started: set[str] = set()
        with _started(pipeline, target, [*arguments, "--log-format", "json"]) as process:
            for line in process.stdout:
                event = _event(line)
                if event.get("info", {}).get("level") == "error":
                    problems.append(event["info"].get("msg", ""))
                node = _node_of(event)
                if watch and node and (node.status != "started" or node.id not in started):
                    started.add(node.id)
                    watch(node)
            code = process.wait()
        return results(pipeline, code, problems[0] if problems else "")


def results(pipeline: Pipeline, code: int, problem: str = "") -> list[Node]:
    """What became of each node of the run that has just ended with this exit code.

    problem: dbt's own words, for the error where it has not come as far as its nodes.
    """
    if _results_file(pipeline).is_file():
        return _read_results(_results_file(pipeline))
    if code == 0:
        return []
    raise _error(problem or f"dbt has ended with exit code {code}; see {state(pipeline)}/dbt.log")


def refuse_failures(nodes: Sequence[Node]) -> None:
    """Raise the error that stands for the nodes that have failed, if any has."""
    failed = [node for node in nodes if node.has_failed]
    for node in failed:
        if node.status != "fail":
            raise _error(f"{node.kind} {node.name} cannot be built: {node.message}")
    code = [node for node in failed if node.kind == "unit_test"]
    if code:
        raise PermanentError(f"{_listed(code)} of the unit tests fail; the models do not do what these say")
    if failed:
        tests = sum(node.kind == "test" for node in nodes)
        raise ContractError(f"{len(failed)} of {tests} tests fail: {_listed(failed)}; nothing was published")


def manifest(pipeline: Pipeline) -> Path:
    """dbt's manifest of the project as it stands. It is parsed again when a file has changed since, in seconds."""
    target = state(pipeline) / "parsed"
    path, stamp = target / "manifest.json", target / "stamp"
    wanted = _fingerprint(pipeline)
    if not (path.is_file() and stamp.is_file() and stamp.read_text() == wanted):
        with _alone(pipeline):
            problems = []
            with _started(pipeline, target, ["parse", "--log-format", "json"]) as process:
                for line in process.stdout:
                    event = _event(line)
                    if event.get("info", {}).get("level") == "error":
                        problems.append(event["info"].get("msg", ""))
                code = process.wait()
            if code:
                raise _error(problems[0] if problems else f"dbt parse has ended with exit code {code}")
            stamp.write_text(wanted)
    return path


def read_manifest(path: Path) -> dict[str, Any]:
    """A manifest. Raises ConfigError when it is none, or of a version that this code does not know."""
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
        version, writer = read["metadata"]["dbt_schema_version"], read["metadata"].get("dbt_version", "?")
    except (OSError, ValueError, KeyError, TypeError):
        raise ConfigError(f"{path} is no manifest of dbt: delete it, and it is written again") from None
    given = version.rsplit("/", 1)[-1].removesuffix(".json")
    if given != MANIFEST:
        raise ConfigError(
            f"{path} is a manifest {given} of dbt {writer}, and this project reads {MANIFEST}: "
            "install the dbt of environments/dbt/pyproject.toml with make setup, and delete the file"
        )
    return read


def by_hand(pipeline: Pipeline, arguments: Sequence[str]) -> int:
    """Run dbt as a person would, its output going to this terminal. Returns its exit code."""
    with _alone(pipeline):
        command = _command(pipeline, state(pipeline) / "target", arguments)
        return subprocess.run(command, env=environment(pipeline), check=False).returncode


def environment(pipeline: Pipeline) -> dict[str, str]:
    """The variables of `dbt_profiles/profiles.yml` and of dbt itself, over those of this process."""
    settings = config.load()
    parts = urlsplit(settings.warehouse.url)
    own = {
        "DBT_LANDED_SCHEMA": landed_schema(pipeline),
        "DBT_SCHEMA": models_schema(pipeline),
        "DBT_THREADS": str(settings.warehouse.threads),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "DO_NOT_TRACK": "1",
        "DBT_USE_COLORS": "false",
        "DBT_LOG_PATH": str(state(pipeline)),
    }
    if parts.scheme == "duckdb":
        path = warehouse.duckdb_path(settings)
        path.parent.mkdir(parents=True, exist_ok=True)
        own |= {"DBT_WAREHOUSE": "duckdb", "DBT_DUCKDB_PATH": str(path)}
        own["DBT_MEMORY_LIMIT"] = settings.warehouse.memory_limit
    else:
        password = secrets.resolve(settings.warehouse.password, settings.secrets) or parts.password or ""
        own |= {
            "DBT_WAREHOUSE": "postgres",
            "DBT_HOST": parts.hostname or "localhost",
            "DBT_PORT": str(parts.port or 5432),
        }
        own |= {"DBT_USER": parts.username or "", "DBT_DATABASE": parts.path.lstrip("/")}
        own["DBT_ENV_SECRET_PASSWORD"] = password
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("DBT_", "PYTHON", "VIRTUAL_"))
    }
    return inherited | own


def _command(pipeline: Pipeline, target: Path, arguments: Sequence[str]) -> list[str]:
    if not is_used_by(pipeline):
        raise ConfigError(
            f"{pipeline.name} has no dbt project: pipelines/{pipeline.name}/dbt/{PROJECT_FILE} is missing"
        )
    places = ["--project-dir", str(folder(pipeline)), "--profiles-dir", str(PROFILES), "--target-path", str(target)]
    return [executable(), *arguments, *places]


@contextmanager
def _started(pipeline: Pipeline, target: Path, arguments: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    """dbt as a process that does not outlive the body, which may be ended by a time-out."""
    command = _command(pipeline, target, arguments)
    process = subprocess.Popen(
        command, env=environment(pipeline), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stdout.close()


@contextmanager
def _alone(pipeline: Pipeline) -> Iterator[None]:
    """One dbt at a time on this machine: they share the folder that dbt writes to, and a DuckDB file has one writer."""
    state(pipeline).mkdir(parents=True, exist_ok=True)
    with FileLock(state(pipeline) / "dbt.lock"):
        yield


def _results_file(pipeline: Pipeline) -> Path:
    return state(pipeline) / "target" / "run_results.json"


def _event(line: str) -> dict[str, Any]:
    try:
        event = json.loads(line)
    except ValueError:
        return {"info": {"level": "error", "msg": line}} if "Error" in line else {}
    return event if isinstance(event, dict) else {}


def _node_of(event: Mapping[str, Any]) -> Node | None:
    info = (event.get("data") or {}).get("node_info") or {}
    status = str(info.get("node_status", "")).lower()
    if not info.get("unique_id") or status not in ("started", *DONE):
        return None
    seconds = float(event["data"].get("execution_time") or 0)
    return Node(info["unique_id"], status, seconds, _short(str(event["info"].get("msg", ""))))


def _read_results(path: Path) -> list[Node]:
    read = json.loads(path.read_text(encoding="utf-8"))
    return [
        Node(
            id=each["unique_id"],
            status=str(each["status"]).lower(),
            seconds=each.get("execution_time") or 0.0,
            message=_short(each.get("message") or ""),
            failures=each.get("failures"),
        )
        for each in read["results"]
    ]


def _error(words: str) -> Exception:
    kind = warehouse.WarehouseError if PASSING.search(words) else PermanentError
    return kind(_short(words))


def _short(words: str) -> str:
    line = " ".join(words.split()).removeprefix("Encountered an error: ")
    return line if len(line) <= TEXT_LENGTH else f"{line[:TEXT_LENGTH]}…"


def _listed(nodes: Sequence[Node]) -> str:
    shown = [f"{node.name} ({node.failures:,} rows)" if node.failures else node.name for node in nodes[:3]]
    return ", ".join(shown) + (f" and {len(nodes) - 3} more" if len(nodes) > 3 else "")


def _fingerprint(pipeline: Pipeline) -> str:
    """Of the project's files, the program and this Python, which the manifest depends on."""
    digest = sha256(
        f"{executable()} {sys.version} {models_schema(pipeline)} {environment(pipeline)['DBT_WAREHOUSE']}".encode()
    )
    top = folder(pipeline)
    for path in sorted(
        each for each in top.rglob("*") if each.is_file() and each.suffix in (".sql", ".yml", ".yaml", ".csv", ".md")
    ):
        digest.update(str(path.relative_to(top)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()
