"""Write tests/terraform/<provider>.json: the arguments that the provider's types take, of those that the template uses.

Usage: terraform_facts.py PROVIDER VERSION SCHEMA.json, such as `terraform_facts.py google 8.7.0 google.json`

SCHEMA.json has what the provider's bindings for the CDK say: {"resource": {type: fields}, "data": {type: fields},
"provider": fields}. Fields are {name: [flags, type]}, flags of "c" computed, "o" optional and "r" required. A type is
"s", "n" or "b", a list, set or map of one ("Ls", "Sn", "Ms"), "*" for anything, or fields of its own: {"b": kind,
"f": fields} for a block, {"a": kind, "f": fields} for an object, where the kind is list, set, map or single.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "tests" / "terraform"
# Blocks of a provider's own settings, of which the bindings do not say what they hold: those that the template uses.
SETTINGS = {"aws": {"default_tags": {"tags": ["o", "Ms"]}}, "azurerm": {"features": {}}}
USED = re.compile(r'^\s*(?:mock_)?(resource|data) "(\w+)"', re.MULTILINE)


def used(provider: str) -> dict[str, set[str]]:
    """The types of the provider that the template's files name, by their kind."""
    types: dict[str, set[str]] = {"resource": set(), "data": set()}
    for path in [*ROOT.glob("template/**/*.tf"), *ROOT.glob("template/**/*.tf.jinja")]:
        for kind, name in USED.findall(path.read_text(encoding="utf-8")):
            if name.startswith(f"{provider}_"):
                types[kind].add(name)
    return types


def main(provider: str, version: str, schema: str) -> None:
    known = json.loads(Path(schema).read_text(encoding="utf-8"))
    lines = [f'"version":{json.dumps(version)}']
    for kind, names in used(provider).items():
        unknown = sorted(names - known[kind].keys())
        if unknown:
            sys.exit(f"error: {schema} has no {kind} {', '.join(unknown)}")
        rows = [f"{json.dumps(name)}:{compact(known[kind][name])}" for name in sorted(names)]
        lines.append(f'"{kind}":{{\n' + ",\n".join(rows) + "\n}")
    settings = {name: ["o", {"b": "list", "f": fields}] for name, fields in SETTINGS.get(provider, {}).items()}
    lines.append(f'"provider":{compact(known["provider"] | settings)}')
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{provider}.json").write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
