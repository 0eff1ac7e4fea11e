"""What Terraform cannot read, for one environment: ``python -m <package>.orchestration.gcp_workflows.deployment``.

It writes deploy/terraform/workflows/<env>.json: pipelines with cron, time zone and landing bucket, empty where another
orchestrator starts them, their variables and the arguments of their deadline; and the permissions of the workflows'
identity, by scope. `--check` says whether the files are current.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from ...platform import config
from ...platform.errors import ConfigError
from . import definitions, permissions
from .runs import ENGINE


def values() -> dict[str, Any]:
    """What the file of the environment in APP_ENV holds. Raises ConfigError."""
    return {
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


def text() -> str:
    """The content of the file."""
    return json.dumps(values(), indent=2) + "\n"


def file() -> Path:
    settings = config.load()
    return settings.root / "deploy" / "terraform" / "workflows" / f"{settings.env}.json"


def outdated() -> list[str]:
    """Environments whose file is no longer what the configuration and the definitions say."""
    before = os.environ.get("APP_ENV")
    try:
        return [env for env in config.environments() if _is_outdated(env)]
    finally:
        os.environ.pop("APP_ENV", None)
        os.environ.update({} if before is None else {"APP_ENV": before})
        config.load.cache_clear()


def _is_outdated(env: str) -> bool:
    os.environ["APP_ENV"] = env
    config.load.cache_clear()
    return file().exists() and file().read_text(encoding="utf-8") != text()


def main() -> int:
    """Write or check the file; the return value is the exit code."""
    if "--check" in sys.argv:
        wrong = outdated()
        for env in wrong:
            shown = f"deploy/terraform/workflows/{env}.json"
            print(f"error: {shown} is not what the configuration says: make workflows ENV={env}", file=sys.stderr)
        return 1 if wrong else 0
    path = file()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text(), encoding="utf-8")
    print(f"wrote {path.relative_to(config.load().root)}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ConfigError as error:
        sys.exit(f"error: {error}")
