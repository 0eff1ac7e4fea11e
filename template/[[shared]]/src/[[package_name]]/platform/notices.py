"""Notices: consumers hear once that a partition is published, at the addresses in ``[notify]``.

They are Apprise URLs kept as secrets, as those of alerts are. A notice that could not be delivered is sent again after
the pipeline's next publication.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from . import alerts, config, history, logging, masking, publications
from .runs import current_run

if TYPE_CHECKING:
    from .steps import StepReport

UNDELIVERED = "undelivered"


def send(report: StepReport, settings: config.Settings) -> None:
    """Tell consumers that this step has published its partition, and send what could not be delivered before.

    Once per environment, pipeline and partition, or for each run that publishes it if ``republished`` says so. Never
    raises: what is published stays published.
    """
    pipeline, own = report.pipeline, settings.for_pipeline(report.pipeline.name).notify
    if not own.urls:
        return
    try:
        left = _left(settings, pipeline.name) - {report.partition.key}
        before = publications.latest(pipeline, left) if left else {}
        for each in before.values():
            _tell(settings, own, pipeline.name, each.partition, each.rows, each.run)
        _tell(settings, own, pipeline.name, report.partition.key, report.rows, current_run().owner[1])
    except Exception as problem:  # noqa: BLE001  a secret, the receiver's library
        masking.scrub(problem)
        logging.get_logger().exception("notice not sent")


def _tell(
    settings: config.Settings, own: config.Notify, pipeline: str, key: str, rows: Mapping[str, int], run: str
) -> None:
    title = f"{pipeline} {key} is published ({settings.env})"
    counts = [f"rows of {table}: {number}" for table, number in rows.items()]
    body = "\n".join([f"pipeline: {pipeline}", f"partition: {key}", *counts])
    once = f"{settings.env} {pipeline} {key} published{f' by {run}' if own.republished else ''}"
    delivered = [alerts.send_once(settings, reference, once, title, body) for reference in own.urls]
    error = "" if all(delivered) else UNDELIVERED
    history.record(settings, pipeline, history.Fact(history.NOTICE, key, run=run, error=error))


def _left(settings: config.Settings, pipeline: str) -> set[str]:
    """Partitions whose last notice was not delivered."""
    notices = {fact.partition: fact for fact in history.read(settings, pipeline) if fact.kind == history.NOTICE}
    return {key for key, fact in notices.items() if fact.error}
