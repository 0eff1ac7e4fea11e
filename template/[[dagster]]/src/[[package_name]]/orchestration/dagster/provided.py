"""Tables of other projects as external assets: what their providers publish shows in Dagster's catalogue.

What holds is in the provider's warehouse: runs wait for that, see `arrivals`. The events here show it to people.
"""

from __future__ import annotations

import json

import dagster as dg

from ...platform import config, late_input, pipelines, providers, steps
from ...platform.pipelines import Pipeline


def keys(pipeline: Pipeline, source: object = None) -> list[dg.AssetKey]:
    """The published tables that a pipeline reads, for ``deps`` of its first asset; of one source only that source's."""
    given = pipeline.settings.providers
    if source is not None:
        given = {source.name: source.settings(pipeline)} if isinstance(source, providers.Provided) else {}
    return sorted({_key(each) for each in given.values()})


def definitions() -> dg.Definitions:
    """The external assets of Dagster's pipelines, and the sensor that reports what is published."""
    watched = [each for each in pipelines.all() if late_input.is_watched(each, "dagster")]
    readers = [each for each in watched if each.settings.agreed]
    if not readers:
        return dg.Definitions()
    given = {_key(each): each for reader in readers for each in reader.settings.agreed.values()}
    return dg.Definitions(assets=[_spec(key, each) for key, each in sorted(given.items())], sensors=[_sensor(readers)])


def _key(given: config.Provider) -> dg.AssetKey:
    return dg.AssetKey([given.table] if given.is_own else [given.project, given.table])


def _spec(key: dg.AssetKey, given: config.Provider) -> dg.AssetSpec:
    return dg.AssetSpec(
        key,
        description=f"Published by the pipeline {given.pipeline} of {given.project}.",
        group_name="provided",
        metadata={"contract": given.contract},
    )


def _sensor(readers: list[Pipeline]) -> dg.SensorDefinition:
    @dg.sensor(
        name="report_provided_tables",
        minimum_interval_seconds=int(min(each.settings.late_input.check_seconds for each in readers)),
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def report(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        """Partitions that providers have published since the last look; one that breaks its contract is alerted."""
        seen, shown, problems = _seen(context.cursor), {}, []
        for reader in readers:
            try:
                shown |= {f"{each.table} {each.partition}": each for each in providers.delivered(reader)}
            except steps.EXPECTED as error:  # a warehouse that does not answer: the others are looked at
                problems.append(f"{reader.name}: {error}")
        events = [
            dg.AssetMaterialization(_key(each.provider), partition=each.partition, metadata=each.facts)
            for name, each in shown.items()
            if seen.get(name) != each.version
        ]
        cursor = {**(seen if problems else {}), **{name: each.version for name, each in shown.items()}}
        reason = "; ".join(problems) or f"{len(events)} partitions are newly published"
        return dg.SensorResult(asset_events=events, skip_reason=reason, cursor=json.dumps(cursor))

    return report


def _seen(cursor: str | None) -> dict[str, int]:
    """The version of each partition at the last look."""
    try:
        kept = json.loads(cursor or "{}")
    except ValueError:
        return {}
    return kept if isinstance(kept, dict) else {}
