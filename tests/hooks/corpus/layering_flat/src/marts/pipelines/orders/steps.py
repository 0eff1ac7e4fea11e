"""Business code with habits of an orchestrator."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

import airflow.sdk as af  # expect: business-imports-orchestrator
import prefect_aws  # expect: business-imports-orchestrator
from dagster import asset  # expect: business-imports-orchestrator

from ...platform import config
from ...orchestration import context  # expect: business-imports-orchestrator
from ..shared import clock
from .transform import totals

if TYPE_CHECKING:
    from temporalio.client import Client  # expect: business-imports-orchestrator


def late() -> None:
    from prefect import get_run_logger  # expect: business-imports-orchestrator

    get_run_logger().info("late")


def by_name():
    return importlib.import_module("airflow.models")  # expect: business-imports-orchestrator


def by_built_name(engine: str):
    return importlib.import_module(engine + ".models")
