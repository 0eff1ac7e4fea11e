"""Write docs/decision.md from decision/*.yml, so that nothing in it is written by hand twice.

With --check, write nothing and end with an error when the page differs.
"""

from __future__ import annotations

import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "decision.md"
INTRODUCTION = """\
# How the decision is made

Written by `tools/write_decision_page.py` from `decision/systems.yml` and `decision/rules.yml`; change those.

1. Requirements and exclusions: what a rule excludes cannot be chosen, and what is required leaves nothing else.
2. Weighted scores, 1 poor to 5 excellent; answers move the weights, which always sum to 100 %.
3. Points from preferences and stay rules are added. Equal scores go by a stated rank, never by order in the files.

The result is a default. The answer is recorded in the project, so a later change of the rules moves no project.
"""
EFFECTS = ("require", "exclude", "exclude_variants", "prefer", "caution", "caution_variants")


def page() -> str:
    catalogue = yaml.safe_load((ROOT / "decision" / "systems.yml").read_text())
    rules = yaml.safe_load((ROOT / "decision" / "rules.yml").read_text())
    return "\n".join([INTRODUCTION, *_scores(catalogue), *_weights(catalogue), *_variants(catalogue), *_rules(rules)])


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)] + [""]


def _scores(catalogue: dict) -> list[str]:
    dimensions = catalogue["dimensions"]
    head = ["system", "template", *(dimension["name"] for dimension in dimensions), "weighted sum"]
    rows = []
    for system in catalogue["systems"]:
        if "members" in system:
            continue
        scores = [system["scores"][dimension["id"]] for dimension in dimensions]
        total = sum(score * dimension["weight"] for score, dimension in zip(scores, dimensions, strict=True)) / 100
        rows.append([system["name"], "yes" if system["template"] else "not yet", *map(str, scores), f"{total:.2f}"])
    weights = ["weight", "", *(f"{dimension['weight']} %" for dimension in dimensions), ""]
    combined = [
        f"{system['name']}: {_members(system)}; scored as its best member less {system['overhead']}."
        for system in catalogue["systems"]
        if "members" in system
    ]
    return ["## Scores", "", *_table(head, [weights, *rows]), *combined, ""]


def _members(system: dict) -> str:
    return ", ".join(f"{member['system']} for {member['for']}" for member in system["members"])


def _weights(catalogue: dict) -> list[str]:
    rows = [
        [dimension["name"], _condition(move["when"]), f"+{move['by']}"]
        for dimension in catalogue["dimensions"]
        for move in dimension.get("raise", [])
    ]
    return ["## Answers that move the weights", "", *_table(["dimension", "when", "raised by"], rows)]


def _variants(catalogue: dict) -> list[str]:
    rows = [
        [system["name"], variant["name"], variant["hosting"], _condition(variant.get("when", {}))]
        for system in catalogue["systems"]
        for variant in system.get("variants", [])
    ]
    head = ["system", "variant", "hosting", "when"]
    return ["## Hosting variants", "", "The first that applies and is not excluded is taken.", "", *_table(head, rows)]


def _rules(rules: list[dict]) -> list[str]:
    lines = ["## Rules", ""]
    for effect in EFFECTS:
        rows = [
            [
                f"`{rule['id']}`",
                _condition(rule.get("when", {})),
                _target(rule[effect]),
                rule["because"],
                rule["source"],
            ]
            for rule in rules
            if effect in rule
        ]
        if rows:
            head = ["rule", "when", "what", "because", "guide"]
            lines += [f"### {effect.replace('_', ' ')}", "", *_table(head, rows)]
    return lines


def _target(target: str | list | dict) -> str:
    if isinstance(target, dict):
        return ", ".join(f"{name} {value}" for name, value in target.items())
    return target if isinstance(target, str) else ", ".join(target)


def _condition(when: dict) -> str:
    return "; ".join(f"{name} {_wanted(wanted)}" for name, wanted in when.items()) or "always"


def _wanted(wanted: object) -> str:
    if isinstance(wanted, dict):
        words = {"all": "has all of", "any": "has one of", "none": "is none of"}
        return " and ".join(f"{words[kind]} {', '.join(map(str, values))}" for kind, values in wanted.items())
    return f"is {' or '.join(map(str, wanted))}" if isinstance(wanted, list) else f"is {wanted}"


def main() -> str | None:
    if "--check" in sys.argv:
        return None if PAGE.read_text() == page() else "docs/decision.md is not what decision/ says: make decision-page"
    PAGE.write_text(page())
    return None


if __name__ == "__main__":
    sys.exit(main())
