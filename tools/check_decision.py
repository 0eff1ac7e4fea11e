"""Check decision/*.yml: against the JSON Schemas beside them, and that they name only systems and answers there are.

Prints one line per problem, which names the rule or system, and ends with an error when there is one.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator

import jsonschema
from decision_engine import CHOICES, ROOT, data

FILES = ("answers", "integrations", "rules", "scenarios", "systems")
GUIDE = ROOT / "docs" / "decision-guide.md"
EFFECTS = ("require", "exclude", "exclude_variants", "prefer", "caution", "caution_variants")
WITH_SYSTEMS = ("require", "exclude", "prefer", "caution")


def problems(**changed) -> list[str]:
    """What is wrong, one sentence each; ``rules=[...]`` and so on replace what the files hold."""
    contents = {name: data(name) for name in FILES} | changed
    found = [problem for name in FILES for problem in _against_schema(name, contents[name])]
    # What does not even have the right form is not looked into further.
    return found or list(_unknown_names(contents))


def _against_schema(name: str, content) -> Iterator[str]:
    schema = json.loads((ROOT / "decision" / f"{name}.schema.json").read_text(encoding="utf-8"))
    # As JSON, in which every key is text: YAML reads `true` as a boolean even there.
    instance = json.loads(json.dumps(content))
    for error in sorted(
        jsonschema.Draft202012Validator(schema).iter_errors(instance), key=lambda error: error.json_path
    ):
        deepest = jsonschema.exceptions.best_match([error])
        yield f"decision/{name}.yml: {_where(name, content, list(deepest.absolute_path))}{_said(deepest)}"


def _where(name: str, content, path: list) -> str:
    """The rule, system or variant that a path leads through, by its id, and the key in it."""
    told, here = [], content
    for step in path:
        here = here.get(step) if isinstance(here, dict) else here[step]
        if isinstance(here, dict) and ("id" in here or "situation" in here):
            told = [f"{'rule' if name == 'rules' else 'entry'} {here.get('id') or here['situation']}"]
        elif isinstance(step, str):
            told.append(step)
    return f"{', '.join(told)}: " if told else ""


def _said(error: jsonschema.ValidationError) -> str:
    if error.validator == "oneOf" and error.validator_value and error.validator_value[0].keys() == {"required"}:
        return f"it must have one effect, one of {', '.join(EFFECTS)}"
    return error.message


def _unknown_names(contents: dict) -> Iterator[str]:
    systems = {system["id"]: system for system in contents["systems"]["systems"]}
    ids = [variant["id"] for system in systems.values() for variant in system.get("variants", [])]
    for kind, names in (
        ("rule", [rule["id"] for rule in contents["rules"]]),
        ("system", [system["id"] for system in contents["systems"]["systems"]]),
        ("tie_break", [system["tie_break"] for system in contents["systems"]["systems"]]),
        ("hosting variant", ids),
        *((f"rank of {s['id']}", [v["rank"] for v in s.get("variants", [])]) for s in systems.values()),
    ):
        yield from (
            f"decision: {kind} {name} stands twice" for name in sorted({n for n in names if names.count(n) > 1})
        )
    guide = GUIDE.read_text(encoding="utf-8").casefold().splitlines()
    headings = {line.lstrip("# ") for line in guide if line.startswith("#")}
    for rule in contents["rules"]:
        where = f"decision/rules.yml: rule {rule['id']}: "
        yield from (where + problem for problem in _unknown_answers(rule.get("when", {})))
        for effect in WITH_SYSTEMS:
            named = rule.get(effect, [])
            for system in [] if named == "all" else named:
                if system not in systems:
                    yield f"{where}{effect} names {system}, which is no system"
        for effect in ("exclude_variants", "caution_variants"):
            for name, value in rule.get(effect, {}).items():
                if not any(
                    dict(variant, system=system["id"]).get(name) == value
                    for system in systems.values()
                    for variant in system.get("variants", [])
                ):
                    yield f"{where}{effect} names {name}: {value}, which no hosting variant has"
        number, _, part = rule["source"].removeprefix("section ").partition(", ")
        if not any(heading.startswith(f"{number}. ") for heading in headings) or (part and part not in headings):
            yield f"{where}its source, {rule['source']}, is no heading of docs/decision-guide.md"
    for dimension in contents["systems"]["dimensions"]:
        for move in dimension.get("raise", []):
            yield from (f"decision/systems.yml: {dimension['id']}: {p}" for p in _unknown_answers(move["when"]))
    dimensions = {dimension["id"] for dimension in contents["systems"]["dimensions"]}
    for system in systems.values():
        where = f"decision/systems.yml: entry {system['id']}: "
        if "scores" in system and system["scores"].keys() != dimensions:
            yield f"{where}scores must be of {', '.join(sorted(dimensions))}"
        for part in system.get("variants", []) + system.get("adjust", []):
            for when in (part.get("suits", {}), part.get("when", {})):
                yield from (where + problem for problem in _unknown_answers(when))
        yield from (where + problem for problem in _unknown_answers({"needs": system.get("covers", [])}))
        yield from (
            f"{where}its member {member['system']} is no system"
            for member in system.get("members", [])
            if member["system"] not in systems
        )
    for name, question in contents["answers"].items():
        if list(question["answers"]) != CHOICES.get(name) and set(question["answers"]) != set(CHOICES.get(name, [])):
            yield f"decision/answers.yml: {name}: its answers are not those of questions/decision.yml"
    if contents["answers"].keys() != CHOICES.keys():
        yield "decision/answers.yml: its questions are not those of questions/decision.yml"
    yield from _integrations(contents["integrations"]["systems"], {i for i in systems if "members" not in systems[i]})


def _integrations(touched: dict, orchestrators: set[str]) -> Iterator[str]:
    minimums: dict[str, str] = {}
    for touched_id, system in touched.items():
        where = f"decision/integrations.yml: {touched_id}: "
        cells = {key: value for key, value in system.items() if isinstance(value, dict)}
        yield from (f"{where}{unknown} is no orchestrator" for unknown in sorted(cells.keys() - orchestrators))
        for cell in cells.values():
            package, minimum = cell.get("package"), cell.get("minimum")
            if minimums.setdefault(package, minimum) != minimum:
                yield f"{where}{package} has another minimum elsewhere"


def _unknown_answers(when: dict) -> Iterator[str]:
    for name, wanted in when.items():
        if name not in CHOICES:
            yield f"{name} is no question"
            continue
        values = [v for listed in wanted.values() for v in listed] if isinstance(wanted, dict) else wanted
        for value in values if isinstance(values, list) else [values]:
            if value not in CHOICES[name]:
                yield f"{value} is no answer to {name}"


if __name__ == "__main__":
    found = problems()
    print("\n".join(found), end="\n" if found else "", file=sys.stderr)
    sys.exit(1 if found else 0)
