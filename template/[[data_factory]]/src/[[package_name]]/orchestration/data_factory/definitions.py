"""The definitions as they are deployed: files of Data Factory's Git layout, and the values of the factory's parameters.

The files are the truth. Terraform publishes them as they are, and gives the factory the values that follow from the
configuration: the global parameters, and when the windows of a pipeline begin.
"""

from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import islice, pairwise
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import AfterValidator
from tzlocal.windows_tz import tz_win

from ...platform import config, late_input, pipelines
from ...platform.errors import ConfigError
from ...platform.pipelines import Pipeline
from ...platform.schedules import ticks
from . import ENGINE

FOLDER = Path("factory")
KINDS = ("pipeline", "trigger", "linkedService", "dataset")
# Global parameters that a definition may name, and their types. Terraform gives the first four their values.
GLOBAL_PARAMETERS = {
    "factory": "String",
    "step_job": "String",
    "container": "Object",
    "decisions_table": "String",
    "poll_seconds": "Int",
    "settings": "Object",
}
# Each look at a container costs two activity runs, which are most of the service's bill.
POLL_SECONDS = 30
SCHEMES = ("az", "abfss")
LOOKED_AT = timedelta(days=400)
TICKS = 40  # enough to meet a weekend and a month
SHORTEST_MONTH = 28


def _table(url: str) -> str:
    if url and not url.startswith(("https://", "http://")):
        raise ValueError("write a URL such as https://account.table.core.windows.net/decisions")
    return url


class Place(config.Section):
    """``[orchestrators.data_factory]``.

    windows_from: the day on which the first window of each pipeline ends. decisions_table: URL of the table in which
    runs leave the address that `make approvals` calls; empty for runs of this machine.
    """

    windows_from: date = date(2026, 1, 1)
    decisions_table: Annotated[str, AfterValidator(_table)] = ""


def place() -> Place:
    """What the configuration says of this environment's factory. Raises ConfigError."""
    return config.orchestrator(ENGINE.id, Place)


def name_of(pipeline: Pipeline) -> str:
    """The name of a pipeline's definition in the factory."""
    return f"pl_{pipeline.name}"


def file_of(pipeline: Pipeline) -> Path:
    """The team's file, relative to the project."""
    return FOLDER / "pipeline" / f"{name_of(pipeline)}.json"


def trigger_file_of(pipeline: Pipeline) -> Path:
    """The file of its trigger, relative to the project."""
    return FOLDER / "trigger" / f"tr_{pipeline.name}.json"


def defined() -> list[Pipeline]:
    """The pipelines that have a definition."""
    return [each for each in pipelines.all() if (config.load().root / file_of(each)).is_file()]


def files(kind: str = "*") -> list[Path]:
    """Files of the factory, relative to the project. kind: a folder of the Git layout."""
    root = config.load().root
    return sorted(each.relative_to(root) for each in (root / FOLDER).glob(f"{kind}/*.json"))


