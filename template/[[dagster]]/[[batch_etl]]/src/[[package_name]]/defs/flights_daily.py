"""flights_daily on Dagster: assets by day, a check that blocks publishing, and what requests a day's run."""

from collections.abc import Iterator
from datetime import date, timedelta

import dagster as dg

from ..pipelines.flights_daily import steps
from ..platform import config
from ..platform.errors import ContractError, InputNotReady
from . import arrivals, policies
from .warehouse import ROW_COUNT, Warehouse

STEPS = ("extract", "transform", "check", "publish")
SETTINGS = config.load().for_pipeline(steps.PIPELINE)
DAILY = dg.DailyPartitionsDefinition(start_date="2013-01-01", timezone=SETTINGS.schedule.timezone)
ASSETS = {"partitions_def": DAILY, "group_name": steps.PIPELINE}
CONTRACT = dg.AssetCheckSpec("contract", asset="typed_flights", blocking=True, partitions_def=DAILY)
FRESH = dg.FreshnessPolicy.time_window(fail_window=timedelta(days=1, seconds=SETTINGS.sla_seconds))


@dg.multi_asset(
    specs=[dg.AssetSpec("raw_flights", kinds={"csv"})], **ASSETS, **policies.of_step(steps.PIPELINE, "extract")
)
def extract(context: dg.AssetExecutionContext, warehouse: Warehouse) -> dg.MaterializeResult:
    """Text of the day's file, staged; a day that has not landed completely is refused, as wait_for_input waits."""
    day = date.fromisoformat(context.partition_key)
    if not steps.input_ready(day):
        missing = InputNotReady(f"no input: {steps.landing_folder(day)}/_SUCCESS has not arrived")
        raise dg.Failure(str(missing), allow_retries=False) from missing
    rows = warehouse.run(steps.PIPELINE, steps.extract, context)
    return dg.MaterializeResult(metadata={**rows, ROW_COUNT: rows["read"] - rows["quarantined"]})


@dg.multi_asset(
    specs=[dg.AssetSpec("typed_flights", deps=["raw_flights"])],
    **ASSETS,
    **policies.of_step(steps.PIPELINE, "transform"),
)
def transform(context: dg.AssetExecutionContext, warehouse: Warehouse) -> dg.MaterializeResult:
    """Typed rows, staged, not checked yet."""
    return dg.MaterializeResult(metadata={ROW_COUNT: warehouse.run(steps.PIPELINE, steps.transform, context)["typed"]})


@dg.multi_asset_check(specs=[CONTRACT], **policies.of_step(steps.PIPELINE, "check"))
def check(context: dg.AssetCheckExecutionContext, warehouse: Warehouse) -> dg.AssetCheckResult:
    """Rows against the contract; when it is broken, publish does not run."""
    try:
        return dg.AssetCheckResult(passed=True, metadata=warehouse.run(steps.PIPELINE, steps.check, context))
    except ContractError as broken:
        return dg.AssetCheckResult(passed=False, description=str(broken))


@dg.multi_asset(
    specs=[
        dg.AssetSpec("fact_flights", deps=["typed_flights"], freshness_policy=FRESH),
        dg.AssetSpec("daily_carrier_performance", deps=["fact_flights"], freshness_policy=FRESH),
        dg.AssetSpec("daily_route_volume", deps=["fact_flights"], freshness_policy=FRESH),
    ],
    check_specs=[dg.AssetCheckSpec("not_empty", asset=name, partitions_def=DAILY) for name in steps.PUBLISHED_TABLES],
    **ASSETS,
    **policies.of_step(steps.PIPELINE, "publish"),
)
def publish(
    context: dg.AssetExecutionContext, warehouse: Warehouse
) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
    """The day's partition of all three tables, in one transaction."""
    for name, count in warehouse.run(steps.PIPELINE, steps.publish, context).items():
        yield dg.MaterializeResult(asset_key=name, metadata={ROW_COUNT: count})
        yield dg.AssetCheckResult(asset_key=name, check_name="not_empty", passed=count > 0)


flights_daily = dg.define_asset_job(
    steps.PIPELINE,
    selection=dg.AssetSelection.groups(steps.PIPELINE),
    config=policies.of_runs(steps.PIPELINE, STEPS, DAILY),
    executor_def=dg.in_process_executor,  # the steps follow one another, and their work is done in the warehouse
)


@dg.schedule(
    job=flights_daily,
    cron_schedule=SETTINGS.schedule.cron,
    execution_timezone=SETTINGS.schedule.timezone,
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
def flights_daily_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """The day before the tick, when its input is there; else wait_for_input requests it."""
    day = arrivals.day_of(steps.PIPELINE, context.scheduled_execution_time)
    if arrivals.is_late(context.scheduled_execution_time) or not steps.input_ready(day):
        return dg.SkipReason(f"{day} is requested by wait_for_input when its input is there")
    return dg.RunRequest(partition_key=day.isoformat())


@dg.sensor(
    job=flights_daily,
    minimum_interval_seconds=int(SETTINGS.input_wait.poll_seconds),
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def wait_for_input(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """Days whose _SUCCESS arrives after their tick, and the day that has not arrived in time, which then fails."""
    return arrivals.requests(context, steps.PIPELINE, DAILY, arrivals.in_folder(config.load().landing, "_SUCCESS"))
