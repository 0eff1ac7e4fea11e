"""Write docs/decision.md and decision/compiled.json from decision/*.yml, so that nothing is written by hand twice.

With --check, write nothing and end with an error when either differs.
"""

from __future__ import annotations

import json
import sys

from check_decision import EFFECTS
from decision_engine import ROOT, complete, data, environment, macros

PAGE = ROOT / "docs" / "decision.md"
COMPILED = ROOT / "decision" / "compiled.json"
INTRODUCTION = """\
# How the decision is made

Written by `tools/write_decision_page.py` from the files in `decision/`; change those. Why they say what they say is in
the [decision guide](decision-guide.md).

1. Requirements and exclusions: what a rule excludes cannot be chosen, and what is required leaves nothing else.
2. Weighted scores, 1 poor to 5 excellent; answers move the weights, which always sum to 100 %.
3. Points from preferences and stay rules are added. Equal scores go by a stated rank, never by order in the files.
4. Then the hosting variant: of those that no rule excludes, the lowest rank that suits the answers.

The result is a default. The answer is recorded in the project, so a later change of the rules moves no project; after
an update one line says so where today's rules would say something else. Each project holds the whole decision as
`docs/adr/0001-orchestrator.md`. `make recommend` asks the same questions without making one.
"""


def page() -> str:
    catalogue, rules = data("systems"), data("rules")
    sections = (
        [INTRODUCTION],
        _scores(catalogue),
        _weights(catalogue),
        _variants(catalogue),
        _costs(catalogue),
        _rules(rules),
        _scenarios(catalogue),
    )
    return "\n".join(line for section in sections for line in section)


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)] + [""]


def _scores(catalogue: dict) -> list[str]:
    dimensions = catalogue["dimensions"]
    head = ["system", "template", *(dimension["name"] for dimension in dimensions), "weighted sum", "integrations"]
    rows = []
    for system in catalogue["systems"]:
        if "members" in system:
            continue
        scores = [system["scores"][dimension["id"]] for dimension in dimensions]
        total = sum(score * dimension["weight"] for score, dimension in zip(scores, dimensions, strict=True)) / 100
        count = (
            f"{system['integrations']}+"
            if system.get("integrations")
            else "none"
            if "integrations" in system
            else "its cloud's"
        )
        name = f"[{system['name']}]({system['docs'].removeprefix('docs/')})"
        rows.append([name, "yes" if system["template"] else "not yet", *map(str, scores), f"{total:.2f}", count])
    weights = ["weight", "", *(f"{dimension['weight']} %" for dimension in dimensions), "", ""]
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
        [
            system["name"],
            str(variant["rank"]),
            f"[{variant['name']}]({variant['docs']})" if "docs" in variant else variant["name"],
            variant["hosting"],
            _condition(variant.get("suits", {})),
            variant.get("only_on", "any cloud"),
            "vendor" if variant.get("vendor_runs_code") else "you",
            variant["because"],
        ]
        for system in catalogue["systems"]
        for variant in sorted(system.get("variants", []), key=lambda variant: variant["rank"])
    ]
    head = ["system", "rank", "variant", "hosting", "suits", "on", "runs your code", "because"]
    return ["## Hosting variants", "", *_table(head, rows)]


def _costs(catalogue: dict) -> list[str]:
    costs, move = catalogue["costs"], catalogue["migration"]
    rows = []
    for system in catalogue["systems"]:
        for hosting, weeks in system.get("weeks", {}).items():
            week = costs["annual_salary"] / 52
            total = week * (weeks["setup"] * costs["setup_engineers"] + weeks["maintenance"] * costs["years"])
            rows.append([system["name"], hosting, str(weeks["setup"]), str(weeks["maintenance"]), f"{total:,.0f}"])
    low, high = move["weeks_per_10"]
    more_low, more_high = move["further"]["weeks_per_10"]
    formula = f"""\
Two years cost setup weeks x weekly salary x engineers, at most {costs["setup_engineers"]}, plus maintenance weeks a
year x weekly salary x {costs["years"]}; the salary is {costs["annual_salary"]:,} a year, a week's a 52nd of it.
Engineering time only: neither licences nor compute. For a cloud's own service there are no figures.
"""
    moving = f"""\
Moving takes {low} to {high} engineer-weeks per 10 pipelines, tests, monitoring and runbooks included; leaving
{" or ".join(move["further"]["leaving"])}, {more_low} to {more_high} more per {move["further"]["per"]}; and
{move["surprises"] * 100:.0f} % on top for surprises.
"""
    head = ["system", "hosting", "setup weeks", "maintenance weeks a year", "two years"]
    return ["## Money and time", "", formula, *_table(head, rows), moving]


