"""Configuration: config/base.toml, then config/<env>.toml, then environment variables; the later wins.

config/pipelines/<name>.toml holds what differs for one pipeline. Its ``[env.<env>]`` holds in that environment only.
APP_ENV picks the environment (default dev). Any value can be overridden by a variable: APP_WAREHOUSE__URL for
``url`` in ``[warehouse]``. An unknown environment or key fails at start and says what to do.
"""

from __future__ import annotations

import os
import random
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from .errors import ConfigError

ENV_PREFIX = "APP_"
SECRET_PREFIX = "APP_SECRET_"  # noqa: S105  of the variables that hold secrets, see secrets.py
REFERENCE = "secret:"
PIPELINES = Path(__file__).parents[1] / "pipelines"


def _reference(value: str) -> str:
    if value and not value.startswith(REFERENCE):
        raise ValueError(f"write a reference such as {REFERENCE}prod-name, the secret itself belongs in the backend")
    return value


def _without_password(url: str) -> str:
    if urlsplit(url).password:
        raise ValueError(f"it holds a password; take it out and refer to it in password as {REFERENCE}NAME")
    return url


def _page_address(url: str) -> str:
    try:
        url.format(start="", end="", key="")
    except (ValueError, LookupError):
        raise ValueError("in braces it takes {start}, {end} and {key} only, which are of the partition") from None
    return url


