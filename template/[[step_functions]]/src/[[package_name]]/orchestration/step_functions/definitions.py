"""The definitions in workflows/, and the values of their placeholders, on this machine and in Terraform alike."""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from ...platform import config, late_input, pipelines
from ...platform.errors import ConfigError
from ...platform.partitions import Grain
from ...platform.pipelines import PACKAGE, Pipeline
from .. import waits
from . import ENGINE

PLATFORM = ("run_step", "report", "deadline", "late_file", "launch", "backfill")
POOL = "warehouse"  # the key of [concurrency] that all steps but the first one hold a place of
LOOK_AGAIN_SECONDS = 900  # where an event says that a file has landed; one may be lost
QUEUE_SECONDS = 86_400  # that a step may wait for places of a shared limit, with all its attempts
START_SECONDS = 300  # of a container, at most; its time-out begins with the request
OFFSETS_FROM, OFFSETS_YEARS = 2020, 20
PLACEHOLDER = re.compile(r"\$\{(\w+)\}")


def folder() -> Path:
    return config.load().root / "workflows"


def file_of(pipeline: Pipeline) -> Path:
    """The pipeline's definition. Raises ConfigError when it has none."""
    file = folder() / f"{pipeline.name}.asl.json"
    if not file.is_file():
        raise ConfigError(
            f"{pipeline.name} has no definition, so Step Functions cannot run it: write workflows/{file.name}"
        )
    return file


def platform_file(name: str) -> Path:
    return folder() / "platform" / f"{name}.asl.json"


def defined() -> list[Pipeline]:
    """The pipelines that have a definition."""
    return [each for each in pipelines.all() if (folder() / f"{each.name}.asl.json").is_file()]


def read(file: Path) -> dict[str, Any]:
    """A definition, its placeholders as they are. Raises ConfigError when it is no JSON object."""
    try:
        parsed = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(f"workflows/{file.relative_to(folder())} is not JSON: {error}") from None
    if not isinstance(parsed, dict):
        raise ConfigError(f"workflows/{file.relative_to(folder())} is not a JSON object")
    return parsed


def fill(file: Path, values: Mapping[str, Any]) -> str:
    """A definition with its placeholders filled, as Terraform's ``templatefile`` does.

    values: texts as they are, everything else as JSON. Raises ConfigError for a placeholder without a value.
    """

    def value(match: re.Match[str]) -> str:
        name = match[1]
        if name not in values:
            raise ConfigError(f"workflows/{file.relative_to(folder())}: ${{{name}}} has no value; {_known(values)}")
        return in_json(values[name])

    return PLACEHOLDER.sub(value, file.read_text(encoding="utf-8"))


def in_json(value: Any) -> str:
    """A value as it stands within a JSON text."""
    text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
    return json.dumps(text)[1:-1]


def _known(values: Mapping[str, Any]) -> str:
    return f"these have one: {', '.join(sorted(values))}"


def prefix() -> str:
    """What the name of every machine of this project and environment begins with."""
    return f"{project()}-{config.environment()}-"


def table_name() -> str:
    """The table of tokens and of places of shared limits."""
    return f"{prefix()}executions"


def project() -> str:
    declared = tomllib.loads((config.load().root / "pyproject.toml").read_text(encoding="utf-8"))
    return declared["project"]["name"]


def execution_name(pipeline: Pipeline, partition: str, again: str = "") -> str:
    """The name of the execution of a partition. again: tells a wanted repetition from the first one."""
    return f"{pipeline.name}-{partition}{again}"


def policies(pipeline: Pipeline, *, people: bool = True) -> dict[str, dict[str, Any]]:
    """What the configuration says of each step. Times in whole seconds, as Step Functions takes them.

    awaits: ``input``, ``decision`` or nothing; wait_seconds: how long at most. asks: whether the run goes on by itself
    after the decision that this step asks for. places: how many steps may use the shared system at once, 0 where that
    is not limited. longest_seconds: of the step with all its attempts and pauses. people: whether runs wait for them.
    """
    return {step: _policy(pipeline, step, asks=people and step == pipeline.asking_step) for step in pipeline.steps}


