"""What is made of decision/*.yml and of which templates there are: compiled.json, which the engine reads, and
facts.json, which only the record of a decision needs.

Conditions stand there in the form that is quickly tested, everything in its order, so that a copy neither parses YAML
nor sorts. Order in the files never decides: systems go by effort, variants by rank, rules by id.
"""

from __future__ import annotations

import json
from typing import Any

# The effects of rules that say which systems or variants they are against.
EFFECTS = (
    *("require", "exclude", "exclude_variants", "cover", "stay", "move_to", "prefer", "avoid"),
    *("caution", "caution_variants"),
)
# What else depends on answers. avoid is a prefer with points below zero.
OTHER_EFFECTS = ("raise", "adjust", "suits", "poor", "runs", "connects", "listens", "empty")
SUPPORT = {"native": 1, "partial": 0.5, "none": 0}


def compiled(files: dict[str, Any], manifests: dict[str, dict]) -> dict:
    """The tables by id. files: what each decision/*.yml holds; manifests: that of each orchestrator with a template."""
    systems = sorted(files["systems"], key=lambda system: system["effort"])
    single = [system for system in systems if "members" not in system]
    combined = [system for system in systems if "members" in system]
    connected = files["integrations"]["systems"]
    dimensions = files["dimensions"]["dimensions"]
    variants = {s["id"]: sorted(s["variants"], key=lambda variant: variant["rank"]) for s in single}
    names = {system["id"]: system["name"] for system in systems}
    rules = [_rule(rule, systems, variants, connected) for rule in sorted(files["rules"], key=lambda rule: rule["id"])]
    conditions = [
        *(
            _condition(move["when"], "raise", dimension=dimension["id"], by=move["by"])
            for dimension in dimensions
            for move in dimension.get("raise", [])
        ),
        *_about_systems(files, single, variants),
        *_about_connections(connected, single, combined),
        *(
            _condition({"pipeline_shape": {"none": [*manifests[name]["shapes"], "mixed"]}}, "empty", system=name)
            for name in names
            if "shapes" in manifests.get(name, {})
        ),
        *rules,
    ]
    return {
        "steps": files["dimensions"]["steps"],
        "margin": files["dimensions"]["margin"],
        "dimensions": [{key: d[key] for key in ("id", "name", "weight")} for d in dimensions],
        "weights": {dimension["id"]: dimension["weight"] for dimension in dimensions},
        "measured": next(dimension["id"] for dimension in dimensions if dimension.get("measured")),
        "total": sum(dimension["weight"] for dimension in dimensions),
        "dimension_names": {dimension["id"]: dimension["name"] for dimension in dimensions},
        "names": names,
        "effort": {system["id"]: system["effort"] for system in systems},
        "scores": {system["id"]: system["scores"] for system in single},
        "templates": [name for name in names if name in manifests],
        "members": {system["id"]: system["members"] for system in combined},
        "overheads": {system["id"]: system["overhead"] for system in combined},
        "shares": {
            system["id"]: {m["system"]: f"{m['for']} on {names[m['system']]}" for m in system["members"]}
            for system in combined
        },
        "too_few": [{"id": "", "because": "fewer than two of its members remain"}],
        "variants": {
            system: [
                {key: variant[key] for key in ("id", "name", "hosting", "because")}
                | {"problem": "", "place": variant["rank"]}
                for variant in own
            ]
            for system, own in variants.items()
        },
        "hosts": {system: [variant["id"] for variant in own] for system, own in variants.items()},
        "effects": {name: [] for name in (*EFFECTS, *OTHER_EFFECTS)},
        "conditions": conditions,
        "against": {rule["id"]: rule["against"] for rule in rules if "against" in rule},
    }


def facts(files: dict[str, Any]) -> dict:
    """What the record of a decision says beyond the ranking: the answers in words, costs, facts of each system."""
    single = [system for system in files["systems"] if "members" not in system]
    connected = files["integrations"]["systems"]
    return {
        "words": _words(files["answers"], connected),
        "costs": files["costs"],
        "current": {system["id"]: system["current"] for system in single},
        "weeks": {
            variant["id"]: files["costs"]["weeks"].get(system["id"], {}).get(variant["hosting"])
            for system in single
            for variant in system["variants"]
        },
        "systems": {
            system["id"]: {key: system[key] for key in ("comparison", "qualities", "health", "serves")}
            for system in single
        },
        "integrations": {name: _whole(touched, [s["id"] for s in single]) for name, touched in connected.items()},
    }


