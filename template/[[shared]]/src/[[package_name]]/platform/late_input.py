"""Late input: what a published partition was made of has changed since it was read.

That is a file that reached its landing folder later, or a partition that another project has published again. A run
notes how old its input is, and a digest of it, before it reads it. A partition is late when its input is something else
than what the run that published it has read; a file that was only written again, as a checkout of git does, makes none
late. Running a late partition again publishes exactly what has changed. Where ``[late_input] republish`` is on, the
orchestrator that schedules the pipeline does that by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from . import landing, publications
from .runs import current_run

if TYPE_CHECKING:
    from .landing import Landing
    from .partitions import Partition
    from .pipelines import Pipeline
    from .warehouse import Connection


@dataclass(frozen=True)
class LateInput:
    """A published partition whose input has changed. published, changed: when, in UTC.

    noted: whether the run that published it has noted what it read.
    """

    partition: Partition
    published: datetime
    changed: datetime
    noted: bool = True

    @property
    def request(self) -> str:
        """A name for the run that this change asks for: an orchestrator starts no second run of one name."""
        return f"{self.partition}-late-{self.changed:%Y%m%dT%H%M%S%f}"


@dataclass(frozen=True)
class _Input:
    """What is there for a partition. changed: when it changed last, in UTC. digest: empty when it has none."""

    changed: datetime
    digest: Callable[[], str]


def of_pipeline(pipeline: Pipeline) -> list[LateInput]:
    """The partitions to run again, in order; those whose folder is not complete are left until it is.

    A partition that was published before inputs were noted counts from its publication. Raises SourceUnavailable when
    a landing place or a provider does not answer.
    """
    if not (pipeline.settings.is_landed or pipeline.settings.providers):
        return []
    published, read = publications.latest(pipeline), publications.inputs_read(pipeline)
    late = []
    for key, there in sorted(_inputs(pipeline).items()):
        last = published.get(key)
        if last is None:
            continue
        noted = read.get((key, last.engine, last.run))
        changed, digest = noted or (last.at, "")
        if there.changed > changed and not (digest and there.digest() == digest):
            late.append(LateInput(pipeline.partition(key), last.at, there.changed, noted is not None))
    return late


def is_late(pipeline: Pipeline, partition: Partition) -> bool:
    """Whether to run a partition again of which a marker has landed. As `to_republish`, but its files are all there."""
    return any(each.partition == partition for each in _republished(pipeline))


def to_republish(pipeline: Pipeline) -> list[LateInput]:
    """The late partitions that an orchestrator runs again by itself; none unless ``[late_input] republish`` is on.

    It waits until the input has not changed for ``input_wait.poll_seconds``. It leaves two things to people: what was
    published before inputs were noted, as a copy of the landing place makes all of that look late, and pipelines whose
    runs ask for a decision.
    """
    settled = datetime.now(UTC) - timedelta(seconds=pipeline.settings.input_wait.poll_seconds)
    return [each for each in _republished(pipeline) if each.changed <= settled]


def _republished(pipeline: Pipeline) -> list[LateInput]:
    if not is_republished(pipeline):
        return []
    return [each for each in of_pipeline(pipeline) if each.noted]


def is_republished(pipeline: Pipeline) -> bool:
    """Whether its late partitions are run again by an orchestrator; not those that people decide about."""
    return pipeline.settings.late_input.republish and not pipeline.held_step


def is_watched(pipeline: Pipeline, orchestrator: str) -> bool:
    """Whether the orchestrator is the pipeline's, and has late input to run again or other projects' tables to show."""
    settings = pipeline.settings
    return settings.orchestrator == orchestrator and (settings.late_input.republish or bool(settings.agreed))


def note(con: Connection, pipeline: Pipeline, partition: Partition) -> None:
    """Note the input that the current run is about to read."""
    if not current_run().id:
        return
    inputs = []
    if pipeline.settings.is_landed and (changed := landing.of(pipeline).changed(partition)):
        inputs.append(_Input(changed, partial(_digest, landing.of(pipeline), pipeline, partition.key)))
    if there := _provided(pipeline, partition.key).get(partition.key):
        inputs.append(there)
    if inputs:
        whole = _together(inputs)
        publications.note_input(con, pipeline, partition, whole.changed, whole.digest())


def _inputs(pipeline: Pipeline) -> dict[str, _Input]:
    """What is there and complete, by the key of its partition, or the name of a folder that is no key."""
    inputs: dict[str, list[_Input]] = {}
    if pipeline.settings.is_landed:
        place = landing.of(pipeline)
        for key, arrival in place.arrivals().items():
            if arrival.complete:
                inputs[key] = [_Input(arrival.changed, partial(_digest, place, pipeline, key))]
    for key, there in _provided(pipeline).items():
        inputs.setdefault(key, []).append(there)
    return {key: _together(each) for key, each in inputs.items()}


def _provided(pipeline: Pipeline, key: str = "") -> dict[str, _Input]:
    """What other projects have published for it, by partition: the version of each is their digest."""
    from . import providers  # which loads what contracts need

    newest = providers.newest(pipeline, key) if pipeline.settings.providers else {}
    return {each: _Input(at, lambda versions=versions: versions) for each, (at, versions) in newest.items()}


def _together(inputs: list[_Input]) -> _Input:
    def digest() -> str:
        digests = [each.digest() for each in inputs]
        return " ".join(digests) if all(digests) else ""

    return _Input(max(each.changed for each in inputs), digest)


def _digest(place: Landing, pipeline: Pipeline, key: str) -> str:
    return place.digest(pipeline.partition(key))
