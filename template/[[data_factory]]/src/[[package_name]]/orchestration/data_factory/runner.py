"""What runs a definition of Data Factory on this machine: there is no emulator of the service.

It knows the activities and expressions that the platform's definitions use, and refuses all others in a sentence. What
an activity does in the cloud, such as a call or a look into storage, is done by `Actions`. Activities that could run
side by side run one after the other.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from ...platform.errors import ConfigError
from . import definitions, expressions
from .expressions import ExpressionError

SUCCEEDED, FAILED, SKIPPED, COMPLETED = "Succeeded", "Failed", "Skipped", "Completed"
RETURN_VALUE = "pipelineReturnValue"
Listener = Callable[[str, str], None]


class Failed(Exception):
    """A run or an activity has failed. code: of the error, as Data Factory shows it."""

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class Actions(Protocol):
    """What activities do outside of the run."""

    def web(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Make a call and return its answer. given: the activity's properties. Raises Failed."""

    def web_hook(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Make a call that hands over an address, and wait until it is called. Raises Failed when it is not in time."""

    def validate(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Wait for what a dataset describes. Raises Failed when it does not come in time."""

    def wait(self, seconds: float) -> None:
        """Let time pass."""


@dataclass
class Result:
    """How an activity ended."""

    status: str
    output: Any = None
    error: Failed | None = None

    def shown(self) -> dict[str, Any]:
        """As expressions see it."""
        error = {"message": str(self.error), "errorCode": self.error.code} if self.error else None
        return {"output": self.output, "Status": self.status, "error": error}


@dataclass
class Run:
    """A run of one definition, and of those that it starts.

    listener: gets the name of each activity of the first definition with an empty outcome when it begins, then with
    ``succeeded`` or ``failed``. activity_runs: how many there were, which the service charges for.
    """

    actions: Actions
    global_parameters: Mapping[str, Any]
    id: str
    listener: Listener = lambda name, outcome: None
    activity_runs: int = 0
    top: str = ""

    def of(self, name: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Run a definition to its end and return its values. Raises Failed, ConfigError for what is not known here."""
        self.top = self.top or name
        pipeline = definitions.of_pipeline(name)
        declared = pipeline.get("parameters", {})
        for unknown in parameters.keys() - declared.keys():
            raise ConfigError(f"{name} has no parameter {unknown}; it has {', '.join(declared) or 'none'}")
        given = {key: parameters.get(key, about.get("defaultValue")) for key, about in declared.items()}
        for missing in [key for key, value in given.items() if value is None]:
            raise Failed(f"{name} needs the parameter {missing}", "MissingParameter")
        scope = Scope(self, name, given, {k: v.get("defaultValue") for k, v in pipeline.get("variables", {}).items()})
        scope.run(pipeline["activities"])
        return scope.returned


@dataclass
class Scope:
    """One run of one definition: its parameters, variables and results."""

    whole: Run
    name: str
    parameters: Mapping[str, Any]
    variables: dict[str, Any]
    returned: dict[str, Any] = field(default_factory=dict)
    results: dict[str, Result] = field(default_factory=dict)
    depth: int = 0

    def run(self, activities: Sequence[Mapping[str, Any]]) -> None:
        """Run the activities in the order of their dependencies. Raises Failed when they fail as a whole."""
        left = list(activities)
        names = [each["name"] for each in left]
        for each in names:
            self.results.pop(each, None)  # of the round before
        while left:
            ready = [each for each in left if all(on["activity"] in self.results for on in each.get("dependsOn", ()))]
            if not ready:
                raise Failed(f"{self.name}: {left[0]['name']} waits for an activity that does not exist", "Dangling")
            for each in ready:
                self.results[each["name"]] = self._one(each) if self._may_run(each) else Result(SKIPPED)
                left.remove(each)
        followed = {on["activity"] for each in activities for on in each.get("dependsOn", ())}
        by_name = {each["name"]: each for each in activities}
        for leaf in [name for name in names if name not in followed]:
            if failure := self._failure(by_name, leaf):
                raise failure

    def _may_run(self, activity: Mapping[str, Any]) -> bool:
        return all(
            self.results[on["activity"]].status in _statuses(on["dependencyConditions"])
            for on in activity.get("dependsOn", ())
        )

    def _failure(self, by_name: Mapping[str, Any], name: str) -> Failed | None:
        """Why a last activity, or for one that was skipped those before it, failed the run."""
        result = self.results[name]
        if result.status == SKIPPED:
            before = [on["activity"] for on in by_name[name].get("dependsOn", ())]
            return next(filter(None, (self._failure(by_name, each) for each in before)), None)
        return result.error

    def _one(self, activity: Mapping[str, Any]) -> Result:
        name, kind = activity["name"], activity["type"]
        if kind not in ACTIVITIES:
            raise ConfigError(
                f"{self.name}: {name} is a {kind} activity, which the runner on this machine does not know; it knows "
                f"{', '.join(sorted(ACTIVITIES))}"
            )
        self.whole.activity_runs += 1
        top = self.name == self.whole.top and not self.depth
        if top:
            self.whole.listener(name, "")
        try:
            result = Result(SUCCEEDED, ACTIVITIES[kind](self, activity.get("typeProperties", {})))
        except ExpressionError as error:
            result = Result(FAILED, None, Failed(f"{self.name}: {name}: {error}", "ExpressionEvaluationFailed"))
        except Failed as error:
            result = Result(FAILED, None, error)
        if top:
            self.whole.listener(name, result.status.lower())
        return result

    def value(self, given: Any) -> Any:
        """A value with its expressions evaluated."""
        return expressions.evaluate(given, self._roots())

    def _roots(self) -> dict[str, Callable[..., Any]]:
        return {
            "pipeline": lambda: {
                "parameters": self.parameters,
                "globalParameters": self.whole.global_parameters,
                "RunId": self.whole.id,
                "Pipeline": self.name,
            },
            "variables": self.variables.__getitem__,
            "activity": lambda name: self.results[name].shown(),
        }

    # --- activities

    def set_variable(self, given: Mapping[str, Any]) -> None:
        name = given["variableName"]
        if name == RETURN_VALUE and given.get("setSystemVariable"):
            for each in given["value"]:
                self.returned[each["key"]] = self.value(each["value"]["content"])
            return
        if name not in self.variables:
            raise ConfigError(f"{self.name} has no variable {name}; it has {', '.join(self.variables) or 'none'}")
        value = self.value(given["value"])
        if not isinstance(value, str):
            raise Failed(f"the variable {name} takes a text, and gets {value!r}", "InvalidVariableValue")
        self.variables[name] = value

    def execute_pipeline(self, given: Mapping[str, Any]) -> dict[str, Any]:
        if given.get("waitOnCompletion") is not True:
            raise ConfigError(f"{self.name}: the runner waits for a pipeline that is started: set waitOnCompletion")
        parameters = self.value(given.get("parameters", {}))
        return {RETURN_VALUE: self.whole.of(given["pipeline"]["referenceName"], parameters)}

    def until(self, given: Mapping[str, Any]) -> None:
        """An activity that fails within does not end the rounds: only the expression and the time-out do."""
        end = time.monotonic() + seconds(self.value(given.get("timeout", "0.12:00:00")))
        while True:
            try:
                self._within(given["activities"])
                failure = None
            except Failed as error:
                failure = error
            if self.value(given["expression"]) is True:
                break
            if time.monotonic() > end:
                raise Failed(f"{self.name} took longer than {given['timeout']}", "ActivityTimeout")
        if failure:
            raise failure

    def if_condition(self, given: Mapping[str, Any]) -> None:
        branch = "ifTrueActivities" if self.value(given["expression"]) is True else "ifFalseActivities"
        self._within(given.get(branch, ()))

    def fail(self, given: Mapping[str, Any]) -> None:
        raise Failed(str(self.value(given["message"])), str(self.value(given["errorCode"])))

    def wait(self, given: Mapping[str, Any]) -> None:
        length = self.value(given["waitTimeInSeconds"])
        if not isinstance(length, int) or length < 1:
            raise Failed(f"a Wait takes whole seconds, and gets {length!r}", "InvalidWaitTime")
        self.whole.actions.wait(length)

    def web(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        return self.whole.actions.web(self.value(given))

    def web_hook(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        return self.whole.actions.web_hook(self.value(given))

    def validation(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        return self.whole.actions.validate(self.value(given))

    def _within(self, activities: Sequence[Mapping[str, Any]]) -> None:
        self.depth += 1
        try:
            self.run(activities)
        finally:
            self.depth -= 1


ACTIVITIES: Mapping[str, Callable[[Scope, Mapping[str, Any]], Any]] = {
    "ExecutePipeline": Scope.execute_pipeline,
    "Fail": Scope.fail,
    "IfCondition": Scope.if_condition,
    "SetVariable": Scope.set_variable,
    "Until": Scope.until,
    "Validation": Scope.validation,
    "Wait": Scope.wait,
    "WebActivity": Scope.web,
    "WebHook": Scope.web_hook,
}


def seconds(span: str) -> float:
    """The length of a span such as ``0.12:00:00``."""
    days, _, clock = span.partition(".")
    hours, minutes, rest = (int(part) for part in clock.split(":"))
    return ((int(days) * 24 + hours) * 60 + minutes) * 60 + rest


def _statuses(conditions: Sequence[str]) -> Iterator[str]:
    for each in conditions:
        yield from (SUCCEEDED, FAILED) if each == COMPLETED else (each,)