def _about_systems(files: dict, single: list[dict], variants: dict) -> list[dict]:
    """What a need, a hosting variant and running already mean for each system."""
    per_step = files["dimensions"]["points_per_need"]
    rows = [
        _condition({"needs": need}, "prefer", prefer={s["id"]: per_step * step for s, step in steps if step})
        for need in single[0]["serves"]
        for steps in [[(system, system["serves"][need] - 3) for system in single]]
    ]
    rows += [
        _condition({"needs": need}, "poor", systems=[s["id"] for s in single if s["serves"][need] <= 2])
        for need in single[0]["serves"]
    ]
    for system in single:
        rows.append(_condition({"current_orchestrator": system["current"]}, "runs", system=system["id"]))
        rows += [
            _condition(change["when"], "adjust", system=system["id"], scores=change["scores"])
            for change in system.get("adjust", [])
        ]
        rows += [_condition(own.get("suits", {}), "suits", id=own["id"]) for own in variants[system["id"]]]
    return rows


def _about_connections(connected: dict, single: list[dict], combined: list[dict]) -> list[dict]:
    """For each system that pipelines touch, how much of it each orchestrator covers, and which wait for its events.

    A combination covers what one of its members does.
    """
    rows = []
    for name, touched in connected.items():
        cells = {system["id"]: touched.get(system["id"], {"support": "none"}) for system in single}
        for effect, when, native in (
            ("connects", {}, {system: SUPPORT[cell["support"]] for system, cell in cells.items()}),
            (
                "listens",
                {"needs": "sensors"},
                {system: int(cell.get("waits", False)) for system, cell in cells.items()},
            ),
        ):
            native |= {each["id"]: max(native[m["system"]] for m in each["members"]) for each in combined}
            native = {system: value for system, value in native.items() if value}
            rows.append(_condition({"connects_to": name, **when}, effect, native=native))
    return rows


def _rule(rule: dict, systems: list[dict], variants: dict, connected: dict) -> dict:
    """A rule as a condition; `against` are the systems or variants it speaks against, `variants` those it is about."""
    effect = next(name for name in EFFECTS if name in rule)
    everything = [system["id"] for system in systems]
    about = rule[effect] if effect.endswith("_variants") else {}
    fields = {key: value for key, value in rule.items() if key != "when"}
    found = [
        variant["id"]
        for system, own in variants.items()
        for variant in own
        if about and all(({"system": system} | variant).get(name) == value for name, value in about.items())
    ]
    if about:
        fields["variants"] = found
    if effect == "avoid":
        fields |= {"prefer": {system: -points for system, points in fields.pop("avoid").items()}}
    if rule[effect] == "all":
        fields[effect] = everything
    if effect == "require":
        fields["against"] = [system for system in everything if system not in rule["require"]]
    elif effect == "exclude":
        fields["against"] = rule["exclude"]
    elif effect == "exclude_variants":
        fields["against"] = fields["variants"]
    when = rule.get("when", {})
    if "against" in fields:
        # The answers that it rests on, rather than those that would lift it: what to change where nothing fits.
        given = [name for name, wanted in when.items() if not isinstance(wanted, dict) or wanted.keys() - {"none"}]
        fields["rests_on"] = given or list(when)
    return _condition(when, "prefer" if effect == "avoid" else effect, connected, **fields)


def _condition(when: dict, effect: str, connected: dict | None = None, **fields: Any) -> dict:
    """`when` as facts "question=answer": at least one of each list in `any`, and not one of `none`."""
    required: list[list[str]] = []
    forbidden: list[str] = []
    for name, wanted in when.items():
        parts = wanted if isinstance(wanted, dict) else {"any": wanted}
        required += [_facts(name, [value]) for value in parts.get("all", [])]
        if "any" in parts:
            required.append(_facts(name, parts["any"]))
        if "beyond" in parts:
            # Something that is not that cloud's own, or nothing named at all.
            beyond = [
                other
                for other, touched in (connected or {}).items()
                if parts["beyond"] not in touched.get("clouds", [])
            ]
            required.append(_facts(name, ["", *beyond]))
        forbidden += _facts(name, parts.get("none", []))
    return {"effect": effect, "questions": list(when), "any": required, "none": forbidden, **fields}


def _facts(name: str, values: Any) -> list[str]:
    return [f"{name}={str(value).lower()}" for value in (values if isinstance(values, list) else [values])]


def _words(answers: dict, connected: dict) -> dict:
    """The answers in words; of each question, `decides`: which others are asked or not with its answer."""
    words = json.loads(json.dumps(answers))
    words["connects_to"]["answers"] = {name: touched["name"] for name, touched in connected.items()}
    for name, question in words.items():
        for other in question.get("unasked", {}):
            words[other].setdefault("decides", []).append(name)
    return words


def _whole(touched: dict, ids: list[str]) -> dict:
    """What every orchestrator brings for a system that pipelines touch, all keys given."""
    blank = {"support": "none", "how": "", "only": "", "package": "", "minimum": "", "waits": False}
    blank |= {"effort_weeks": 0, "note": ""}
    by_hand = {"effort_weeks": touched["by_hand_weeks"]}
    whole = {"name": touched["name"], "clouds": touched.get("clouds", [])}
    return whole | {system: blank | touched.get(system, by_hand) for system in ids}
