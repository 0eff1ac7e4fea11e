"""Deployments: one for each pipeline that has a flow, `flows/<pipeline>.py`, named after the environment.

Schedule and limits come from the configuration, other options of a deployment from `DEPLOYMENT` in the flow's file.
To deploy to workers elsewhere, give `deploy` the storage that they read the code from, or, where their image holds
it, name the image in RUN_IMAGE. Where PREFECT_PACKAGE names a prefect.yaml, it says how runs get the code, and what
the work pool gives them.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import tomllib
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import yaml
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import GlobalConcurrencyLimitUpdate, WorkPoolCreate
from prefect.client.schemas.filters import WorkPoolFilter
from prefect.client.schemas.schedules import CronSchedule
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound, ScriptError
from prefect.flows import load_flow_from_entrypoint
from prefect.runner.storage import LocalStorage, RunnerStorage
from prefect.utilities.templating import apply_values

from ...platform import config, logging, pipelines
from ...platform.errors import ConfigError
from ...platform.partitions import Grain
from ...platform.pipelines import Pipeline

BACKFILL = "backfill"  # the work queue of backfills, and the tag of their runs
FORMER_NAME = "daily"  # what version 0.1 of the template called every deployment
LOOKS = "*/10 * * * *"  # when runs are looked after where the service `operations` does not run


def name() -> str:
    """Name of the deployments: that of the environment."""
    return config.load().env


def work_pool() -> str:
    """Name of the work pool: that of the project."""
    project = tomllib.loads((config.load().root / "pyproject.toml").read_text(encoding="utf-8"))
    return project["project"]["name"]


def file_of(pipeline: Pipeline) -> Path:
    return config.load().root / "flows" / f"{pipeline.name}.py"


def has_flow(pipeline: Pipeline) -> bool:
    return file_of(pipeline).is_file()


class _Pulled(LocalStorage):
    """This folder, which runs elsewhere get by steps."""

    def __init__(self, steps: list[dict[str, Any]]) -> None:
        super().__init__(str(config.load().root))
        self.steps = steps

    def to_pull_step(self) -> list[dict[str, Any]]:
        return self.steps


def _package() -> dict[str, Any]:
    """The prefect.yaml of a package, with the variables that it names; empty where there is none."""
    file = os.environ.get("PREFECT_PACKAGE")
    if not file:
        return {}
    package = apply_values(yaml.safe_load(Path(file).read_text(encoding="utf-8")), {}, remove_notset=False)
    if missing := sorted(set(re.findall(r"\{\{ \$(\w+) }}", json.dumps(package)))):
        where = f"deploy/package/prefect/{config.load().env}.env"
        raise ConfigError(f"prefect.yaml names {', '.join(missing)}, which nobody sets: write NAME=value into {where}")
    return package


def deploy(client: SyncPrefectClient, storage: RunnerStorage | None = None) -> list[str]:
    """Make the deployments match the project. Return a sentence for each pipeline whose flow cannot be deployed.

    storage: where workers read the code from; this folder by default. Deployments of pipelines that are gone are
    deleted, with their schedules and the runs that have not started. Those whose flow cannot be imported stay.
    """
    _make_work_pool(client)
    problems, there = [], []
    for pipeline in pipelines.all():
        file = f"flows/{pipeline.name}.py"
        if not has_flow(pipeline):
            if pipeline.settings.orchestrator == "prefect":
                problems.append(f"{pipeline.name} has no flow, so Prefect does not run it: write {file}")
            continue
        there.append(pipeline.name)
        try:
            _deployment(pipeline, storage or _storage())
        except Exception as error:  # noqa: BLE001  whatever the team's code raises
            problems.append(
                f"{file} cannot be {_done(error)}: {_reason(error)}; {pipeline.name} stays as it was deployed"
            )
    _delete_others(client, there)
    return problems


def _storage() -> RunnerStorage:
    package = _package()
    return _Pulled(package["pull"]) if package else LocalStorage(str(config.load().root))


def schedules(pipeline: Pipeline) -> list[CronSchedule]:
    """The schedule of a pipeline; none without a cron, or where another orchestrator schedules it."""
    settings = pipeline.settings
    if settings.orchestrator != "prefect" or not settings.schedule.cron:
        return []
    return [CronSchedule(cron=settings.schedule.cron, timezone=_timezone(pipeline))]


def _timezone(pipeline: Pipeline) -> str:
    """Of the schedule. In local time, Prefect leaves out the hour that is repeated when clocks are set back."""
    schedule = pipeline.settings.schedule
    offset = datetime.now(ZoneInfo(schedule.timezone)).utcoffset() or timedelta()
    is_every_hour = schedule.cron.split()[1:] == ["*"] * 4 and not offset % timedelta(hours=1)
    return "UTC" if pipeline.grain is Grain.HOUR and is_every_hour else schedule.timezone


def set_limits(client: SyncPrefectClient) -> None:
    """Set the limits of ``[concurrency]``; Prefect applies one named ``tag:warehouse`` to the tasks with that tag."""
    for system, limit in config.load().concurrency.items():
        client.upsert_global_concurrency_limit_by_name(f"tag:{system}", limit)


def free_places(client: SyncPrefectClient) -> None:
    """Free the places that earlier runs have not given back; call it while no run is in progress."""
    for system in config.load().concurrency:
        with contextlib.suppress(ObjectNotFound):  # no limit was ever set on this server
            client.update_global_concurrency_limit(f"tag:{system}", GlobalConcurrencyLimitUpdate(active_slots=0))


def _make_work_pool(client: SyncPrefectClient) -> None:
    try:
        client.read_work_pool(work_pool())
    except ObjectNotFound:  # a worker of another type that starts first makes it
        kind = os.environ.get("WORK_POOL_TYPE", "process")
        client.create_work_pool(WorkPoolCreate(name=work_pool(), type=kind, base_job_template=_template(client, kind)))
    with contextlib.suppress(ObjectAlreadyExists):
        # Of two runs that are due, a scheduled one starts before one of a backfill.
        client.create_work_queue(BACKFILL, work_pool_name=work_pool(), priority=10)


def _template(client: SyncPrefectClient, kind: str) -> dict[str, Any]:
    """What the server knows of that type of work pool: a pool without a worker has nobody else to say it."""
    if not _package():
        return {}
    for kinds in client.read_worker_metadata().values():
        if kind in kinds:
            return kinds[kind]["default_base_job_configuration"]
    raise ConfigError(f"this Prefect has no work pools of type {kind}: let PREFECT_API_URL name one of Prefect Cloud")


def _deployment(pipeline: Pipeline, storage: RunnerStorage) -> None:
    entrypoint = f"flows/{pipeline.name}.py:{pipeline.name}"
    flow = load_flow_from_entrypoint(f"{config.load().root}/{entrypoint}", use_placeholder_flow=False)
    if flow.name != pipeline.name:
        raise ValueError(f"its flow is named {flow.name!r}; write @flow(name={pipeline.name!r}, ...)")
    options: dict[str, Any] = {"description": flow.description, **flow.fn.__globals__.get("DEPLOYMENT", {})}
    if variables := _job_variables():
        options["job_variables"] = {**variables, **options.get("job_variables", {})}
    stored = flow.from_source(storage, entrypoint)
    deployment = stored.to_deployment(name(), work_pool_name=work_pool(), **options)
    deployment.apply(schedules=[{"schedule": schedule, "active": True} for schedule in schedules(pipeline)])


def _job_variables() -> dict[str, Any]:
    """What the work pool gives each run, where it starts a container for it."""
    if package := _package():
        return package["definitions"]["work_pool"]["job_variables"]
    image = os.environ.get("RUN_IMAGE")
    variables: dict[str, Any] = {"image": image, "env": {"APP_ENV": config.load().env}} if image else {}
    if account := os.environ.get("RUN_SERVICE_ACCOUNT"):  # the identity of the pods of runs
        labels = os.environ.get("RUN_LABELS", "").split()
        variables |= {"service_account_name": account, "labels": dict(each.split("=", 1) for each in labels)}
    return variables


def _delete_others(client: SyncPrefectClient, there: Iterable[str]) -> None:
    in_pool = WorkPoolFilter.model_validate({"name": {"any_": [work_pool()]}})
    current = {f"flows/{each}.py:{each}" for each in there}
    for each in client.read_deployments(work_pool_filter=in_pool):
        if each.name == FORMER_NAME or (each.name == name() and each.entrypoint not in current):
            client.delete_deployment(each.id)


def _done(error: Exception) -> str:
    return "imported" if isinstance(error, ScriptError) else "deployed"


def _reason(error: Exception) -> str:
    cause = error.user_exc if isinstance(error, ScriptError) else error
    lines = str(cause).strip().splitlines()
    return f"{type(cause).__name__}: {lines[0] if lines else ''}"


def main() -> int:
    """Set the limits and deploy; for servers that something else keeps. Returns the exit code."""
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        set_limits(client)
        problems = deploy(client)
    if _package():  # nothing of the project's own keeps running
        from . import operations

        operations.deploy(_storage(), LOOKS, work_pool_name=work_pool(), job_variables=_job_variables())
    for problem in problems:
        logging.get_logger().error(problem)
    return 1 if problems else 0