Share = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Limit = Annotated[int, Field(ge=1)]
Reference = Annotated[str, AfterValidator(_reference)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


SectionT = TypeVar("SectionT", bound=Section)


class Schedule(Section):
    """cron: five fields; empty when no schedule starts the pipeline."""

    cron: str = ""
    timezone: str

    @field_validator("timezone")
    @classmethod
    def _known(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError(f"there is no time zone {name!r}: write one such as Europe/Berlin or UTC") from None
        return name


class Landing(Section):
    """url: a folder of this machine, relative to the project, or ``s3://``, ``gs://`` or ``az://``.

    It holds a folder for each partition. marker: the file in it that says that the partition's input is complete.
    """

    url: str = ""
    marker: str = "_SUCCESS"


class Api(Section):
    """The API that a pipeline's input comes from; with no url nothing is asked, and what has landed counts.

    url: of the first page; ``{start}``, ``{end}`` and ``{key}`` are the partition's. token: sent as a bearer token.
    per_second: requests. most_pages: of one partition.
    """

    url: Annotated[str, AfterValidator(_page_address)] = ""
    token: Reference = ""
    per_second: float = Field(default=5, gt=0)
    most_pages: Limit = 10_000


class Delivery(Section):
    """Where a pipeline's files for others go: a place such as that of `Landing`, with a folder for each partition."""

    url: str = ""


class Paths(Section):
    state: Path


class Warehouse(Section):
    url: Annotated[str, AfterValidator(_without_password)]
    password: Reference = ""
    memory_limit: str = "128MB"  # what DuckDB may hold, at least 64MB a thread; beyond it works on disk
    threads: int = Field(default=2, ge=1)
    lock_timeout_seconds: Seconds = 60

    @property
    def is_file(self) -> bool:
        """Whether it is a DuckDB file, which is one machine's and has one writer at a time."""
        return self.url.startswith("duckdb:")


class InputWait(Section):
    poll_seconds: Seconds
    timeout_seconds: Seconds


class LateInput(Section):
    """What becomes of a published partition whose input has changed. republish: run it again, without being asked.

    check_seconds: between two looks for that, and for what other projects have published.
    """

    republish: bool = False
    check_seconds: float = Field(default=300, ge=1, allow_inf_nan=False)


class Retries(Section):
    attempts: int = Field(ge=0)
    first_delay_seconds: Seconds
    factor: float = Field(ge=1)
    max_delay_seconds: Seconds
    jitter: Share = 0.2

    def delay(self, attempt: int, source: random.Random | None = None) -> float:
        """Seconds to wait after that attempt, counted from 1: growing, capped, then spread by the jitter either way.

        source: of random numbers, Python's own by default.
        """
        # Overflows only beyond attempts that nobody waits for.
        delay = min(self.first_delay_seconds * self.factor ** min(attempt - 1, 100), self.max_delay_seconds)
        return delay * (source or random).uniform(1 - self.jitter, 1 + self.jitter)


class Quality(Section):
    """What a partition must be like to be published. min_rows, max_rows: of what the contract accepts."""

    max_quarantined_share: Share
    min_rows: int = Field(default=0, ge=0)
    max_rows: int | None = Field(default=None, ge=0)


class Approval(Section):
    """What a pipeline that waits for a person's decision needs. deciders: who may decide, by their names of login."""

    deciders: list[str] = []
    remind_after_seconds: Seconds = 86_400
    expire_after_seconds: Seconds = 259_200
    poll_seconds: Seconds = 30


class Model(Section):
    """What a pipeline that trains models needs: the limits of the gate, and the registry.

    min_auc: of a model that is promoted. tolerance: how much lower it may be than that of the model in use. max_drift:
    population stability index of a feature. min_rows: of an item that gets a model. registry_url: empty for a file.
    runner: the command that trains an item elsewhere, see `elsewhere`; empty: here.
    """

    min_auc: Share = 0.6
    tolerance: Share = 0.01
    max_drift: float = Field(default=0.25, ge=0)
    min_rows: int = Field(default=500, ge=1)
    registry_url: Annotated[str, AfterValidator(_without_password)] = ""
    registry_token: Reference = ""
    runner: str = ""


class Receivers(Section):
    url: Reference | list[Reference] = ""

    @property
    def urls(self) -> list[str]:
        """References to the addresses to report to."""
        return [url for url in ([self.url] if isinstance(self.url, str) else self.url) if url]


class Alerts(Receivers):
    runbook_url: str = "docs/runbook.md"
    report_url: str = ""


class Notify(Receivers):
    """Who gets a notice that a partition is published. republished: also when another run publishes it again."""

    republished: bool = False


class Metrics(Section):
    pushgateway_url: str = ""


class Telemetry(Section):
    otlp_endpoint: str = ""


class Lineage(Section):
    """openlineage: where events of runs go: ``file``, or the address of a server; empty for nowhere."""

    openlineage: str = ""
    api_key: Reference = ""

    @field_validator("openlineage")
    @classmethod
    def _address(cls, wanted: str) -> str:
        parts = urlsplit(wanted)
        if wanted in ("", "file") or (parts.scheme in ("http", "https") and parts.hostname and not parts.username):
            return wanted
        raise ValueError('write "file", or the address of a server such as http://localhost:5000, without a login')


class Logging(Section):
    format: Literal["console", "json"]
    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"


class Retention(Section):
    """days: how long history is kept, 0 for ever; may be a fraction."""

    days: float = Field(default=0, ge=0, le=36500, allow_inf_nan=False)


class Secrets(Section):
    backend: Literal[
        "environment", "aws_secrets_manager", "google_secret_manager", "azure_key_vault", "hashicorp_vault"
    ]
    location: str = ""
    endpoint: str = ""


class Step(Section):
    """What holds for one step."""

    timeout_seconds: Seconds
    retries: Retries


class Provider(Section):
    """A table that another pipeline publishes. pipeline: which one.

    Of another project: its name, its warehouse, and the version of the table's contract that is relied on. All three
    are empty for a pipeline of this project.
    """

    project: str = ""
    warehouse: Annotated[str, AfterValidator(_without_password)] = ""
    password: Reference = ""
    pipeline: str
    table: str
    contract: str = ""

    @property
    def is_own(self) -> bool:
        """Whether a pipeline of this project publishes it."""
        return not self.warehouse

    @model_validator(mode="after")
    def _complete(self) -> Provider:
        if len({bool(self.project), bool(self.warehouse), bool(self.contract)}) > 1:
            raise ValueError("give project, warehouse and contract of another project's table, or none of them")
        return self


class Pipeline(Section):
    """What holds for one pipeline, and the steps of it that differ. orchestrator: the one that schedules it."""

    orchestrator: str
    landing: Landing = Landing()
    api: Api = Api()
    delivery: Delivery = Delivery()
    approval: Approval = Approval()
    model: Model = Model()
    providers: dict[str, Provider] = {}
    schedule: Schedule
    input_wait: InputWait
    late_input: LateInput = LateInput()
    retries: Retries
    step_timeout_seconds: Seconds
    sla_seconds: Seconds
    quality: Quality
    alerts: Alerts
    notify: Notify = Notify()
    steps: dict[str, Step] = {}

    @property
    def agreed(self) -> dict[str, Provider]:
        """The providers in other projects, with which contracts are agreed."""
        return {name: each for name, each in self.providers.items() if not each.is_own}

    @property
    def is_landed(self) -> bool:
        """Whether others put the input into the landing place, whenever they have it."""
        return bool(self.landing.url) and not self.api.url


# What each pipeline says itself; it takes the rest from the settings of all unless it says otherwise.
OWN = ("steps", "landing", "api", "delivery", "approval", "model", "providers")
INHERITED = tuple(name for name in Pipeline.model_fields if name not in OWN)


class Settings(BaseSettings):
    """All settings of one environment. Durations in seconds, shares between 0 and 1."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True, toml_file=None
    )

    env: str
    root: Path
    orchestrator: str
    schedule: Schedule
    paths: Paths
    warehouse: Warehouse
    input_wait: InputWait
    late_input: LateInput = LateInput()
    retries: Retries
    step_timeout_seconds: Seconds
    sla_seconds: Seconds
    concurrency: dict[str, Limit]
    quality: Quality
    alerts: Alerts = Alerts()
    notify: Notify = Notify()
    metrics: Metrics = Metrics()
    telemetry: Telemetry = Telemetry()
    lineage: Lineage = Lineage()
    logging: Logging
    retention: Retention = Retention()
    secrets: Secrets
    orchestrators: dict[str, dict[str, Any]] = {}  # what one of them alone needs; its own package checks it
    pipelines: dict[str, Pipeline] = {}

    def for_pipeline(self, name: str) -> Pipeline:
        """Settings of a pipeline: those of all, with what config/pipelines/<name>.toml says instead."""
        return self.pipelines.get(name) or Pipeline(**{key: getattr(self, key) for key in INHERITED})

    def for_step(self, pipeline: str, step: str) -> Step:
        """Settings of a step: those of its pipeline, with what ``[steps.<step>]`` says instead."""
        whole = self.for_pipeline(pipeline)
        return whole.steps.get(step) or Step(timeout_seconds=whole.step_timeout_seconds, retries=whole.retries)

    @property
    def state(self) -> Path:
        """Folder for what this environment keeps on this machine: the DuckDB file, engine state, logs, metrics."""
        return self.root / self.paths.state

    @model_validator(mode="before")
    @classmethod
    def _inherit(cls, given: dict[str, Any]) -> dict[str, Any]:
        """Complete the sections of pipelines and steps with what they do not say."""
        of_all = {key: given[key] for key in INHERITED if key in given}
        pipelines = given.get("pipelines", {})
        for name, own in pipelines.items() if isinstance(pipelines, dict) else ():
            whole = _merged(of_all, own)
            if isinstance(whole, dict) and isinstance(whole.get("steps"), dict):
                of_steps = {"timeout_seconds": whole.get("step_timeout_seconds"), "retries": whole.get("retries")}
                whole["steps"] = {step: _merged(of_steps, more) for step, more in whole["steps"].items()}
            pipelines = {**pipelines, name: whole}
        return {**given, "pipelines": pipelines}

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        files = TomlConfigSettingsSource(settings_cls, _config_files(), deep_merge=True)
        return init_settings, env_settings, InitSettingsSource(settings_cls, {"pipelines": _pipeline_files()}), files


# pydantic merges sources like this as well, but offers no function for it.
def _merged(base: Any, over: Any) -> Any:
    """Nested dictionaries as one, the second winning; anything else than dictionaries is replaced."""
    if not (isinstance(base, dict) and isinstance(over, dict)):
        return over
    return {**base, **{key: _merged(base.get(key), value) for key, value in over.items()}}


def project_root() -> Path:
    """The project's folder: APP_ROOT, or else the checkout that holds this file."""
    return Path(os.environ.get("APP_ROOT") or Path(__file__).parents[3]).resolve()


def environment() -> str:
    return os.environ.get("APP_ENV") or "dev"


def _config_files() -> list[Path]:
    folder = project_root() / "config"
    if not (folder / "base.toml").is_file():
        raise ConfigError(f"no config/base.toml in {project_root()}: set APP_ROOT to the project's folder")
    if environment() not in environments():
        raise ConfigError(f"unknown environment {environment()!r} in APP_ENV: use one of {', '.join(environments())}")
    return [folder / "base.toml", folder / f"{environment()}.toml"]


def environments() -> list[str]:
    """Names of the environments: those with a file in config/."""
    return sorted(path.stem for path in (project_root() / "config").glob("*.toml") if path.stem != "base")


def pipeline_names() -> list[str]:
    """Names of the pipelines: the packages in ``pipelines/``."""
    return sorted(path.parent.name for path in PIPELINES.glob("*/__init__.py"))


def _pipeline_files() -> dict[str, Any]:
    """What config/pipelines/ says in this environment, by pipeline."""
    settings = {}
    for file in sorted((project_root() / "config" / "pipelines").glob("*.toml")):
        shown = file.relative_to(project_root())
        try:
            content = tomllib.loads(file.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{shown} is not valid TOML: {error}") from None
        by_environment = content.pop("env", {})
        for name in by_environment:
            if name not in environments():
                raise ConfigError(f"{shown}: [env.{name}] is not an environment; {suggestion(name, environments())}")
        settings[file.stem] = _merged(content, by_environment.get(environment(), {}))
    return settings


@lru_cache(maxsize=1)
def load() -> Settings:
    """Settings of the environment in APP_ENV, read once per process.

    Raises ConfigError, naming key and fix, when a file or variable does not fit.
    """
    _refuse_unknown_variables()
    try:
        settings = Settings(env=environment(), root=project_root())
    except ValidationError as error:
        raise ConfigError(_message(error)) from None
    except SettingsError as error:
        raise ConfigError(f"{error}: give single values, such as {ENV_PREFIX}WAREHOUSE__URL") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"config/base.toml or config/{environment()}.toml is not valid TOML: {error}") from None
    _refuse_unknown_pipelines(settings.pipelines)
    return settings


def orchestrator(name: str, section: type[SectionT]) -> SectionT:
    """The settings that one orchestrator alone needs, ``[orchestrators.<name>]``. section: what it may hold.

    Raises ConfigError, naming key and fix.
    """
    try:
        return section.model_validate(load().orchestrators.get(name, {}))
    except ValidationError as error:
        raise ConfigError(_message(error, section, "orchestrators", name)) from None


def _message(error: ValidationError, section: type[BaseModel] = Settings, *place: str) -> str:
    """The first mistake, where it may be, and what to write. place: the keys that lead to the section."""
    first = error.errors(include_input=False)[0]
    within = [str(part) for part in first["loc"] if str(part).replace("-", "_").isidentifier()]  # the rest are types
    path = [*place, *within]
    variable = f"{ENV_PREFIX}{'__'.join(path).upper()}"
    if path[0] == "pipelines" and len(path) > 1:
        key, places = ".".join(path[2:]), f"config/pipelines/{path[1]}.toml or {variable}"
    else:
        key, places = ".".join(path), f"config/{environment()}.toml, config/base.toml or {variable}"
    if first["type"] == "extra_forbidden":
        return f"unknown key {key} in {places}: {suggestion(path[-1], _keys_beside(section, within))}"
    problem = first["msg"].removeprefix("Value error, ")
    return f"{key}: {problem[0].lower()}{problem[1:]}; see {places}"


def _keys_beside(section: Any, path: Sequence[str]) -> list[str]:
    """The keys beside the last one of this path from the section."""
    for part in path[:-1]:
        section = get_args(section)[1] if get_origin(section) is dict else section.model_fields[part].annotation
    return sorted(section.model_fields)


def suggestion(given: str, known: Sequence[str]) -> str:
    """What to write instead of a name that does not exist."""
    return _likely(given, known) or f"use one of {', '.join(known) or 'none'}"


def meant(given: str, known: Iterable[str]) -> str:
    """The end of a sentence about a name that does not exist; empty when there is no name like it."""
    likely = _likely(given, known)
    return f"; {likely}" if likely else ""


def _likely(given: str, known: Iterable[str]) -> str:
    close = get_close_matches(given, list(known), n=1)
    return f"did you mean {close[0]}?" if close else ""


def _refuse_unknown_variables() -> None:
    """Refuse a variable with our prefix that names no setting, because a misspelt override would do nothing."""
    known = [f"{ENV_PREFIX}{name}".upper() for name in Settings.model_fields]
    for name in sorted(os.environ):
        if name.startswith(ENV_PREFIX) and not name.startswith(SECRET_PREFIX) and name.split("__")[0] not in known:
            raise ConfigError(
                f"unknown variable {name}: {suggestion(name.split('__')[0], known)} config/base.toml shows the keys"
            )


def _refuse_unknown_pipelines(given: Mapping[str, Pipeline]) -> None:
    """Refuse settings of a pipeline or step that does not exist, because they would do nothing."""
    from . import pipelines  # which reads the configuration

    for name, own in given.items():
        if name not in pipeline_names():
            file = f"config/pipelines/{name}.toml"
            if not (project_root() / file).is_file():
                file = f"pipelines.{name} in config/{environment()}.toml, config/base.toml or a variable"
            raise ConfigError(f"{file}: there is no pipeline {name}; {suggestion(name, pipeline_names())}")
        for step in own.steps:
            if step not in (steps := pipelines.get(name).steps):
                raise ConfigError(f"config/pipelines/{name}.toml: there is no step {step}; {suggestion(step, steps)}")
