"""What moto 5.2.5 lacks to run these definitions. Nothing here changes a definition; the version is pinned.

- JSONata: moto has no evaluator of its own, and hands texts over unquoted.
- ECS: a task starts nothing, and a machine that waits for one ignores its exit code.
- Names: parameters reach the client, and answers the state, in the wrong case; a child without a name is called 'None'.
- A state that is tried again finds the interrupted callback of its first attempt, and times out at once.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from ..containers import Container

Start = Callable[[list[str], dict[str, str]], Container]
_start: list[Start] = []  # the newest one counts: what an ECS task starts
_containers: dict[str, Container] = {}  # by the task's ARN


def apply(start: Start) -> None:
    """Patch moto, once for this process. start: gets a container's command and variables, and starts it."""
    _start.append(start)
    if len(_start) > 1:
        return
    _evaluate_jsonata()
    _run_tasks()
    _name_parameters()
    _wait_for_tasks()


def _evaluate_jsonata() -> None:
    import jsonata
    from moto.stepfunctions.parser.asl.jsonata import jsonata as module

    def evaluate(expression: str) -> Any:
        try:
            parsed = jsonata.Jsonata(expression)
            parsed.register_lambda("parse", json.loads)
            return parsed.evaluate(None)
        except Exception as error:
            raise module.JSONataException("States.QueryEvaluationError", str(error)) from error

    module._eval_jsonata = evaluate


def _run_tasks() -> None:
    from moto.ecs.models import EC2ContainerServiceBackend

    run_task = EC2ContainerServiceBackend.run_task

    def run(self: Any, *arguments: Any, **options: Any) -> Any:
        tasks = run_task(self, *arguments, **options)
        for task in tasks:
            [override] = task.overrides["containerOverrides"]
            variables = {each["name"]: each["value"] for each in override.get("environment", [])}
            _containers[task.task_arn] = _start[-1](override["command"], variables)
        return tasks

    EC2ContainerServiceBackend.run_task = run


def _name_parameters() -> None:
    import boto3
    from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_aws_sdk import (
        StateTaskServiceAwsSdk,
    )
    from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_ecs import (
        StateTaskServiceEcs,
    )
    from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_sfn import (
        StateTaskServiceSfn,
    )

    def shape(self: Any, kind: str, service: str | None, action: str | None) -> Any:
        client = boto3.client(self._get_boto_service_name(service), region_name="us-east-1")
        operation = client.meta.method_to_api_mapping[self._get_boto_service_action(action)]
        return getattr(client.meta.service_model.operation_model(operation), kind)

    def request(
        self: Any, parameters: dict, boto_service_name: str | None = None, service_action_name: str | None = None
    ) -> None:
        self._to_boto_request(parameters, shape(self, "input_shape", boto_service_name, service_action_name))

    def response(
        self: Any, response: Any, boto_service_name: str | None = None, service_action_name: str | None = None
    ) -> None:
        self._from_boto_response(response, shape(self, "output_shape", boto_service_name, service_action_name))

    def request_of_child(self: Any, parameters: dict, *arguments: Any, **options: Any) -> None:
        parameters.setdefault("Name", uuid4().hex)
        request(self, parameters, *arguments, **options)

    for each in (StateTaskServiceAwsSdk, StateTaskServiceEcs):
        each._normalise_parameters, each._normalise_response = request, response
    StateTaskServiceSfn._normalise_parameters, StateTaskServiceSfn._normalise_response = request_of_child, response


def _wait_for_tasks() -> None:
    from moto.stepfunctions.parser.api import HistoryEventType, TaskFailedEventDetails
    from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import (
        FailureEvent,
        FailureEventException,
    )
    from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name import StatesErrorName
    from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name_type import StatesErrorNameType
    from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import state_task_service_callback
    from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_ecs import (
        StateTaskServiceEcs,
    )
    from moto.stepfunctions.parser.asl.eval.event.event_detail import EventDetails

    state_task_service_callback._DELAY_SECONDS_SYNC_CONDITION_CHECK = 0.05
    eval_sync = StateTaskServiceEcs._eval_sync

    def failure(env: Any, task: dict[str, Any]) -> FailureEventException:
        details = TaskFailedEventDetails(
            error="States.TaskFailed",
            cause=json.dumps(task, default=str),
            resource="runTask.sync",
            resourceType="ecs",
        )
        event = FailureEvent(
            env=env,
            error_name=StatesErrorName(typ=StatesErrorNameType.StatesTaskFailed),
            event_type=HistoryEventType.TaskFailed,
            event_details=EventDetails(taskFailedEventDetails=details),
        )
        return FailureEventException(event)

    def build(self: Any, env: Any, *_: Any, **__: Any) -> Callable[[], Any]:
        [task] = env.stack.pop()["Tasks"]
        container = _containers[task["TaskArn"]]

        def resolve() -> Any:
            code = container.exit_code
            if code is None:
                return None
            stopped = {"Name": "step", "ExitCode": code, "LastStatus": "STOPPED"}
            task.update(LastStatus="STOPPED", StopCode="EssentialContainerExited", Containers=[stopped])
            if code:
                raise failure(env, task)
            return task

        resolve.container = container
        return resolve

    def wait(self: Any, env: Any, sync_resolver: Any, timeout_seconds: int, **_: Any) -> Any:
        nothing = {"callback_endpoint": None, "heartbeat_endpoint": None}
        outcome = eval_sync(self, env=env, sync_resolver=sync_resolver, timeout_seconds=timeout_seconds, **nothing)
        if outcome is None and sync_resolver.container.exit_code is None:
            sync_resolver.container.stop()  # the state has timed out: the service calls StopTask
        return outcome

    StateTaskServiceEcs._build_sync_resolver = build
    StateTaskServiceEcs._eval_sync = wait
