"""Late input: files that reached a partition's landing folder after they were read for what is published of it.

A run notes how old the input is before it reads it. A partition is late when its folder has changed since the input of
the run that published it; running it again publishes exactly what those files touch.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from . import landing, publications

if TYPE_CHECKING:
    from .partitions import Partition
    from .pipelines import Pipeline


@dataclass(frozen=True)
class LateInput:
    """A published partition whose landing folder has changed. published, changed: when, in UTC."""

    partition: Partition
    published: datetime
    changed: datetime


def of_pipeline(pipeline: Pipeline) -> list[LateInput]:
    """The partitions to run again, in order; those whose folder is not complete are left until it is.

    A partition that was published before inputs were noted counts from its publication.
    """
    if not pipeline.settings.is_landed:
        return []
    published, read = publications.latest(pipeline), publications.inputs_read(pipeline)
    late = []
    for key, arrival in sorted(landing.of(pipeline).arrivals().items()):
        last = published.get(key)
        if last and arrival.complete and arrival.changed > read.get((key, last.engine, last.run), last.at):
            late.append(LateInput(pipeline.partition(key), last.at, arrival.changed))
    return late
