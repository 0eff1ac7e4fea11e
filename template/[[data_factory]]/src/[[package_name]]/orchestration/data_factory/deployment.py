"""What Terraform takes from the project, as JSON on standard output: `make deploy` hands it over as variables.

``permissions``: of the factory's identity, by what it has them on. ``global_parameters``: those that the configuration
decides. ``pipelines``: of each one when its first window begins, empty where nothing starts it here; its SLA as a span;
whether it waits for people; whether its definition looks for files, and the container of Blob Storage that they land
in, empty for another place; the paths of the files that start a look for late ones.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from ...platform import config
from ...platform.errors import ConfigError
from ...platform.pipelines import Pipeline
from . import ENGINE, definitions, permissions


def values() -> dict[str, Any]:
    """The variables of the environment in APP_ENV. Raises ConfigError."""
    parameters = definitions.global_parameters()
    return {
        "environment": config.load().env,
        "permissions": permissions.needed(),
        "global_parameters": {
            name: {"type": definitions.GLOBAL_PARAMETERS[name], "value": _text(value)}
            for name, value in parameters.items()
        },
        "pipelines": {each.name: _of(each) for each in definitions.defined()},
    }


def _of(pipeline: Pipeline) -> dict[str, Any]:
    is_own = pipeline.settings.orchestrator == ENGINE.id
    first = definitions.first_window(pipeline) if is_own else None
    return {
        "first_window": first.strftime("%Y-%m-%dT%H:%M:%SZ") if first else "",
        "sla": definitions.span(pipeline.settings.sla_seconds),
        "waits_for_people": bool(pipeline.held_step),
        "waits_for_files": _waits_for_files(pipeline),
        "landing_container": definitions.settings(pipeline)["container"],
        "late_files": definitions.late_files(pipeline) if is_own else None,
    }


def _waits_for_files(pipeline: Pipeline) -> bool:
    activities = definitions.of_pipeline(definitions.name_of(pipeline))["activities"]
    return any(each["type"] == "Validation" for each in permissions.activities(activities))


def _text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def main() -> None:
    try:
        print(json.dumps(values(), indent=2))
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(78)


if __name__ == "__main__":
    main()
