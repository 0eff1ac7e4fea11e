"""What Terraform takes from the project, as JSON on standard output: `make deploy` hands it over as variables.

``pipelines``: of each one cron, time zone and landing bucket, empty where another orchestrator starts it; its
variables, and the arguments of its deadline.
``permissions``: of the workflows' identity, by scope.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from ...platform import config
from ...platform.errors import ConfigError
from . import definitions, permissions
from .runs import ENGINE


def values() -> dict[str, Any]:
    """The variables of the environment in APP_ENV. Raises ConfigError."""
    settings = config.load()
    return {
        "environment": settings.env,
        "permissions": permissions.needed(),
        "pipelines": {
            each.name: {
                "cron": each.settings.schedule.cron if each.settings.orchestrator == ENGINE else "",
                "timezone": each.settings.schedule.timezone,
                "landing_bucket": definitions.landing_bucket(each) if each.settings.orchestrator == ENGINE else "",
                "variables": definitions.variables(each),
                "deadline": json.dumps(definitions.deadline(each)),
            }
            for each in definitions.with_workflow()
        },
    }


def main() -> None:
    try:
        print(json.dumps(values(), indent=2))
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(78)


if __name__ == "__main__":
    main()
