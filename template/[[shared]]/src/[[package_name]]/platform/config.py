"""Configuration: config/base.toml, then config/<env>.toml, then environment variables; the later wins.

APP_ENV picks the environment (default dev). Any value can be overridden by a variable: APP_WAREHOUSE__URL for
``url`` in ``[warehouse]``. An unknown environment or key fails at start and says what to do.
"""

from __future__ import annotations

import os
import random
import re
import tomllib
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
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
        raise ValueError(f"write a reference such as {REFERENCE}prod-name, the secret itself belongs into the backend")
    return value


def _without_password(url: str) -> str:
    if urlsplit(url).password:
        raise ValueError(f"it holds a password; take it out and refer to it in warehouse.password as {REFERENCE}NAME")
    return url


Share = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Limit = Annotated[int, Field(ge=1)]
Reference = Annotated[str, AfterValidator(_reference)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Schedule(Section):
    cron: str
    timezone: str


class Paths(Section):
    landing: Path
    state: Path


class Warehouse(Section):
    url: Annotated[str, AfterValidator(_without_password)]
    password: Reference = ""
    memory_limit: str = "512MB"
    threads: int = Field(default=2, ge=1)
    lock_timeout_seconds: Seconds = 60


class InputWait(Section):
    poll_seconds: Seconds
    timeout_seconds: Seconds


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
    max_quarantined_share: Share


class Alerts(Section):
    url: Reference | list[Reference] = ""
    runbook_url: str = "docs/runbook.md"

    @property
    def urls(self) -> list[str]:
        """References to the addresses to report to."""
        return [url for url in ([self.url] if isinstance(self.url, str) else self.url) if url]


class Metrics(Section):
    pushgateway_url: str = ""


class Logging(Section):
    format: Literal["console", "json"]
    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"


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


class Pipeline(Section):
    """What holds for one pipeline, and the steps of it that differ."""

    schedule: Schedule
    input_wait: InputWait
    retries: Retries
    step_timeout_seconds: Seconds
    sla_seconds: Seconds
    quality: Quality
    alerts: Alerts
    steps: dict[str, Step] = {}


# What a pipeline takes from the settings of all unless it says otherwise.
INHERITED = tuple(name for name in Pipeline.model_fields if name != "steps")


class Settings(BaseSettings):
    """All settings of one environment. Durations in seconds, shares between 0 and 1."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True, toml_file=None
    )

    env: str
    root: Path
    schedule: Schedule
    paths: Paths
    warehouse: Warehouse
    input_wait: InputWait
    retries: Retries
    step_timeout_seconds: Seconds
    sla_seconds: Seconds
    concurrency: dict[str, Limit]
    quality: Quality
    alerts: Alerts = Alerts()
    metrics: Metrics = Metrics()
    logging: Logging
    secrets: Secrets
    pipelines: dict[str, Pipeline] = {}

    def for_pipeline(self, name: str) -> Pipeline:
        """Settings of a pipeline: those of all, with what ``[pipelines.<name>]`` says instead."""
        return self.pipelines.get(name) or Pipeline(**{key: getattr(self, key) for key in INHERITED})

    def for_step(self, pipeline: str, step: str) -> Step:
        """Settings of a step: those of its pipeline, with what ``[pipelines.<name>.steps.<step>]`` says instead."""
        whole = self.for_pipeline(pipeline)
        return whole.steps.get(step) or Step(timeout_seconds=whole.step_timeout_seconds, retries=whole.retries)

    @property
    def landing(self) -> Path:
        """Folder the input files land in, one sub-folder a day."""
        return self.root / self.paths.landing

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
        return init_settings, env_settings, files


def _merged(base: Any, over: Any) -> Any:
    """Nested dictionaries as one, the second winning; anything else than dictionaries is replaced."""
    if not (isinstance(base, dict) and isinstance(over, dict)):
        return over
    return {**base, **{key: _merged(base.get(key), value) for key, value in over.items()}}


def project_root() -> Path:
    """The project's folder: APP_ROOT, else the checkout this file stands in."""
    return Path(os.environ.get("APP_ROOT") or Path(__file__).parents[3]).resolve()


def environment() -> str:
    return os.environ.get("APP_ENV") or "dev"


def _config_files() -> list[Path]:
    folder = project_root() / "config"
    if not (folder / "base.toml").is_file():
        raise ConfigError(f"no config/base.toml in {project_root()}: set APP_ROOT to the project's folder")
    known = sorted(path.stem for path in folder.glob("*.toml") if path.stem != "base")
    if environment() not in known:
        raise ConfigError(f"unknown environment {environment()!r} in APP_ENV: use one of {', '.join(known)}")
    return [folder / "base.toml", folder / f"{environment()}.toml"]


@lru_cache(maxsize=1)
def load() -> Settings:
    """Settings of the environment in APP_ENV, read once per process.

    Raises ConfigError, naming key and fix, when a file or variable does not fit.
    """
    _refuse_unknown_variables()
    try:
        settings = Settings(env=environment(), root=project_root())
    except ValidationError as error:
        raise ConfigError(_told(error)) from None
    except SettingsError as error:
        raise ConfigError(f"{error}: give single values, such as {ENV_PREFIX}WAREHOUSE__URL") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"config/base.toml or config/{environment()}.toml is not valid TOML: {error}") from None
    _refuse_unknown_pipelines(settings.pipelines)
    return settings