def read(file: Path) -> dict[str, Any]:
    """A definition. Raises ConfigError when it is no JSON object with a name and properties."""
    try:
        parsed = json.loads((config.load().root / file).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(f"{file} is no JSON: {error}") from None
    if not isinstance(parsed, dict) or not isinstance(parsed.get("properties"), dict):
        raise ConfigError(f'{file} is no definition: write {{"name": ..., "properties": {{...}}}}')
    return parsed


def of_pipeline(name: str) -> dict[str, Any]:
    """The properties of a definition in ``factory/pipeline/``. Raises ConfigError when there is none."""
    file = FOLDER / "pipeline" / f"{name}.json"
    if not (config.load().root / file).is_file():
        raise ConfigError(f"Data Factory has no pipeline {name}: write {file}")
    return read(file)["properties"]


def settings(pipeline: Pipeline, *, people: bool = True) -> dict[str, Any]:
    """What the definitions take from the configuration: the pipeline's part of the global parameter ``settings``.

    people: whether runs wait for their decisions.
    """
    whole, landing = pipeline.settings, urlsplit(pipeline.settings.landing.url)
    folder = "" if pipeline.grain == "none" else "{partition}"
    return {
        "grain": str(pipeline.grain),
        "time_zone": windows_zone(pipeline.calendar.zone.key),
        "container": landing.username or landing.netloc if landing.scheme in SCHEMES else "",
        "folder": "/".join(part for part in (landing.path.strip("/"), folder) if part),
        "marker": whole.landing.marker,
        "input_poll_seconds": max(1, math.ceil(whole.input_wait.poll_seconds)),
        "input_timeout_seconds": math.ceil(whole.input_wait.timeout_seconds),
        "input_timeout": span(whole.input_wait.timeout_seconds),
        "decision_timeout_seconds": math.ceil(whole.approval.expire_after_seconds),
        "first_step": pipeline.steps[0],
        "steps": {step: _limits(pipeline, step, people) for step in pipeline.steps},
    }


def late_files(pipeline: Pipeline) -> dict[str, str] | None:
    """Begin and end of the paths of the markers that tell of late files; None where they start nothing.

    As Blob Storage writes the paths in its events: ``/landing/blobs/orders/``.
    """
    place = settings(pipeline)
    if not (late_input.is_republished(pipeline) and pipeline.settings.is_landed and place["container"]):
        return None
    folder = place["folder"].removesuffix("{partition}").strip("/")
    begin = "/".join(part for part in (place["container"], "blobs", folder) if part)
    return {"begins_with": f"/{begin}/", "ends_with": f"/{place['marker']}"}


def global_parameters(*, people: bool = True) -> dict[str, Any]:
    """The values of the global parameters that the configuration decides. people: as in `settings`."""
    return {"poll_seconds": POLL_SECONDS, "settings": {each.name: settings(each, people=people) for each in defined()}}


@cache
def windows_zone(name: str) -> str:
    """The name that Windows has for a time zone: the service knows no other. Raises ConfigError."""
    if name not in tz_win:
        raise ConfigError(f"Data Factory knows no time zone {name}: write one such as Europe/Berlin, or UTC")
    return tz_win[name]


def first_window(pipeline: Pipeline) -> datetime | None:
    """When the first window begins, in UTC; None without a schedule.

    A window ends where the schedule ticks, in the zone's time without daylight saving: the service keeps windows at one
    hour of UTC all the year. Raises ConfigError when no windows fit the schedule, or would not each have a partition.
    """
    schedule = pipeline.settings.schedule
    if not schedule.cron:
        return None
    zone, begin = ZoneInfo(schedule.timezone), place().windows_from
    after = datetime(begin.year, begin.month, begin.day, tzinfo=zone) - timedelta(seconds=1)
    first, *others = (_end(pipeline, each) for each in islice(ticks(schedule.cron, schedule.timezone, after), TICKS))
    _refuse_unfit(pipeline, first, others)
    return _before(pipeline, first)


def windows(pipeline: Pipeline, first: datetime) -> list[tuple[datetime, datetime]]:
    """Begin and end of the windows of somewhat more than a year, in UTC. first: begin of the first one."""
    ends = [first]
    while ends[-1] - first < LOOKED_AT:
        ends.append(_next(pipeline, ends[-1]))
    return list(pairwise(ends))


def interval(pipeline: Pipeline) -> tuple[str, int]:
    """Frequency and interval of the windows of a pipeline."""
    if pipeline.grain == "month":
        return "Month", 1
    return "Hour", {"hour": 1, "week": 168}.get(str(pipeline.grain), 24)


def _refuse_unfit(pipeline: Pipeline, first: datetime, others: list[datetime]) -> None:
    schedule, (frequency, number) = pipeline.settings.schedule, interval(pipeline)
    is_last_days = frequency == "Month" and first.day > SHORTEST_MONTH
    if is_last_days or any(_before(pipeline, two) != one for one, two in pairwise([first, *others])):
        every = (
            "month, on one of its first 28 days" if frequency == "Month" else f"{number} h" if number > 1 else "hour"
        )
        raise ConfigError(
            f'schedule.cron "{schedule.cron}" of {pipeline.name} does not tick every {every}, as windows on Data '
            f"Factory do: write one that does, in config/pipelines/{pipeline.name}.toml"
        )
    if pipeline.grain == "none":
        return
    keys = [pipeline.calendar.due(end) for _, end in windows(pipeline, _before(pipeline, first))]
    for before, after in pairwise(keys):
        if after != pipeline.calendar.following(before):
            raise ConfigError(
                f'schedule.cron "{schedule.cron}" of {pipeline.name} would miss the partition after {before}: windows '
                "on Data Factory do not move with daylight saving, so let it tick more than an hour before or after "
                "midnight"
            )


def _end(pipeline: Pipeline, tick: datetime) -> datetime:
    """The end of the window of a tick: its local time without daylight saving. Hours are those of UTC."""
    shift = timedelta() if pipeline.grain == "hour" else tick.dst() or timedelta()
    return tick.astimezone(UTC) + shift


def _next(pipeline: Pipeline, instant: datetime) -> datetime:
    frequency, number = interval(pipeline)
    if frequency == "Hour":
        return instant + timedelta(hours=number)
    return instant.replace(year=instant.year + instant.month // 12, month=instant.month % 12 + 1)


def _before(pipeline: Pipeline, end: datetime) -> datetime:
    frequency, number = interval(pipeline)
    if frequency == "Hour":
        return end - timedelta(hours=number)
    return end.replace(year=end.year - (end.month == 1), month=(end.month - 2) % 12 + 1)


def _limits(pipeline: Pipeline, step: str, people: bool) -> dict[str, Any]:
    """Of a step. asks: whether the run waits for the answer.

    pauses: the shortest pause in whole seconds, and the second that it stays below, before each further attempt; the
    last is never used, as the service may evaluate what it does not need.
    """
    own = config.load().for_step(pipeline.name, step)
    retries, pauses = own.retries, []
    for number in range(retries.attempts):
        delay = min(retries.first_delay_seconds * retries.factor**number, retries.max_delay_seconds)
        low, high = delay * (1 - retries.jitter), delay * (1 + retries.jitter)
        pauses.append([max(1, math.floor(low)), max(1, math.ceil(high)) + 1])
    return {
        "timeout_seconds": math.ceil(own.timeout_seconds),
        "pauses": [*pauses, [1, 2]],
        "asks": "yes" if people and step == pipeline.asking_step else "",
    }


def span(seconds: float) -> str:
    """A length of time as the service writes it, such as ``0.02:00:00``."""
    minutes, rest = divmod(math.ceil(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return f"{days}.{hours:02}:{minutes:02}:{rest:02}"
