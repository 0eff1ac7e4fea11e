"""What the identity of the factory may do: derived from the definitions, by the table below.

Terraform makes a role of what this writes. A call without a row is an error, so that nobody grants more than what the
definitions do.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ...platform.errors import ConfigError
from . import definitions

MANAGEMENT = "https://management.azure.com/"
JOB, FACTORY = (
    f"https://management.azure.com@{{pipeline().globalParameters.{name}}}" for name in ("step_job", "factory")
)
# Of each call what it is about, and the actions that it needs there. Who may start the job may run any command in it.
ACTIONS = {
    ("POST", f"{JOB}/start"): ("step_job", "Microsoft.App/jobs/start/action"),
    ("POST", f"{JOB}/executions/*/stop"): ("step_job", "Microsoft.App/jobs/stop/execution/action"),
    ("GET", f"{JOB}/executions/*"): (
        "step_job",
        "Microsoft.App/jobs/execution/read",
        "Microsoft.App/jobs/executions/read",
    ),
    ("POST", f"{FACTORY}/pipelines/pl_*/createRun"): (
        "factory",
        "Microsoft.DataFactory/factories/pipelines/createrun/action",
    ),
    ("GET", f"{FACTORY}/pipelineruns/*"): ("factory", "Microsoft.DataFactory/factories/pipelineruns/read"),
}

# A WebHook writes into one table, for which Terraform has a role of its own.
DECISIONS = {"value": "@pipeline().globalParameters.decisions_table", "type": "Expression"}


def activities(value: Any) -> Iterator[Mapping[str, Any]]:
    """Every activity of a definition, however deep."""
    if isinstance(value, Mapping):
        if "typeProperties" in value and "name" in value:
            yield value
        for each in value.values():
            yield from activities(each)
    elif isinstance(value, list):
        for each in value:
            yield from activities(each)


def of(wholes: list[Mapping[str, Any]]) -> dict[str, list[str]]:
    """The actions that these pipelines need: on ``step_job``, the job of the steps, and on ``factory``, the factory.

    Raises ConfigError for a call that the table has not.
    """
    needed: dict[str, set[str]] = {"step_job": set(), "factory": set()}
    for whole in wholes:
        for each in activities(whole["properties"]["activities"]):
            if each["type"] == "WebHook" and each["typeProperties"]["url"] != DECISIONS:
                raise ConfigError(f"{whole['name']}: {each['name']}: a WebHook may call the table of decisions alone")
            if each["type"] != "WebActivity":
                continue
            given = each["typeProperties"]
            method, url = given["method"], _path(given)
            if (method, url) not in ACTIONS or given["authentication"]["resource"] != MANAGEMENT:
                where = f"{whole['name']}: {each['name']}"
                raise ConfigError(
                    f"{where}: no permission is known for {method} {url}: add a row to {__name__}.ACTIONS"
                )
            about, *actions = ACTIONS[method, url]
            needed[about].update(actions)
    return {about: sorted(actions) for about, actions in needed.items()}


def needed() -> dict[str, list[str]]:
    """The actions that the project's definitions need, as `of`."""
    return of([definitions.read(file) for file in definitions.files("pipeline")])


def problems() -> list[str]:
    """Calls for which no permissions are known, a sentence each."""
    try:
        needed()
    except ConfigError as error:
        return [str(error)]
    return []


def _path(given: Mapping[str, Any]) -> str:
    """The URL of a call without its query, with a star for each expression but the one that says what it is about."""
    url = given["url"]["value"] if isinstance(given["url"], Mapping) else given["url"]
    about = next((each for each in (JOB, FACTORY) if url.startswith(each)), "")
    return about + re.sub(r"@\{[^}]*\}", "*", url.removeprefix(about)).partition("?")[0]