def _told(error: ValidationError) -> str:
    """The first mistake, where it may stand, and what to write."""
    first = error.errors(include_input=False)[0]
    path = [str(part) for part in first["loc"] if str(part).replace("-", "_").isidentifier()]  # the rest are types
    key = ".".join(path)
    places = f"config/{environment()}.toml, config/base.toml or {ENV_PREFIX}{'__'.join(path).upper()}"
    if first["type"] == "extra_forbidden":
        return f"unknown key {key} in {places}: {_suggestion(path[-1], _keys_beside(path))}"
    problem = first["msg"].removeprefix("Value error, ")
    return f"{key}: {problem[0].lower()}{problem[1:]}; see {places}"


def _keys_beside(path: Sequence[str]) -> list[str]:
    """The keys there are in the section that the key of this path stands in."""
    section: Any = Settings
    for part in path[:-1]:
        section = get_args(section)[1] if get_origin(section) is dict else section.model_fields[part].annotation
    return sorted(section.model_fields)


def _suggestion(given: str, known: Sequence[str]) -> str:
    close = get_close_matches(given, known, n=1)
    return f"did you mean {close[0]}?" if close else f"use one of {', '.join(known)}"


def _refuse_unknown_variables() -> None:
    """A variable with our prefix that names no setting: left unread, a misspelt override would do nothing."""
    known = [f"{ENV_PREFIX}{name}".upper() for name in Settings.model_fields]
    for name in sorted(os.environ):
        if name.startswith(ENV_PREFIX) and not name.startswith(SECRET_PREFIX) and name.split("__")[0] not in known:
            raise ConfigError(
                f"unknown variable {name}: {_suggestion(name.split('__')[0], known)} config/base.toml shows the keys"
            )


def _refuse_unknown_pipelines(given: Mapping[str, Pipeline]) -> None:
    """A pipeline or step that is not there: what is said about it would do nothing."""
    known = sorted(path.stem for path in PIPELINES.iterdir() if not path.name.startswith(("_", ".")))
    for name, pipeline in given.items():
        if name not in known:
            raise ConfigError(f"pipelines.{name}: there is no such pipeline; {_suggestion(name, known)}")
        file = PIPELINES / name / "steps.py"
        if not file.is_file():
            continue
        steps = re.findall(r"^def ([a-z]\w*)\(", file.read_text(encoding="utf-8"), re.MULTILINE)
        for step in pipeline.steps:
            if step not in steps:
                raise ConfigError(f"pipelines.{name}.steps.{step}: there is no such step; {_suggestion(step, steps)}")