def _policy(pipeline: Pipeline, step: str, *, asks: bool) -> dict[str, Any]:
    settings, wait = config.load().for_step(pipeline.name, step), waits.of_step(pipeline, step)
    retries, attempts = settings.retries, settings.retries.attempts + 1
    seconds = max(math.ceil(settings.timeout_seconds), 1)
    looks = LOOK_AGAIN_SECONDS if bucket_of(pipeline) else pipeline.settings.input_wait.poll_seconds
    if wait.awaits == "decision":
        looks = wait.look_again_seconds
    pauses = sum(retries.max_delay_seconds * (1 + retries.jitter) for _ in range(retries.attempts))
    return {
        "awaits": wait.awaits,
        "asks": asks,
        "timeout_seconds": seconds,
        "attempts": attempts,
        "first_delay_seconds": retries.first_delay_seconds,
        "factor": retries.factor,
        "max_delay_seconds": retries.max_delay_seconds,
        "jitter": retries.jitter,
        "wait_seconds": math.ceil(wait.seconds),
        "look_again_seconds": max(math.ceil(looks), 1),
        "pool": "" if wait.awaits == "input" else POOL,
        "places": 0 if wait.awaits == "input" else config.load().concurrency.get(POOL, 0),
        "longest_seconds": math.ceil(attempts * seconds + pauses + 2 * wait.seconds) + QUEUE_SECONDS + START_SECONDS,
    }


def bucket_of(pipeline: Pipeline) -> str:
    """The bucket that the pipeline's input lands in, empty when that is not one of S3."""
    url = pipeline.settings.landing.url if pipeline.settings.is_landed else ""
    return url.removeprefix("s3://").split("/")[0] if url.startswith("s3://") else ""


def table() -> list[dict[str, Any]]:
    """What the launcher knows of the pipelines: where files land, how it looks for late ones, a tick's partition."""
    return [_row(each) for each in defined()]


def _row(pipeline: Pipeline) -> dict[str, Any]:
    settings, bucket = pipeline.settings, bucket_of(pipeline)
    path = settings.landing.url.removeprefix(f"s3://{bucket}").strip("/") if bucket else pipeline.name
    return {
        "name": pipeline.name,
        "grain": str(pipeline.grain),
        "offsets": offsets("UTC" if pipeline.grain is Grain.HOUR else settings.schedule.timezone),
        "bucket": bucket or "landing",  # of the emulator, which makes the events of other places itself
        "has_events": bool(bucket),
        "prefix": f"{path}/" if path else "",
        "marker": settings.landing.marker,
        "late": _look_for_late(pipeline) if late_input.is_republished(pipeline) else {},
        "is_scheduled": bool(settings.schedule.cron) and settings.orchestrator == ENGINE.id,
        "sla_seconds": max(math.ceil(settings.sla_seconds), 1),
    }


def _look_for_late(pipeline: Pipeline) -> dict[str, Any]:
    """How a container looks whether a partition is late of which a file has landed."""
    step = pipeline.steps[0]
    return {"step": step, "policy": _policy(pipeline, step, asks=False)}


@lru_cache
def offsets(timezone: str) -> list[dict[str, int]]:
    """The zone's minutes from UTC, from each instant (milliseconds since 1970) at which they change.

    A state machine knows no time zones. The table is written at each deployment and reaches twenty years.
    """
    zone = ZoneInfo(timezone)

    def minutes(moment: datetime) -> int:
        return int(moment.astimezone(zone).utcoffset().total_seconds() // 60)

    day, quarter = timedelta(days=1), timedelta(minutes=15)
    moment, end = datetime(OFFSETS_FROM, 1, 1, tzinfo=UTC), datetime(OFFSETS_FROM + OFFSETS_YEARS, 1, 1, tzinfo=UTC)
    rows = [{"from": 0, "minutes": minutes(moment)}]
    while moment < end:
        if minutes(moment + day) != rows[-1]["minutes"]:
            change = next(at for n in range(97) if minutes(at := moment + n * quarter) != rows[-1]["minutes"])
            rows.append({"from": int(change.timestamp() * 1000), "minutes": minutes(change)})
        moment += day
    return rows


def step_values(run_step_arn: str, pipeline: Pipeline, *, people: bool = True) -> dict[str, Any]:
    """The values of a pipeline's definition. people: as in `policies`."""
    return {"run_step_arn": run_step_arn, "policies": policies(pipeline, people=people)}


def at_once(pipeline: Pipeline, partitions: int) -> int:
    """How many runs of a backfill go on at once: all of them where those that wait for people would hold up others."""
    return partitions if pipeline.held_step else config.load().concurrency.get(POOL, 1)


def platform_values(machine_prefix: str, **of_place: Any) -> dict[str, Any]:
    """The values of the platform's definitions. machine_prefix: of each ARN of a machine; of_place: other ARNs, ids."""
    arns = {f"{name}_arn": f"{machine_prefix}platform-{name}" for name in PLATFORM}
    return {"package": PACKAGE, "pipelines": table(), "machine_prefix": machine_prefix, **arns, **of_place}
