"""The definition of a pipeline as it is deployed: the team's file, the platform's subworkflows, and the variables."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ...platform import config, late_input, pipelines
from ...platform.errors import ConfigError
from ...platform.partitions import Grain
from ...platform.pipelines import Pipeline
from .. import waits

PLATFORM = Path("workflows/platform/subworkflows.yaml")
DEADLINE = Path("workflows/platform/deadline.yaml")


def file_of(pipeline: Pipeline) -> Path:
    """The team's file, relative to the project."""
    return Path("workflows") / f"{pipeline.name}.workflow.yaml"


def with_workflow() -> list[Pipeline]:
    """The pipelines that have a workflow."""
    return [each for each in pipelines.all() if (config.load().root / file_of(each)).is_file()]


def source(pipeline: Pipeline) -> str:
    """The text that is deployed: Terraform joins the two files in the same way. Raises ConfigError without a file."""
    file = file_of(pipeline)
    if not (config.load().root / file).is_file():
        raise ConfigError(f"{pipeline.name} has no workflow, so Workflows cannot run it: write {file}")
    return joined(file)


def joined(file: Path) -> str:
    """The text of a definition with the platform's subworkflows. file: relative to the project."""
    return "\n".join((config.load().root / each).read_text(encoding="utf-8") for each in (file, PLATFORM))


def sources() -> dict[Path, str]:
    """The text of every definition that is deployed, by its file."""
    return {file: joined(file) for file in (*(file_of(each) for each in with_workflow()), DEADLINE)}


def settings(pipeline: Pipeline, *, people: bool = True) -> dict[str, Any]:
    """What the workflow takes from the configuration, as JSON can hold it; deployed as the variable SETTINGS.

    people: whether runs wait for their decisions.
    """
    return {
        "grain": str(pipeline.grain),
        "timezone": pipeline.calendar.zone.key,
        "marker": _marker(pipeline),
        "republishes": pipeline.settings.is_landed and late_input.is_republished(pipeline),
        "first_step": pipeline.steps[0],
        "steps": {step: _limits(pipeline, step, people) for step in pipeline.steps},
    }


def variables(pipeline: Pipeline, *, people: bool = True) -> dict[str, str]:
    """The part of the deployed workflow's variables that the configuration decides. people: as in `settings`."""
    return {"SETTINGS": json.dumps(settings(pipeline, people=people), separators=(",", ":"))}


def deadline(pipeline: Pipeline) -> dict[str, Any]:
    """The arguments with which the schedule starts the watch over the SLA."""
    known = settings(pipeline)
    return {
        "pipeline": pipeline.name,
        "grain": known["grain"],
        "timezone": known["timezone"],
        "sla_seconds": pipeline.settings.sla_seconds,
    }


def landing_bucket(pipeline: Pipeline) -> str:
    """The bucket whose new objects start the pipeline; empty when its input lands elsewhere."""
    parts = urlsplit(pipeline.settings.landing.url)
    return parts.netloc if pipeline.settings.is_landed and parts.scheme == "gs" else ""


def _limits(pipeline: Pipeline, step: str, people: bool) -> dict[str, Any]:
    own, wait = config.load().for_step(pipeline.name, step), waits.of_step(pipeline, step)
    return {
        "timeout_seconds": own.timeout_seconds,
        "attempts": own.retries.attempts + 1,
        "first_delay_seconds": own.retries.first_delay_seconds,
        "factor": own.retries.factor,
        "max_delay_seconds": own.retries.max_delay_seconds,
        "jitter": own.retries.jitter,
        # No container waits for input or for people: it looks, and the workflow waits.
        "awaits": wait.awaits,
        "at_once": "look" if wait.awaits else "",
        "wait_seconds": wait.seconds,
        "look_again_seconds": wait.look_again_seconds,
        "asks": people and step == pipeline.asking_step,
    }


def _marker(pipeline: Pipeline) -> str:
    """A regular expression for the name of an object that completes a partition."""
    landing = pipeline.settings.landing
    prefix = urlsplit(landing.url).path.strip("/")
    folders = [re.escape(prefix)] if prefix else []
    folders += [] if pipeline.grain == Grain.NONE else ["[^/]+"]
    return f"^{'/'.join([*folders, re.escape(landing.marker)])}$"
