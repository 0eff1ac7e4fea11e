"""Late input: files that reached a partition's landing folder after they were read for what is published of it, and
tables of another pipeline that were published again since.

A run notes how old its input is, and a digest of it, before it reads it. A partition is late when its folder holds
something else than what the run that published it has read; a file that was only written again, as a checkout of git
does, makes none late. Running a late partition again publishes exactly what those files touch.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from . import landing, providers, publications

if TYPE_CHECKING:
    from .partitions import Partition
    from .pipelines import Pipeline


@dataclass(frozen=True)
class LateInput:
    """A published partition whose input has changed. published, changed: when, in UTC."""

    partition: Partition
    published: datetime
    changed: datetime


def of_pipeline(pipeline: Pipeline) -> list[LateInput]:
    """The partitions to run again, in order; those whose folder is not complete are left until it is.

    A partition that was published before inputs were noted counts from its publication.
    """
    arrivals = providers.arrivals(pipeline)
    if not arrivals:
        return []
    published, read = publications.latest(pipeline), publications.inputs_read(pipeline)
    late = []
    for key, arrival in sorted(arrivals.items()):
        last = published.get(key)
        if not (last and arrival.complete):
            continue
        partition = pipeline.partition(key)
        changed, digest = read.get((key, last.engine, last.run), (last.at, ""))
        same = digest and (arrival.version or landing.of(pipeline).digest(partition)) == digest
        if arrival.changed > changed and not same:
            late.append(LateInput(partition, last.at, arrival.changed))
    return late
