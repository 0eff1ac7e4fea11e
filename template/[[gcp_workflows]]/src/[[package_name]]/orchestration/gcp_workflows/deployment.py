"""What Terraform cannot read, for one environment: ``python -m <package>.orchestration.gcp_workflows.deployment``.

It writes deploy/terraform/workflows/<env>.json: pipelines with cron, time zone and landing bucket, empty where another
orchestrator starts them, their variables and the arguments of their deadline; and the permissions of the workflows'
identity, by scope. `--check` says whether the files are current.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from ..deployment_file import DeploymentFile
from . import ENGINE, definitions, permissions


def values() -> dict[str, Any]:
    """What the file of the environment in APP_ENV holds. Raises ConfigError."""
    return {
        "permissions": permissions.needed(),
        "pipelines": {
            each.name: {
                "cron": each.settings.schedule.cron if each.settings.orchestrator == ENGINE.id else "",
                "timezone": each.settings.schedule.timezone,
                "landing_bucket": definitions.landing_bucket(each) if each.settings.orchestrator == ENGINE.id else "",
                "variables": definitions.variables(each),
                "deadline": json.dumps(definitions.deadline(each)),
            }
            for each in definitions.with_workflow()
        },
    }


FILE = DeploymentFile("workflows", values)

if __name__ == "__main__":
    sys.exit(FILE.main())
