"""What prefect.yaml leaves to the configuration: schedules, time zones, and limits on shared systems."""

from __future__ import annotations

import contextlib
from typing import Any

import yaml
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import GlobalConcurrencyLimitUpdate
from prefect.exceptions import ObjectNotFound

from .platform import config

BACKFILL = "backfill"  # the work queue of runs of past days, and their tag


def pipelines() -> list[str]:
    """Names of the deployed pipelines: their flows are named after them."""
    return [each["entrypoint"].rpartition(":")[2] for each in _deployments()]


def work_pools() -> set[str]:
    return {each["work_pool"]["name"] for each in _deployments()}


def variables() -> dict[str, str]:
    """What prefect.yaml reads from the environment, such as FLIGHTS_DAILY_CRON and FLIGHTS_DAILY_TIMEZONE."""
    settings = config.load()
    schedules = {name: settings.for_pipeline(name).schedule for name in pipelines()}
    crons = {f"{name.upper()}_CRON": schedule.cron for name, schedule in schedules.items()}
    return {"APP_ROOT": str(settings.root), **crons} | {
        f"{name.upper()}_TIMEZONE": schedule.timezone for name, schedule in schedules.items()
    }


def set_limits(client: SyncPrefectClient) -> None:
    """Set the limits of ``[concurrency]``; Prefect applies one named ``tag:warehouse`` to the tasks with that tag."""
    for system, limit in config.load().concurrency.items():
        client.upsert_global_concurrency_limit_by_name(f"tag:{system}", limit)


def free_places(client: SyncPrefectClient) -> None:
    """Free the places that runs of before have not given back; call it while no run is under way."""
    for system in config.load().concurrency:
        with contextlib.suppress(ObjectNotFound):  # no limit was ever set on this server
            client.update_global_concurrency_limit(f"tag:{system}", GlobalConcurrencyLimitUpdate(active_slots=0))


def _deployments() -> list[dict[str, Any]]:
    text = (config.load().root / "prefect.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(text)["deployments"]
