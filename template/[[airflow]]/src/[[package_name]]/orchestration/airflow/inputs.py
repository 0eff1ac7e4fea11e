"""Input that changes: published partitions run again, and what other projects publish shows as events of assets.

What holds is in the warehouses. An event may start a DAG of yours; a run that no event starts is not lost.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset
from airflow.sdk.exceptions import AirflowSkipException

from ...platform import config, late_input, pipelines
from .partitions import CONF

if TYPE_CHECKING:
    from ...platform.pipelines import Pipeline

LOOK_TIMEOUT = timedelta(minutes=10)


def watched() -> list[Pipeline]:
    """The pipelines of Airflow whose input is looked after."""
    return [each for each in pipelines.all() if late_input.is_watched(each, "airflow")]


def every() -> timedelta:
    """Between two looks."""
    return timedelta(seconds=min(each.settings.late_input.check_seconds for each in watched()))


def assets() -> list[Asset]:
    """The tables of other projects that the pipelines read."""
    given = {_name(each): each for pipeline in watched() for each in pipeline.settings.agreed.values()}
    return [
        Asset(name, uri=f"x-data-product://{each.project}/{each.table}", extra={"contract": each.contract})
        for name, each in sorted(given.items())
    ]


def late_runs() -> list[dict[str, Any]]:
    """Arguments of the runs to trigger: one for each late partition. Airflow starts no second run of one id.

    A pipeline whose warehouse or provider does not answer keeps no other from its look.
    """
    from ...platform import logging, steps  # what loads with them, no DAG needs

    runs = []
    for each in watched():
        try:
            runs += [
                {
                    "trigger_dag_id": each.name,
                    "trigger_run_id": late.request,
                    "conf": {CONF: late.partition.key},
                }
                for late in late_input.to_republish(each)
            ]
        except steps.EXPECTED as error:
            logging.get_logger().warning("cannot look for late input", pipeline=each.name, reason=str(error))
    return runs


def show(name: str, *, inlet_events: Any, outlet_events: Any) -> None:
    """Note what a provider has published as events of its asset, each partition once for each time.

    The task is skipped when there is nothing new, as Airflow notes an event for each task that succeeds.
    """
    from ...platform import providers

    asset = next(each for each in assets() if each.name == name)
    since = (datetime.now(UTC) - providers.SHOWN).isoformat()
    noted = {
        partition: version
        for event in inlet_events[asset].after(since)
        for partition, version in (event.extra or {}).get("versions", {}).items()
    }
    readers = [each for each in watched() if name in map(_name, each.settings.agreed.values())]
    delivered = [each for reader in readers for each in providers.delivered(reader, name)]
    new = {each.partition: each.version for each in delivered if noted.get(each.partition) != each.version}
    if not new:
        raise AirflowSkipException(f"nothing new of {name}")
    event = outlet_events[asset]
    event.add_partitions(sorted(new))
    event.extra = {"versions": new, **asset.extra}


def _name(given: config.Provider) -> str:
    return f"{given.project}.{given.table}"
