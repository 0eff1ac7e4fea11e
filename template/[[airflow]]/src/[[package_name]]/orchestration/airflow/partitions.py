"""The partition of an Airflow run, from what Airflow knows of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ...platform.partitions import Partition
    from ...platform.pipelines import Pipeline

CONF = "partition"  # in the configuration of a run, where a caller cannot give a partition key


def of_run(pipeline: Pipeline, key: str | None, conf: Mapping[str, Any] | None, run_after: datetime) -> Partition:
    """The partition of the run's own key, else of ``partition`` in its configuration, else the one due at its time.

    Raises ConfigError when the key names none of the pipeline's partitions.
    """
    given = key or (conf or {}).get(CONF)
    return pipeline.partition(given) if given else pipeline.due(run_after)
