"""The emulator of Workflows, and what it lacks: connectors that do something on this machine, and some repairs.

`workflows-emulator` runs a definition within this process. It would send the calls of connectors to Google; here they
go to handlers by name. Nothing is changed in a definition.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import workflows_emulator.main as engine
import workflows_emulator.render as rendering
from workflows_emulator.utils import WorkflowError

from ...platform.errors import ConfigError

Handler = Callable[[Mapping[str, Any]], Any]
Listener = Callable[[str, str], None]

_here = threading.local()


class Failed(Exception):
    """An execution has failed. payload: what was raised, as Workflows shows it."""

    def __init__(self, payload: Mapping[str, Any]) -> None:
        self.payload = payload
        super().__init__(str(payload.get("message") or payload))


def execute(
    definition: dict[str, Any],
    arguments: Mapping[str, Any],
    environment: Mapping[str, str],
    connectors: Mapping[str, Handler],
    listener: Listener = lambda step, outcome: None,
) -> Any:
    """Execute a definition and return what it returns.

    definition: is used up. environment: what ``sys.get_env`` finds. listener: gets the name of each step of ``main``
    with an empty outcome when it begins, then with ``succeeded`` or ``failed``. Raises Failed.
    """
    _here.connectors, _here.environment, _here.listener = connectors, environment, listener
    _here.main = {name for step in definition["main"]["steps"] for name in step}
    _here.depth = 0
    try:
        return _plain(engine.execute_workflow(definition, {"args": dict(arguments)}))
    except WorkflowError as error:
        payload = _plain(error.payload)
        raise Failed(payload if isinstance(payload, dict) else {"message": str(payload)}) from error


def error(message: str, *tags: str, **more: Any) -> WorkflowError:
    """An error for a handler to raise."""
    return WorkflowError(message=message, tags=list(tags), **more)


def _plain(value: Any) -> Any:
    """The emulator's dictionaries as Python's own."""
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in dict(value).items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value


def _call_connector(step: Mapping[str, Any]) -> Any:
    handler = _here.connectors.get(step["call"])
    if handler is None:
        raise ConfigError(f"{step['call']} does nothing on this machine: give it a handler in {__package__}.runs")
    return handler(_plain(step.get("args", {})))


def _execute_step(step_id: str, config: Mapping[str, Any], context: Any) -> Any:
    if _here.depth != 1 or step_id not in _here.main:
        return _original_step(step_id, config, context)
    _here.listener(step_id, "")
    try:
        result = _original_step(step_id, config, context)
    except BaseException:
        _here.listener(step_id, "failed")
        raise
    _here.listener(step_id, "succeeded")
    return result


def _execute_subworkflow(workflow: Any, params: Any, context: Any) -> Any:
    _here.depth += 1
    try:
        return _original_subworkflow(workflow, params, context)
    finally:
        _here.depth -= 1


def _render(value: Any, context: Any) -> Any:
    """A whole expression keeps its type; the emulator would write it out as text and read that again."""
    if isinstance(value, str) and value.startswith("${") and value.endswith("}"):
        return _plain(rendering.run_code(value[2:-1].replace("\n", " "), context))
    return value


def _event(name: str) -> Callable[..., Any]:
    """Callbacks, which the emulator lacks, are handlers too."""
    return lambda **given: _call_connector({"call": f"events.{name}", "args": given})


def _get(given: Any, keys: Any) -> Any:
    """``map.get`` is null for what is not there."""
    for key in [keys] if isinstance(keys, str) else keys:
        given = given.get(key) if isinstance(given, Mapping) else None
    return given


class _NoLock:
    """An error between the two calls would hold the emulator's own lock for ever."""

    def acquire(self) -> None:
        pass

    release = acquire


# It logs each error that a definition catches, and prints it where nothing is set up.
engine.logger.addHandler(logging.NullHandler())
engine.logger.propagate = False
rendering.logger = engine.logger
_original_step, _original_subworkflow = engine.execute_step, engine.execute_subworkflow
engine.execute_step, engine.execute_subworkflow = _execute_step, _execute_subworkflow
engine.StepCall.execute_connector = staticmethod(_call_connector)
engine.LOCK = _NoLock()
rendering.render_str = _render
rendering.STANDARD_LIBRARY |= {
    "null": None,
    "true": True,
    "false": False,
    "default": lambda value, other: other if value is None else value,
    "events": SimpleNamespace(
        **{name: _event(name) for name in ("create_callback_endpoint", "await_callback")},
    ),
    "map": SimpleNamespace(**{**vars(rendering.lib_map), "get": _get}),
    "sys": SimpleNamespace(
        **{**vars(rendering.lib_sys), "get_env": lambda name, other=None: _here.environment.get(name, other)}
    ),
}
