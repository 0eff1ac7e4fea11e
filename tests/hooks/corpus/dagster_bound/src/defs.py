"""Partitions and policies that are given after the asset was defined; assets that do nothing, or only take away."""

import dagster as dg
from dagster_gcp import BigQueryResource

STEP = {"retry_policy": dg.RetryPolicy(max_retries=1), "pool": "lake"}
DAILY = dg.DailyPartitionsDefinition("2025-01-01")
READ = {"check_specs": [dg.AssetCheckSpec("any", asset="x")], "freshness_policy": dg.FreshnessPolicy}


@dg.asset(**STEP, **READ)
def asks_for_its_day(context: dg.AssetExecutionContext) -> None:
    print(context.partition_time_window.start)


@dg.asset(**STEP, **READ)
def bound_by_name() -> None:
    print("bound")


@dg.asset(**STEP, **READ)  # expect: dagster-no-partitions
def bound_to_nothing() -> None:
    print("never bound")


def daily(spec: dg.AssetSpec) -> dg.AssetSpec:
    return spec.replace_attributes(partitions_def=DAILY)


def owned(spec: dg.AssetSpec) -> dg.AssetSpec:
    return spec.replace_attributes(owners=["team:lake"])


@dg.asset(description="Comes from the till; stands here for the lineage.")
def receipts(): ...


@dg.asset(partitions_def=DAILY, **STEP, description="Removes snapshots that are older than a month.")
def old_snapshots(warehouse: BigQueryResource) -> None:
    warehouse.get_client().query("drop table snapshots.before")


@dg.asset(partitions_def=DAILY, **STEP)
def vacuum_everything() -> None:
    print("vacuumed")


@dg.asset(partitions_def=DAILY, **STEP)  # expect: dagster-no-check, dagster-no-freshness
def expired_contracts(warehouse: BigQueryResource) -> None:
    warehouse.get_client().query("create table expired as select * from contracts")


defs = dg.Definitions(
    assets=[
        asks_for_its_day,
        *dg.map_asset_specs(daily, [bound_by_name]),
        *dg.map_asset_specs(owned, [bound_to_nothing]),
        receipts,
        old_snapshots,
        vacuum_everything,
        expired_contracts,
    ]
)
