"""Configuration: config/base.toml, then config/<env>.toml, then environment variables; the later wins.

APP_ENV picks the environment (default dev). Any value can be overridden by a variable: APP_WAREHOUSE__URL for
``url`` in ``[warehouse]``. An unknown environment or key fails at start and says what to do.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

ENV_PREFIX = "APP_"
Share = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0)]


class ConfigError(Exception):
    """The configuration cannot be used; the message says what to change."""


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Schedule(Section):
    cron: str
    timezone: str


class Paths(Section):
    landing: Path
    state: Path


class Warehouse(Section):
    url: str
    password: str = ""
    memory_limit: str = "128MB"  # what DuckDB may hold, at least 64MB a thread; beyond it works on disk
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


class Quality(Section):
    max_quarantined_share: Share


class Alerts(Section):
    url: str = ""


class Logging(Section):
    format: Literal["console", "json"]
    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"


class Secrets(Section):
    backend: Literal[
        "environment", "aws_secrets_manager", "google_secret_manager", "azure_key_vault", "hashicorp_vault"
    ]
    location: str = ""


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
    quality: Quality
    alerts: Alerts
    logging: Logging
    secrets: Secrets

    @property
    def landing(self) -> Path:
        """Folder the input files land in, one sub-folder a day."""
        return self.root / self.paths.landing

    @property
    def state(self) -> Path:
        """Folder for what this environment keeps on this machine: the DuckDB file, engine state, logs."""
        return self.root / self.paths.state

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
    unknown = _unknown_variables()
    if unknown:
        raise ConfigError(f"unknown variable {unknown[0]}: config/base.toml shows the keys there are")
    try:
        return Settings(env=environment(), root=project_root())
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        variable = ENV_PREFIX + key.replace(".", "__").upper()
        raise ConfigError(
            f"{key}: {first['msg'].lower()}; see config/{environment()}.toml, config/base.toml or {variable}"
        ) from None


def _unknown_variables() -> list[str]:
    """Variables with our prefix that name no setting; left unread, a misspelt override would do nothing."""
    known = {f"{ENV_PREFIX}{name}".upper() for name in Settings.model_fields}
    return sorted(
        name
        for name in os.environ
        if name.startswith(ENV_PREFIX) and name.split("__")[0] not in known and not name.startswith("APP_SECRET_")
    )
