"""What the role of each machine may do, as it follows from its definition by the table `ROWS`.

``python -m <package>.orchestration.step_functions.permissions`` lists it. `deploy` hands it to Terraform, where the
names of resources become ARNs. The SDK's name of a call is not always IAM's, so each has a row; one that is missing
fails.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ...platform.errors import ConfigError
from . import definitions
from .checks import action_of, machines, tasks

# Names of resources that Terraform knows, besides those of machines.
ANY, TABLE, TASK, TASK_ROLES = "any", "table", "task_definition", "task_roles"
ECS_RULE, MACHINE_RULE = "rule_of_ecs", "rule_of_machines"  # by which the service learns that what it waits for ended
TARGET, TARGET_RUNS, SELF, SELF_RUNS = "{target}", "runs_of:{target}", "{self}", "runs_of:{self}"
PIPELINES = "pipelines"


@dataclass(frozen=True)
class Permission:
    """Actions on resources. passed_to: the service that a role may be handed to, else empty."""

    actions: tuple[str, ...]
    resource: str
    passed_to: str = ""


RULE_ACTIONS = ("events:DescribeRule", "events:PutRule", "events:PutTargets")
# By action and pattern of a Task.
ROWS: dict[tuple[str, str], tuple[Permission, ...]] = {
    ("ecs:runTask", ".sync"): (
        Permission(("ecs:RunTask",), TASK),
        Permission(("ecs:DescribeTasks", "ecs:StopTask"), ANY),  # the ids of tasks are not known before
        Permission(("iam:PassRole",), TASK_ROLES, passed_to="ecs-tasks.amazonaws.com"),
        Permission(RULE_ACTIONS, ECS_RULE),
    ),
    ("states:startExecution", ""): (Permission(("states:StartExecution",), TARGET),),
    ("states:startExecution", ".sync:2"): (
        Permission(("states:StartExecution",), TARGET),
        Permission(("states:DescribeExecution", "states:StopExecution"), TARGET_RUNS),
        Permission(RULE_ACTIONS, MACHINE_RULE),
    ),
    ("dynamodb:getItem", ""): (Permission(("dynamodb:GetItem",), TABLE),),
    ("dynamodb:putItem", ""): (Permission(("dynamodb:PutItem",), TABLE),),
    ("dynamodb:updateItem", ""): (Permission(("dynamodb:UpdateItem",), TABLE),),
    ("dynamodb:deleteItem", ""): (Permission(("dynamodb:DeleteItem",), TABLE),),
    ("aws-sdk:dynamodb:putItem", ".waitForTaskToken"): (Permission(("dynamodb:PutItem",), TABLE),),
    ("aws-sdk:sfn:describeExecution", ""): (Permission(("states:DescribeExecution",), f"runs_of:{PIPELINES}"),),
    ("aws-sdk:sfn:sendTaskSuccess", ""): (Permission(("states:SendTaskSuccess",), ANY),),
}
DISTRIBUTED_MAP = (
    Permission(("states:StartExecution",), SELF),
    Permission(("states:DescribeExecution", "states:RedriveExecution", "states:StopExecution"), SELF_RUNS),
)
LOGGING = Permission(
    (
        *("logs:CreateLogDelivery", "logs:DeleteLogDelivery", "logs:GetLogDelivery", "logs:ListLogDeliveries"),
        *("logs:DescribeLogGroups", "logs:DescribeResourcePolicies", "logs:PutResourcePolicy"),
        "logs:UpdateLogDelivery",
    ),
    ANY,
)


def of_machine(name: str, machine: Mapping[str, Any]) -> list[Permission]:
    """What the machine of this name needs, each action on a resource once. Raises ConfigError without a row for it."""
    needed: set[tuple[str, str, str]] = set()
    for state_name, state in tasks(machine):
        key = action_of(str(state["Resource"]))
        if key not in ROWS:
            raise ConfigError(
                f"{name}, {state_name}: no row says what {''.join(key)} may do: add one to ROWS in permissions.py"
            )
        needed |= _filled(ROWS[key], name, _target(state))
    if any(inner["ItemProcessor"]["ProcessorConfig"]["Mode"] == "DISTRIBUTED" for inner in _maps(machine)):
        needed |= _filled(DISTRIBUTED_MAP, name, "")
    needed |= _filled((LOGGING,), name, "")
    by_resource: dict[tuple[str, str], list[str]] = {}
    for action, resource, passed_to in sorted(needed):
        by_resource.setdefault((resource, passed_to), []).append(action)
    return [Permission(tuple(actions), *where) for where, actions in sorted(by_resource.items())]


def all_of_them() -> dict[str, list[Permission]]:
    """The permissions of each machine's role, by the machine's name without the project's prefix."""
    files = {f"platform-{name}": definitions.platform_file(name) for name in definitions.PLATFORM}
    files |= {each.name: definitions.file_of(each) for each in definitions.defined()}
    return {name: of_machine(name, definitions.read(file)) for name, file in files.items()}


def as_data(permissions: Iterable[Permission]) -> list[dict[str, Any]]:
    return [asdict(each) | {"actions": list(each.actions)} for each in permissions]


def _filled(rows: Iterable[Permission], name: str, target: str) -> set[tuple[str, str, str]]:
    return {
        (action, row.resource.replace("{self}", name).replace("{target}", target), row.passed_to)
        for row in rows
        for action in row.actions
    }


def _target(state: Mapping[str, Any]) -> str:
    """The machine that a state starts: one of the platform's, or any pipeline's."""
    arn = str(state.get("Arguments", {}).get("StateMachineArn", ""))
    if arn.startswith("${") and arn.endswith("_arn}"):
        return f"platform-{arn[2:-5]}"
    return PIPELINES if "${machine_prefix}" in arn else arn


def _maps(machine: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [state for each in machines(machine) for state in each["States"].values() if state.get("Type") == "Map"]


def main() -> int:
    """Print the permissions; the return value is the exit code."""
    for name, permissions in all_of_them().items():
        print(name)
        for each in permissions:
            print(f"  {each.resource:<28} {', '.join(each.actions)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
