"""What Terraform cannot read, for one environment: ``python -m <package>.orchestration.step_functions.deployment``.

It writes deploy/terraform/machines/<env>.json: policies of the steps, schedules, landing places, and the permissions of
each machine. `--check` says whether the file is current.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Any

from ...platform.errors import ConfigError
from ...platform.partitions import Grain
from ...platform.pipelines import PACKAGE, Pipeline
from ..deployment_file import DeploymentFile
from . import ENGINE, definitions, permissions

NAMES = {"minutes": 60, "hours": 24, "days": 31, "months": 12, "weekdays": 7}  # and how many values each field has


def values() -> dict[str, Any]:
    """Everything that the file holds."""
    return {
        "package": PACKAGE,
        "pipelines": definitions.table(),
        "policies": {each.name: definitions.policies(each) for each in definitions.defined()},
        "schedules": {name: row for each in definitions.defined() for name, row in _schedules(each).items()},
        "permissions": {name: permissions.as_data(needed) for name, needed in permissions.all_of_them().items()},
    }


def _schedules(pipeline: Pipeline) -> dict[str, dict[str, str]]:
    """The pipeline's schedules by name; two where a cron means either a day of the month or one of the week."""
    schedule = pipeline.settings.schedule
    if not schedule.cron or pipeline.settings.orchestrator != ENGINE.id:
        return {}
    written = expressions(schedule.cron)
    names = [pipeline.name, f"{pipeline.name}-weekdays"][: len(written)]
    return {
        name: {"pipeline": pipeline.name, "expression": each, "timezone": _timezone(pipeline, each)}
        for name, each in zip(names, written, strict=True)
    }


def _timezone(pipeline: Pipeline, expression: str) -> str:
    """The schedule's own, or UTC for every hour: Scheduler runs a time once that comes twice when clocks go back."""
    timezone = pipeline.settings.schedule.timezone
    is_hourly = pipeline.grain is Grain.HOUR and expression.split()[1] == "*"
    is_same = all(each["minutes"] % 60 == 0 for each in definitions.offsets(timezone))
    return "UTC" if is_hourly and is_same else timezone


def expressions(cron: str) -> list[str]:
    """A cron schedule of five fields as EventBridge Scheduler writes it: six fields, weekdays from 1 for Sunday.

    Where both days are given, cron means either, and Scheduler takes only one: there are two expressions then. Raises
    ConfigError for what Scheduler has no form for, such as the last day of a month.
    """
    from cronsim import CronSim

    parsed = CronSim(cron, datetime.now(UTC))
    fields = {}
    for name, count in NAMES.items():
        chosen = getattr(parsed, name)
        numbers = {each for each in chosen if isinstance(each, int)}
        if numbers != set(chosen) or min(numbers, default=0) < 0:
            raise ConfigError(f'schedule.cron "{cron}": EventBridge Scheduler has no form for the last or nth day')
        if name == "weekdays":
            numbers = {each % 7 + 1 for each in numbers}
        fields[name] = "*" if len(numbers) >= count else ",".join(str(each) for each in sorted(numbers))
    time = f"{fields['minutes']} {fields['hours']}"
    of_month = f"cron({time} {fields['days']} {fields['months']} ? *)"
    of_week = f"cron({time} ? {fields['months']} {fields['weekdays']} *)"
    if fields["weekdays"] == "*":
        return [of_month]
    return [of_week] if fields["days"] == "*" else [of_month, of_week]


FILE = DeploymentFile("machines", values)

if __name__ == "__main__":
    sys.exit(FILE.main())
