"""Check decision/: against the JSON Schemas beside the files, and that they name only systems and answers there are.

Prints one line per problem, which names the rule or system, and ends with an error when there is one.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator

import jsonschema
from compile_decision import EFFECTS
from decision_engine import CHOICES, ROOT, SOURCES, data

FILES = (*SOURCES, "packages", "scenarios")
GUIDE = ROOT / "docs" / "decision-guide.md"
WITH_SYSTEMS = ("require", "exclude", "move_to", "prefer", "avoid", "caution")


def problems(**changed) -> list[str]:
    """What is wrong, one sentence each; ``rules=[...]`` and so on replace what the files hold."""
    contents = {name: data(name) for name in FILES} | changed
    found = [problem for name in FILES for problem in _against_schema(name, contents[name])]
    # What does not even have the right form is not looked into further.
    return found or list(_unknown_names(contents))


def _against_schema(name: str, content) -> Iterator[str]:
    if name == "systems":
        for system in content:
            yield from _errors(f"systems/{system.get('id')}", "system", system)
    else:
        yield from _errors(name, name, content)


def _errors(file: str, schema: str, content) -> Iterator[str]:
    rules = json.loads((ROOT / "decision" / f"{schema}.schema.json").read_text(encoding="utf-8"))
    # As JSON, in which every key is text: YAML reads `true` as a boolean even there.
    instance = json.loads(json.dumps(content, default=str))
    for error in sorted(
        jsonschema.Draft202012Validator(rules).iter_errors(instance), key=lambda error: error.json_path
    ):
        deepest = jsonschema.exceptions.best_match([error])
        where = _where(schema, content, list(deepest.absolute_path))
        yield f"decision/{file}.yml: {where}{_message(deepest)}"


def _where(schema: str, content, path: list) -> str:
    """The rule, system or variant that a path leads through, by its id, and the key in it."""
    steps, here = [], content
    for step in path:
        here = here.get(step) if isinstance(here, dict) else here[step]
        if isinstance(here, dict) and ("id" in here or "situation" in here):
            steps = [f"{'rule' if schema == 'rules' else 'entry'} {here.get('id') or here['situation']}"]
        elif isinstance(step, str):
            steps.append(step)
    return f"{', '.join(steps)}: " if steps else ""


def _message(error: jsonschema.ValidationError) -> str:
    if error.validator == "oneOf" and error.validator_value and error.validator_value[0].keys() == {"required"}:
        return f"it must have one effect, one of {', '.join(EFFECTS)}"
    return error.message


def _unknown_names(contents: dict) -> Iterator[str]:
    systems = {system["id"]: system for system in contents["systems"]}
    single = {name: system for name, system in systems.items() if "members" not in system}
    variants = [
        {"system": system["id"]} | variant for system in contents["systems"] for variant in system.get("variants", [])
    ]
    yield from _repeated(contents, variants)
    yield from _in_rules(contents["rules"], systems, variants)
    for dimension in contents["dimensions"]["dimensions"]:
        for move in dimension.get("raise", []):
            yield from (f"decision/dimensions.yml: {dimension['id']}: {p}" for p in _unknown_answers(move["when"]))
    dimensions = {dimension["id"] for dimension in contents["dimensions"]["dimensions"]}
    for system in systems.values():
        where = f"decision/systems/{system['id']}.yml: "
        if "scores" in system and system["scores"].keys() != dimensions:
            yield f"{where}scores must be of {', '.join(sorted(dimensions))}"
        if "serves" in system and list(system["serves"]) != CHOICES["needs"]:
            yield f"{where}serves must be of {', '.join(CHOICES['needs'])}, in this order"
        for part in system.get("variants", []) + system.get("adjust", []):
            for when in (part.get("suits", {}), part.get("when", {})):
                yield from (where + problem for problem in _unknown_answers(when))
        yield from (
            f"{where}its member {member['system']} is no system"
            for member in system.get("members", [])
            if member["system"] not in single
        )
    yield from _in_costs(contents["costs"], single.keys(), {variant["id"] for variant in variants})
    yield from _in_answers(contents["answers"])
    yield from _in_integrations(contents["integrations"]["systems"], single.keys(), contents["packages"]["packages"])
    steps = contents["dimensions"]["steps"]
    for scenario in contents["scenarios"]:
        if scenario["step"] not in steps:
            yield f"decision/scenarios.yml: entry {scenario['situation']}: its step is none of {', '.join(steps)}"


def _repeated(contents: dict, variants: list[dict]) -> Iterator[str]:
    for kind, names in (
        ("rule", [rule["id"] for rule in contents["rules"]]),
        ("system", [system["id"] for system in contents["systems"]]),
        ("effort", [system["effort"] for system in contents["systems"]]),
        ("hosting variant", [variant["id"] for variant in variants]),
        ("rank", [f"{variant['rank']} of {variant['system']}" for variant in variants]),
    ):
        yield from (
            f"decision: {kind} {name} stands twice" for name in sorted({n for n in names if names.count(n) > 1})
        )


def _in_rules(rules: list[dict], systems: dict, variants: list[dict]) -> Iterator[str]:
    guide = GUIDE.read_text(encoding="utf-8").casefold().splitlines()
    headings = {line.lstrip("# ") for line in guide if line.startswith("#")}
    for rule in rules:
        where = f"decision/rules.yml: rule {rule['id']}: "
        yield from (where + problem for problem in _unknown_answers(rule.get("when", {})))
        for effect in WITH_SYSTEMS:
            named = rule.get(effect, [])
            for system in [] if named == "all" else named:
                if system not in systems:
                    yield f"{where}{effect} names {system}, which is no system"
        for effect in ("exclude_variants", "caution_variants"):
            for name, value in rule.get(effect, {}).items():
                if not any(variant.get(name) == value for variant in variants):
                    yield f"{where}{effect} names {name}: {value}, which no hosting variant has"
        number, _, part = rule["source"].removeprefix("section ").partition(", ")
        if not any(heading.startswith(f"{number}. ") for heading in headings) or (part and part not in headings):
            yield f"{where}its source, {rule['source']}, is no heading of docs/decision-guide.md"


def _in_costs(costs: dict, systems: set[str], variants: set[str]) -> Iterator[str]:
    for kind, names, known in (
        ("weeks", costs["weeks"], systems),
        ("prices", costs["prices"], variants),
        ("engineers", costs["engineers"], set(CHOICES["team_size"])),
        ("pipelines", costs["pipelines"], set(CHOICES["pipeline_count"])),
        ("migration, engineers", costs["migration"]["engineers"], set(CHOICES["pipeline_count"])),
        ("migration, leaving", costs["migration"]["operators"]["leaving"], set(CHOICES["current_orchestrator"])),
        ("migration, nothing_to_move", costs["migration"]["nothing_to_move"], set(CHOICES["current_orchestrator"])),
    ):
        yield from (f"decision/costs.yml: {kind}: there is no {name}" for name in names if name not in known)


def _in_answers(answers: dict) -> Iterator[str]:
    for name, question in answers.items():
        if "answers" in question and set(question["answers"]) != set(CHOICES.get(name, [])):
            yield f"decision/answers.yml: {name}: its answers are not those of questions/decision.yml"
    if answers.keys() != CHOICES.keys():
        yield "decision/answers.yml: its questions are not those of questions/decision.yml"


def minimums(touched: dict) -> dict[str, str]:
    """Of each package that decision/integrations.yml names, its lower bound."""
    cells = [cell for system in touched.values() for cell in system.values() if isinstance(cell, dict)]
    return {cell["package"]: cell["minimum"] for cell in cells if "package" in cell}


def _in_integrations(touched: dict, orchestrators: set[str], facts: dict) -> Iterator[str]:
    bounds = minimums(touched)
    for touched_id, system in touched.items():
        where = f"decision/integrations.yml: {touched_id}: "
        for orchestrator, cell in system.items():
            if isinstance(cell, dict) and orchestrator not in orchestrators:
                yield f"{where}{orchestrator} is no orchestrator"
            elif isinstance(cell, dict) and cell.get("minimum") != bounds.get(cell.get("package")):
                yield f"{where}{orchestrator}: {cell['package']} has another minimum elsewhere"
    if facts.keys() != bounds.keys():
        names = ", ".join(sorted(facts.keys() ^ bounds.keys()))
        yield f"decision/packages.yml: its packages are not those of integrations.yml ({names}); run make integrations"


def _unknown_answers(when: dict) -> Iterator[str]:
    for name, wanted in when.items():
        if name not in CHOICES:
            yield f"{name} is no question"
            continue
        parts = dict(wanted) if isinstance(wanted, dict) else {"any": wanted}
        if "beyond" in parts and parts.pop("beyond") not in CHOICES["cloud"]:
            yield f"{wanted['beyond']} is no cloud"
        for value in [v for listed in parts.values() for v in (listed if isinstance(listed, list) else [listed])]:
            if value not in CHOICES[name] and value != "":
                yield f"{value} is no answer to {name}"


if __name__ == "__main__":
    found = problems()
    print("\n".join(found), end="\n" if found else "", file=sys.stderr)
    sys.exit(1 if found else 0)
