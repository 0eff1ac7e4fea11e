"""What the identity of the workflows may do: derived from the definitions, by the table below.

Terraform makes a role of each scope from what this writes. A call without a row is an error, so that nobody grants more
than what the definitions do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from ...platform.errors import ConfigError
from . import definitions

# Of each call the permissions, by scope: the job of the steps, the bucket of the locks, the project.
PERMISSIONS: Mapping[str, Mapping[str, Sequence[str]]] = {
    # Overrides need a permission of their own. The connector waits, so it reads the operation, which is the project's.
    "googleapis.run.v2.projects.locations.jobs.run": {
        "job": ["run.jobs.run", "run.jobs.runWithOverrides", "run.executions.get"],
        "project": ["run.operations.get"],
    },
    "googleapis.run.v2.projects.locations.jobs.executions.tasks.list": {"job": ["run.tasks.list"]},
    # An object that is written again is deleted first.
    "googleapis.storage.v1.objects.insert": {"locks": ["storage.objects.create", "storage.objects.delete"]},
    "googleapis.storage.v1.objects.get": {"locks": ["storage.objects.get"]},
    "googleapis.workflowexecutions.v1.projects.locations.workflows.executions.get": {
        "project": ["workflows.executions.get"]
    },
    # Workflows needs no permission for a callback; whoever calls it needs that of starting workflows.
    "events.create_callback_endpoint": {},
    "events.await_callback": {},
    "sys.log": {"project": ["logging.logEntries.create"]},
    "sys.sleep": {},
}
SCOPES = ("job", "locks", "project")


def calls(value: Any) -> Iterator[str]:
    """Every call in a definition, or a part of it."""
    if isinstance(value, Mapping):
        if isinstance(value.get("call"), str):
            yield value["call"]
        for each in value.values():
            yield from calls(each)
    elif isinstance(value, list):
        for each in value:
            yield from calls(each)


def of_sources(sources: list[str]) -> dict[str, list[str]]:
    """The permissions that these definitions need, by scope. Raises ConfigError for a call that the table has not."""
    needed: dict[str, set[str]] = {scope: set() for scope in SCOPES}
    for source in sources:
        workflows = yaml.safe_load(source)
        for call in sorted(set(calls(workflows)) - set(workflows)):
            if call not in PERMISSIONS:
                raise ConfigError(f"no permissions are known for {call}: add a row to {__name__}.PERMISSIONS")
            for scope, permissions in PERMISSIONS[call].items():
                needed[scope] |= set(permissions)
    return {scope: sorted(needed[scope]) for scope in SCOPES}


def needed() -> dict[str, list[str]]:
    """The permissions that the project's definitions need, by scope. Raises ConfigError as `of_sources`."""
    return of_sources(list(definitions.sources().values()))


def problems() -> list[str]:
    """Calls for which no permissions are known, a sentence each."""
    try:
        needed()
    except ConfigError as error:
        return [str(error)]
    return []


if __name__ == "__main__":
    for scope, permissions in needed().items():
        print(f"{scope}: {', '.join(permissions)}")