def _rules(rules: list[dict]) -> list[str]:
    lines = ["## Rules", ""]
    for effect in EFFECTS:
        rows = [
            [
                f"`{rule['id']}`",
                _condition(rule.get("when", {})),
                _target(rule[effect]),
                rule["because"],
                _source(rule["source"]),
            ]
            for rule in rules
            if effect in rule
        ]
        if rows:
            head = ["rule", "when", "what", "because", "guide"]
            lines += [f"### {effect.replace('_', ' ')}", "", *_table(head, rows)]
    return lines


def _source(source: str) -> str:
    part = source.partition(", ")[2].replace(" ", "-")
    return f"[{source}](decision-guide.md#{part})"


def _target(target: str | list | dict) -> str:
    if isinstance(target, dict):
        return ", ".join(f"{name} {str(value).lower()}" for name, value in target.items())
    return target if isinstance(target, str) else ", ".join(target)


def _condition(when: dict) -> str:
    return "; ".join(f"{name} {_wanted(wanted)}" for name, wanted in when.items()) or "always"


def _wanted(wanted: object) -> str:
    if isinstance(wanted, dict):
        words = {"all": "has all of", "any": "has one of", "none": "is none of"}
        return " and ".join(f"{words[kind]} {', '.join(map(str, values))}" for kind, values in wanted.items())
    wanted = wanted if isinstance(wanted, list) else [wanted]
    return f"is {' or '.join(str(value).lower() for value in wanted)}"


def _scenarios(catalogue: dict) -> list[str]:
    names = {system["id"]: system["name"] for system in catalogue["systems"]}
    explain = macros("engine")
    rows = []
    for scenario in data("scenarios"):
        decision = explain("explain", complete(scenario["answers"]))
        best, *others = decision["ranking"]
        given = ", ".join(f"{name} {_given(value)}" for name, value in scenario["answers"].items()) or "all defaults"
        hosted = f" ({best['variant']['name']})" if "variant" in scenario else ""
        following = f"{others[0]['name']} {others[0]['score']:.2f}" if others else "none"
        rows.append([scenario["situation"], given, f"{names[best['id']]}{hosted}", f"{best['score']:.2f}", following])
    head = ["situation", "answers", "recommended", "score", "runner-up"]
    return ["## Scenarios", "", "Tests hold the rules to these.", "", *_table(head, rows)]


def _given(value: object) -> str:
    return " + ".join(value) if isinstance(value, list) else str(value)


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def compiled() -> str:
    """decision/compiled.json, one condition or system a line; brackets stand apart, for Jinja takes two for its own."""
    content = json.loads(environment().get_template("decision/compile.jinja").module.compiled())
    parts = []
    for name, value in content.items():
        first, last = {list: "[]", dict: "{}"}.get(type(value), ("", ""))
        if isinstance(value, list):
            lines = [_compact(each) for each in value]
        elif isinstance(value, dict):
            lines = [f"{_compact(key)}:{_compact(each)}" for key, each in value.items()]
        else:
            lines = [_compact(value)]
        parts.append(f"{_compact(name)}:{first}\n" + ",\n".join(lines) + f"\n{last}")
    text = "{\n" + ",\n".join(parts) + "\n}\n"
    while "[[" in text or "]]" in text:
        text = text.replace("[[", "[ [").replace("]]", "] ]")
    assert json.loads(text) == content
    return text


def main() -> str | None:
    # In this order: the page is made with the engine, which reads what is compiled.
    for path, content in ((COMPILED, compiled), (PAGE, page)):
        if "--check" not in sys.argv:
            path.write_text(content(), encoding="utf-8")
        elif path.read_text(encoding="utf-8") != content():
            return f"{path.relative_to(ROOT)} is not what decision/ says: make decision-page"
    return None


if __name__ == "__main__":
    sys.exit(main())
