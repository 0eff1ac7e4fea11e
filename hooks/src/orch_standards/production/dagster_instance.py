"""What the settings of a Dagster instance add to its code, wherever they stand.

They are written as dagster.yaml, under another name that an image or Compose puts in its place, as values of the Helm
chart, inside a ConfigMap, as settings of a Dagster+ deployment, or between the lines of a script that writes the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml

from ..engines import Engines
from ..project import Loader

KEYS = ("run_monitoring", "run_retries", "run_coordinator", "run_queue", "concurrency", "tag_concurrency_limits")
# These mean something else in other files.
AMBIGUOUS = ("concurrency", "tag_concurrency_limits")
MENTIONED = re.compile(rb"run_?(?:monitoring|retries|coordinator|queue)\b|concurrency", re.IGNORECASE)
SETTING = re.compile(r"\b(max_runtime_seconds|max_concurrent_runs|max_retries)[\"']?\s*[:=]\s*[\"']?([^\s\"',]+)")
HEREDOC = re.compile(r"<<[-~]?\s*[\"']?(\w+)[\"']?[^\n]*\n(.*?)\n\s*\1\b", re.DOTALL)


def settings_of(engines: Engines) -> dict[str, Any]:
    """Settings of the instance by their names in dagster.yaml, those of all files together."""
    project = engines.project
    found: dict[str, Any] = {}
    for path in engines.settings_files:
        if not MENTIONED.search(project.bytes(path)):
            continue
        named = "dagster" in path.lower() or "deployment" in path.lower()
        if path.endswith((".yml", ".yaml")):
            documents = project.yaml_documents(path)
        else:
            documents = [text for _, body in HEREDOC.findall(project.text(path)) for text in _parsed(body)]
        known = [each for document in documents for each in _within(document, named)]
        for each in known or [_in_text(project.text(path))]:
            found = _merged(found, each)
    return found


def _in_text(text: str) -> dict[str, Any]:
    """The same of what is no YAML yet: a chart's template, or Terraform."""
    lines = [_snake(line) for line in text.split("\n") if not line.lstrip().startswith(("#", "//"))]
    settings = dict(match.groups() for line in lines if (match := SETTING.search(line)))
    found: dict[str, Any] = {}
    if "max_runtime_seconds" in settings:
        found["run_monitoring"] = {"max_runtime_seconds": settings["max_runtime_seconds"]}
    if "max_concurrent_runs" in settings:
        found["run_queue"] = {"max_concurrent_runs": settings["max_concurrent_runs"]}
    if any("run_retries" in line for line in lines) and settings.get("max_retries", "0") != "0":
        found["run_retries"] = {"enabled": True}
    return found


def _within(value: Any, named: bool) -> Iterator[dict[str, Any]]:
    """Settings at any depth of a document. named: whether its file is known to be about Dagster."""
    if isinstance(value, dict):
        own = {_snake(key): each for key, each in value.items() if isinstance(key, str)}
        known = {key: _snaked(own[key]) for key in KEYS if key in own}
        if known and (named or known.keys() - set(AMBIGUOUS)):
            yield known
        for each in value.values():
            yield from _within(each, named)
    elif isinstance(value, list):
        for each in value:
            yield from _within(each, named)
    elif isinstance(value, str) and "\n" in value and MENTIONED.search(value.encode()):
        for each in _parsed(value):
            yield from _within(each, True)


def _parsed(text: str) -> list[Any]:
    """A file inside of a file, as in a ConfigMap; nothing where it is none."""
    try:
        return [yaml.load(text, Loader=Loader)]  # noqa: S506  a loader that is derived from the safe one
    except (yaml.YAMLError, ValueError, TypeError):
        return []


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _snaked(value: Any) -> Any:
    if isinstance(value, dict):
        return {_snake(str(key)): _snaked(each) for key, each in value.items()}
    return value


def _merged(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    both = {
        key for key in first.keys() & second.keys() if isinstance(first[key], dict) and isinstance(second[key], dict)
    }
    return {**first, **second, **{key: _merged(first[key], second[key]) for key in both}}


def retries_runs(instance: dict[str, Any]) -> bool:
    """Whether failed runs are repeated, also those in which a step failed."""
    retries = instance.get("run_retries") or {}
    enabled = retries.get("enabled", "max_retries" in retries)
    wanted = retries.get("max_retries", 1) != 0
    # Switched off for failed steps, it only repeats runs whose process died.
    return bool(enabled) and wanted and retries.get("retry_on_asset_or_op_failure", True)


def limits_runs(instance: dict[str, Any]) -> bool:
    return any(_limits(instance.get(key)) for key in ("concurrency", "run_queue", "run_coordinator"))


def _limits(settings: object) -> bool:
    """Whether settings hold a limit, such as concurrency.pools.default_limit."""
    if not isinstance(settings, dict):
        return False
    return any("limit" in key or key == "max_concurrent_runs" or _limits(each) for key, each in settings.items())


def ends_runs(instance: dict[str, Any]) -> bool:
    """Whether a run that takes too long is ended."""
    monitoring = instance.get("run_monitoring") or {}
    return monitoring.get("enabled", True) is not False and bool(monitoring.get("max_runtime_seconds"))
