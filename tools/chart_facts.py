"""Write tests/charts/<chart>.yml: which keys a chart takes and of which type, from its values.schema.json.

Only names and types are kept, no text of the schema. Of a chart without a schema, its values.yaml takes the place: the
keys are those, and the types those of the defaults.
Usage: chart_facts.py CHART VERSION SCHEMA.json|VALUES.yaml [SUBCHART=SCHEMA.json ...]

A tree of keys: a mapping stands for an object that takes these keys, a text for a type or several, `any` for
everything, `[x]` for a list of x. The key `<>` stands for every other key, where a chart takes names of the user's own.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parents[1] / "tests" / "charts"
DEPTH = 6  # below that the charts take whatever Kubernetes takes


class Facts:
    def __init__(self, schema: dict[str, Any]) -> None:
        self.definitions = {**schema.get("definitions", {}), **schema.get("$defs", {})}

    def of(self, node: Any, depth: int = 0) -> Any:
        """The facts of a node of a schema."""
        if not isinstance(node, dict):
            return "any"
        if "$ref" in node:
            name = node["$ref"].rpartition("/")[2]
            # What is Kubernetes' own is checked against Kubernetes, not against the chart.
            return (
                "any"
                if name.startswith("io.k8s") or name not in self.definitions
                else self.of(self.definitions[name], depth)
            )
        for key in ("anyOf", "oneOf", "allOf"):
            if node.get(key) and "properties" not in node:
                several = [self.of(each, depth) for each in node[key]]
                filled = [each for each in several if each != "null"]
                return filled[0] if len(filled) == 1 else "any"
        kinds = node.get("type", "object" if "properties" in node else None)
        kinds = kinds if isinstance(kinds, list) else [kinds] if kinds else []
        properties = node.get("properties")
        if properties and depth < DEPTH:
            keys = {name: self.of(child, depth + 1) for name, child in sorted(properties.items())}
            return keys | ({"<>": "any"} if isinstance(node.get("additionalProperties"), dict) else {})
        if kinds == ["array"] and isinstance(node.get("items"), dict):
            return [self.of(node["items"], depth + 1)]
        if not kinds or "object" in kinds:
            return "any"
        return " ".join(kinds)


def of_defaults(node: Any) -> Any:
    """The facts of a default value; an empty one says nothing, and a security context is Kubernetes' own."""
    if isinstance(node, dict) and node:
        is_own = {name: name.lower().endswith("securitycontext") for name in node}
        return {name: "any" if is_own[name] else of_defaults(child) for name, child in sorted(node.items())}
    kinds = {bool: "boolean", int: "integer", str: "string"}
    return kinds.get(type(node), "any")


def main(chart: str, version: str, schema: str, *subcharts: str) -> None:
    whole = yaml.safe_load(Path(schema).read_text(encoding="utf-8"))
    facts = Facts(whole).of(whole) if schema.endswith(".json") else of_defaults(whole)
    for each in subcharts:
        name, _, path = each.partition("=")
        inner = json.loads(Path(path).read_text(encoding="utf-8"))
        facts[name] = {**facts.get(name, {}), **Facts(inner).of(inner)}
    text = f"# Keys and types of the chart {chart} {version}; written by tools/chart_facts.py.\n"
    text += yaml.safe_dump(facts, default_flow_style=None, width=140, sort_keys=True)
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{chart}.yml").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
