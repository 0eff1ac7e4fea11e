"""Settings, as the template writes them."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

Seconds = Annotated[float, Field(ge=0)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Warehouse(Section):
    url: str
    password: str = ""
    threads: int = Field(default=2, ge=1)


class Retries(Section):
    attempts: int = Field(ge=0)
    first_delay_seconds: Seconds


class Step(Section):
    timeout_seconds: Seconds | None = None
    retries: Retries | None = None


class Pipeline(Section):
    sla_seconds: Seconds | None = None
    steps: dict[str, Step] = Field(default_factory=dict)


class Labels(BaseModel):
    model_config = ConfigDict(extra="allow")
    team: str = ""


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="SHOP_", env_nested_delimiter="__", extra="forbid")

    env: str
    root: Path
    warehouse: Warehouse
    retries: Retries
    labels: Labels = Labels()
    logging: Literal["json", "console"] = "json"
    pipelines: dict[str, Pipeline] = Field(default_factory=dict)
    step_timeout_seconds: Seconds


def load() -> Settings:
    return Settings(env="dev", root=Path())
