"""Pipelines: each declares itself once, as data, and everything else reads that.

``pipelines/<name>/__init__.py`` holds the declaration as ``PIPELINE``; ``pipelines/<name>/steps.py`` has a function for
each step, which takes the partition and returns its rows by kind. Nothing here knows a pipeline by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from importlib import import_module
from types import ModuleType

from . import config
from .errors import ConfigError
from .partitions import Calendar, Grain, Partition

PACKAGE = __name__.split(".")[0]
Rows = Mapping[str, int]


@dataclass(frozen=True)
class Pipeline:
    """A pipeline's declaration.

    steps: in the order they run; the last one publishes. tables: what it publishes, the checked one first.
    partition_column: of every table: a local date, or for hours a timestamp in UTC; empty without partitions.
    shape: what kind of pipeline it is, such as ``batch_etl``. held_step: the step that a run may take only when a
    person has approved what the steps before it have prepared; empty when none waits. mapped_steps: those that an
    engine may run once for each item that a partition turns out to hold; they take the item beside the partition, and
    without one work on each in turn.
    """

    name: str
    grain: Grain
    steps: tuple[str, ...]
    tables: tuple[str, ...]
    shape: str
    partition_column: str = ""
    held_step: str = ""
    mapped_steps: tuple[str, ...] = ()

    @property
    def asking_step(self) -> str:
        """The step that asks people for the decision that the held step waits for; empty when none waits."""
        return self.steps[self.steps.index(self.held_step) - 1] if self.held_step else ""

    @property
    def settings(self) -> config.Pipeline:
        return config.load().for_pipeline(self.name)

    @property
    def calendar(self) -> Calendar:
        return Calendar(self.grain, self.settings.schedule.timezone)

    @property
    def module(self) -> str:
        return f"{PACKAGE}.pipelines.{self.name}"

    @cached_property
    def code(self) -> ModuleType:
        """The module with the functions of the steps."""
        return import_module(f"{self.module}.steps")

    def partition(self, key: str) -> Partition:
        """The partition with this key. Raises ConfigError when the key is wrong."""
        return self.calendar.parse(key)

    def due(self, tick: datetime | None = None) -> Partition:
        """The partition that a tick of the schedule is for; that of this moment by default."""
        return self.calendar.due(tick or datetime.now(UTC))

    def step(self, name: str) -> Callable[[Partition], Rows]:
        """The function of a step. Raises ConfigError when the step does not exist."""
        function = getattr(self.code, name, None) if name in self.steps else None
        if function is None:
            raise ConfigError(f"{self.name} has no step {name}: {config.suggestion(name, self.steps)}")
        return function


def names() -> list[str]:
    """Names of the project's pipelines: the folders in ``pipelines/``."""
    return config.pipeline_names()


def get(name: str) -> Pipeline:
    """The pipeline of this name. Raises ConfigError, which names the pipelines, when it does not exist."""
    if name not in names():
        raise ConfigError(f"there is no pipeline {name}: {config.suggestion(name, names())}")
    try:
        declared = getattr(import_module(f"{PACKAGE}.pipelines.{name}"), "PIPELINE", None)
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith(f"{PACKAGE}.platform."):
            raise
        raise ConfigError(
            f"pipelines/{name} needs {error.name}, which only projects have whose orchestrators run such pipelines: "
            "delete the pipeline, or add such an orchestrator: make update ANSWERS='also_orchestrators=[...]'"
        ) from error
    if not isinstance(declared, Pipeline) or declared.name != name:
        raise ConfigError(f'pipelines/{name}/__init__.py must declare PIPELINE = Pipeline(name="{name}", ...)')
    return declared


def all() -> list[Pipeline]:  # noqa: A001  read as pipelines.all()
    return [get(name) for name in names()]


def chosen(name: str | None) -> Pipeline:
    """The pipeline of this name; without a name the only one there is. Raises ConfigError."""
    if name:
        return get(name)
    known = names()
    if not known:
        raise ConfigError("this project has no pipeline yet: make pipeline NAME=... SAMPLE=FILE makes one")
    if len(known) > 1:
        raise ConfigError(f"say which pipeline with PIPELINE=NAME; there are {', '.join(known)}")
    return get(known[0])


def run_steps(pipeline: Pipeline, partition: Partition) -> dict[str, Rows]:
    """Run the steps of a partition in this process, without an orchestrator, up to the one that waits for a decision.

    Returns the rows of each step.
    """
    return {name: pipeline.step(name)(partition) for name in pipeline.steps if name != pipeline.held_step}
