"""Values of a Helm chart against the facts in tests/charts/, which tools/chart_facts.py writes."""

from __future__ import annotations

from typing import Any

import yaml
from repository import ROOT

TYPES = {
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "array": list,
    "null": type(None),
}


def facts(chart: str) -> Any:
    return yaml.safe_load((ROOT / "tests" / "charts" / f"{chart}.yml").read_text())


def problems(values: Any, known: Any, path: str = "") -> list[str]:
    """A sentence for each value that the chart does not take, with its path."""
    if known == "any" or values is None:
        return []
    if isinstance(known, dict):
        if not isinstance(values, dict):
            return [f"{path} is no mapping"]
        found = []
        for key, value in values.items():
            inner = known.get(key, known.get("<>"))
            where = f"{path}.{key}" if path else key
            found += [f"{where} is no key of the chart"] if inner is None else problems(value, inner, where)
        return found
    if isinstance(known, list):
        if not isinstance(values, list):
            return [f"{path} is no list"]
        return [each for at, value in enumerate(values) for each in problems(value, known[0], f"{path}[{at}]")]
    is_one = any(isinstance(values, TYPES[kind]) for kind in known.split())
    if isinstance(values, bool) and "boolean" not in known:
        is_one = False
    return [] if is_one else [f"{path} is not of type {known}"]
