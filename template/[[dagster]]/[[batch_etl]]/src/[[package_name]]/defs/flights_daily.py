"""flights_daily on Dagster: assets by partition, a check that blocks publishing, and what requests a run.

Retries, time-outs and the schedule are those of config/pipelines/flights_daily.toml.
"""

from collections.abc import Iterator

import dagster as dg

from ..orchestration.dagster import arrivals, policies
from ..orchestration.dagster.partitions import partitions
from ..orchestration.dagster.warehouse import ROW_COUNT, Warehouse
from ..pipelines.flights_daily import PIPELINE

PARTITIONS = partitions(PIPELINE, start="2013-01-01")
ASSETS = {"partitions_def": PARTITIONS, "group_name": PIPELINE.name}
FRESH = policies.freshness(PIPELINE)


@dg.asset(name="raw", key_prefix=PIPELINE.name, **ASSETS, **policies.of_step(PIPELINE, "extract"))
def extract(context: dg.AssetExecutionContext, warehouse: Warehouse) -> dg.MaterializeResult:
    """Text of the input, staged. The sensor waits for input, so a run that finds none is refused at once."""
    warehouse.run(PIPELINE, "wait_for_input", context, timeout_seconds=0)
    rows = warehouse.run(PIPELINE, "extract", context)
    return dg.MaterializeResult(metadata={**rows, ROW_COUNT: rows["read"] - rows["quarantined"]})


@dg.asset(name="typed", key_prefix=PIPELINE.name, deps=[extract], **ASSETS, **policies.of_step(PIPELINE, "transform"))
def transform(context: dg.AssetExecutionContext, warehouse: Warehouse) -> dg.MaterializeResult:
    """Typed rows, staged, not checked yet."""
    return dg.MaterializeResult(metadata={ROW_COUNT: warehouse.run(PIPELINE, "transform", context)["typed"]})


@dg.asset_check(
    asset=transform,
    name="contract",
    blocking=True,
    partitions_def=PARTITIONS,
    **policies.of_step(PIPELINE, "check"),
)
def check(context: dg.AssetCheckExecutionContext, warehouse: Warehouse) -> dg.AssetCheckResult:
    """Rows against the contract; when it is broken, publish does not run."""
    return warehouse.check(PIPELINE, "check", context)


@dg.multi_asset(
    name=f"{PIPELINE.name}__publish",
    specs=[
        dg.AssetSpec("fact_flights", deps=[transform], freshness_policy=FRESH),
        dg.AssetSpec("daily_carrier_performance", deps=["fact_flights"], freshness_policy=FRESH),
        dg.AssetSpec("daily_route_volume", deps=["fact_flights"], freshness_policy=FRESH),
    ],
    check_specs=[dg.AssetCheckSpec("not_empty", asset=name, partitions_def=PARTITIONS) for name in PIPELINE.tables],
    **ASSETS,
    **policies.of_step(PIPELINE, "publish"),
)
def publish(
    context: dg.AssetExecutionContext, warehouse: Warehouse
) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
    """The partition in all published tables, in one transaction."""
    for name, rows in warehouse.run(PIPELINE, "publish", context).items():
        yield dg.MaterializeResult(asset_key=name, metadata={ROW_COUNT: rows})
        yield dg.AssetCheckResult(asset_key=name, check_name="not_empty", passed=rows > 0)


job = dg.define_asset_job(
    PIPELINE.name,
    selection=dg.AssetSelection.groups(PIPELINE.name),
    executor_def=dg.in_process_executor,  # the steps follow one another, and their work is done in the warehouse
    **policies.of_runs(PIPELINE, PARTITIONS),
)

if policies.is_scheduled(PIPELINE):

    @dg.schedule(
        name=f"{PIPELINE.name}_schedule",
        job=job,
        cron_schedule=PIPELINE.settings.schedule.cron,
        execution_timezone=PIPELINE.settings.schedule.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )
    def schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        """The partition that is due at this tick, when its input is there; otherwise the sensor requests it."""
        return arrivals.of_tick(context, PIPELINE)

    @dg.sensor(
        name=f"{PIPELINE.name}_wait_for_input",
        job=job,
        minimum_interval_seconds=max(1, int(PIPELINE.settings.input_wait.poll_seconds)),
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def wait_for_input(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        """Partitions whose input arrives after their tick, and those whose input does not come in time, which then fail."""
        return arrivals.since_last_look(context, PIPELINE, PARTITIONS)
