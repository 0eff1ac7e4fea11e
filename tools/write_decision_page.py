"""Write docs/decision.md, decision/compiled.json and decision/facts.json, so that nothing is written by hand twice.

With --check, write nothing and end with an error when one of them differs.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from compile_decision import EFFECTS
from decision_engine import CHOICES, ROOT, complete, contents, data, macros, manifests, written
from measure_stability import AT_MOST, FEW, RESULT, STRONGEST

PAGE = ROOT / "docs" / "decision.md"
INTRODUCTION = """\
# How the decision is made

Written by `tools/write_decision_page.py` from the files in `decision/`; change those. Why they say what they say is in
the [decision guide](decision-guide.md).

A choice falls in one of four steps, in this order. A later step never overturns an earlier one.

1. **Requirements.** What cannot be met excludes a system; no preference brings it back.
2. **Stay.** What runs today and meets every requirement stays: always from 20 pipelines up, and with fewer unless it
   serves a named need with 2 of 5 or less.
3. **Preferences.** What remains is ranked: weighted scores, 1 poor to 5 excellent, with weights that the answers move
   and that always sum to 100 %; then the points of needs and rules.
4. **Least effort.** Of those within {margin} points of the best, the one with least to operate and to learn wins.

Then the hosting variant: of those that no rule excludes, the lowest rank that suits the answers.

The result is a default. The answer is recorded in the project, so a later change of the rules moves no project; after
an update one line says so where today's rules would say something else. Each project holds the whole decision as
`docs/adr/0001-orchestrator.md`. `make recommend` asks the same questions without making a project. A system that a rule
excludes can be chosen with `--data accept_exclusion=yes`; the record then says what cannot be met.
"""


def page() -> str:
    files = contents()
    sections = (
        [INTRODUCTION.format(margin=files["dimensions"]["margin"])],
        _questions(files["answers"]),
        _scores(files),
        _needs(files),
        _weights(files),
        _variants(files),
        _facts(files),
        _costs(files["costs"], files["systems"]),
        _rules(files["rules"], files["integrations"]["systems"]),
        _scenarios(files["systems"]),
        _irrelevant(),
        _stability(),
    )
    return "\n".join(line for section in sections for line in section)


def _questions(answers: dict) -> list[str]:
    rows = []
    for name in CHOICES:
        question = answers[name]
        when = [f"{other} {_wanted(values)}" for other, values in question.get("unasked", {}).items()]
        only = [
            f"{other} has {wanted} items or more" if isinstance(wanted, int) else f"{other} {_wanted(wanted)}"
            for other, wanted in question.get("asked", {}).items()
        ]
        asked = f"where {', or '.join(only)}" if only else f"unless {', or '.join(when)}" if when else "always"
        rows.append([f"`{name}`", "yes" if "short" in question else "", asked])
    text = [
        "They are asked in this order. A question that is not asked takes its default, and the record marks it. Every",
        "answer can be given with `--data`. The short way is `--data depth=quick`.",
        "",
    ]
    return ["## Questions", "", *text, *_table(["question", "in the short way", "asked"], rows)]


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)] + [""]


def _single(systems: list[dict]) -> list[dict]:
    """The systems that are no combination of others, those with a template first."""
    templates = manifests()
    single = [system for system in systems if "members" not in system]
    return sorted(single, key=lambda system: (system["id"] not in templates, system["effort"]))


def _scores(files: dict) -> list[str]:
    dimensions = files["dimensions"]["dimensions"]
    templates = manifests()
    head = ["system", "template", *(dimension["name"] for dimension in dimensions), "weighted sum", "effort"]
    rows = []
    for system in _single(files["systems"]):
        scores = [system["scores"][dimension["id"]] for dimension in dimensions]
        total = sum(score * dimension["weight"] for score, dimension in zip(scores, dimensions, strict=True)) / 100
        name = f"[{system['name']}]({system['docs'].removeprefix('docs/')})"
        template = "yes" if system["id"] in templates else "not yet"
        rows.append([name, template, *map(str, scores), f"{total:.2f}", str(system["effort"])])
    weights = ["weight", "", *(f"{dimension['weight']} %" for dimension in dimensions), "", ""]
    text = [
        "Where the team names the systems it connects, the first score is the share of these that is covered; waiting",
        "for their events counts where sensors are needed. `effort` orders systems by how much there is to operate and",
        "to learn.",
        "",
    ]
    combined = [
        f"{system['name']}: {_members(system)}; scored as its best member less {system['overhead']}."
        for system in files["systems"]
        if "members" in system
    ]
    return ["## Scores", "", *_table(head, [weights, *rows]), *text, *combined, ""]


def _members(system: dict) -> str:
    return ", ".join(f"{member['system']} for {member['for']}" for member in system["members"])


def _needs(files: dict) -> list[str]:
    single = _single(files["systems"])
    rows = [[f"`{need}`", *(str(system["serves"][need]) for system in single)] for need in single[0]["serves"]]
    text = [
        f"A named need gives {files['dimensions']['points_per_need']} points for each step above 3, and takes as much",
        "for each step below.",
        "",
    ]
    return ["## How well each serves a need", "", *text, *_table(["need", *(s["name"] for s in single)], rows)]


def _weights(files: dict) -> list[str]:
    rows = [
        [dimension["name"], _condition(move["when"]), f"+{move['by']}"]
        for dimension in files["dimensions"]["dimensions"]
        for move in dimension.get("raise", [])
    ]
    return ["## Answers that move the weights", "", *_table(["dimension", "when", "raised by"], rows)]


def _variants(files: dict) -> list[str]:
    rows = [
        [
            system["name"],
            str(variant["rank"]),
            f"[{variant['name']}]({variant['docs']})" if "docs" in variant else variant["name"],
            variant["hosting"],
            _condition(variant.get("suits", {})),
            variant.get("only_on", "any cloud"),
            "vendor" if variant.get("vendor_runs_code") or variant.get("provider_workers") else "you",
            variant["because"],
        ]
        for system in _single(files["systems"])
        for variant in sorted(system["variants"], key=lambda variant: variant["rank"])
    ]
    head = ["system", "rank", "variant", "hosting", "suits", "on", "runs your code", "because"]
    return ["## Hosting variants", "", *_table(head, rows)]


def _facts(files: dict) -> list[str]:
    single = _single(files["systems"])
    head = ["", *(system["name"] for system in single)]
    lines = ["## At a glance", ""]
    for part in ("comparison", "qualities", "health"):
        keys = dict.fromkeys(key for system in single for key in system[part])
        rows = [[key.replace("_", " "), *(_fact(system[part].get(key, "")) for system in single)] for key in keys]
        lines += _table(head, rows)
    return [*lines, "Bold: the system that leads.", ""]


def _fact(value: object) -> str:
    if isinstance(value, dict):
        return f"**{value['says']}**" if value.get("leads") else value["says"]
    return str(value)


def _costs(costs: dict, systems: list[dict]) -> list[str]:
    names = {system["id"]: system["name"] for system in systems}
    move = costs["migration"]
    rows = []
    for system, kinds in costs["weeks"].items():
        for hosting, weeks in kinds.items():
            week = costs["annual_salary"] / 52
            total = week * (weeks["setup"] * costs["setup_engineers"] + weeks["maintenance"] * costs["years"])
            rows.append([names[system], hosting, str(weeks["setup"]), str(weeks["maintenance"]), f"{total:,.0f}"])
    prices = [
        [
            next(v["name"] for system in systems for v in system.get("variants", []) if v["id"] == variant),
            {"run": "run of a daily pipeline", "engineer_month": "engineer and month"}[price["per"]],
            f"{price['range'][0]} to {price['range'][1]}",
        ]
        for variant, price in costs["prices"].items()
    ]
    low, high = move["weeks_per_10"]
    operators, remodelled = move["operators"], move["operators"]["remodelled"]
    formula = f"""\
Two years cost setup weeks x weekly salary x engineers, at most {costs["setup_engineers"]}, plus maintenance weeks a
year x weekly salary x {costs["years"]}, plus what the vendor asks; the salary is {costs["annual_salary"]:,} a year,
a week's a 52nd of it. Salary and prices are answers: `--data annual_salary=120000`,
`--data 'vendor_prices={{mwaa: [0.2, 0.4]}}'`.
Compute in your own account is not in it. For a cloud's own service there are no figures.
"""
    moving = f"""\
Moving takes each of the engineers who do it {low} to {high} weeks per 10 pipelines, tests, monitoring and runbooks
included; two engineers, or three above 100 pipelines. Leaving {" or ".join(operators["leaving"])} takes
{operators["weeks_per_10"][0]} to {operators["weeks_per_10"][1]} weeks more per 10 operators to replace,
{remodelled["weeks_per_10"][0]} to {remodelled["weeks_per_10"][1]} where a task becomes an asset
({" or ".join(remodelled["to"])}). {move["surprises"] * 100:.0f} % are added for surprises.
"""
    head = ["system", "hosting", "setup weeks", "maintenance weeks a year", "two years, engineering time"]
    asked = _table(["variant", "US dollars per", "from and to"], prices)
    return ["## Money and time", "", formula, *_table(head, rows), *asked, moving]


def _rules(rules: list[dict], connected: dict) -> list[str]:
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
        if effect == "cover":
            lines += [_cover(rule, connected) for rule in rules if effect in rule]
    return lines


def _cover(rule: dict, connected: dict) -> str:
    weeks = [touched["by_hand_weeks"] for touched in connected.values()]
    low, high = min(weeks), max(weeks)
    return f"""\
`{rule["id"]}` holds only where the team names {rule["cover"]["of_at_least"]} systems or more. With one or two, a single
missing package would outvote everything else that was answered. Writing it by hand takes {low:g} to {high:g}
weeks of one engineer, which is less than living with the wrong orchestrator costs. Below that number, coverage still
counts in the ecosystem score, and the record lists what must be written by hand.
"""


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
        return " and ".join(_part(kind, values) for kind, values in wanted.items())
    wanted = wanted if isinstance(wanted, list) else [wanted]
    return f"is {' or '.join(str(value).lower() for value in wanted)}"


def _part(kind: str, values: list | str) -> str:
    if kind == "beyond":
        return f"is not all of {values}, or nothing is named"
    if kind == "none" and values == [""]:
        return "names something"
    words = {"all": "has all of", "any": "has one of", "none": "is none of"}
    return f"{words[kind]} {', '.join(map(str, values))}"


def _scenarios(systems: list[dict]) -> list[str]:
    names = {system["id"]: system["name"] for system in systems} | {"": "nothing fits"}
    explain = macros("engine")
    rows, mended = [], []
    for scenario in data("scenarios"):
        decision = explain("explain", complete(scenario["answers"]))
        best, *others = decision["ranking"]
        given = _answers(scenario["answers"])
        hosted = f" ({best['variant']['name']})" if "variant" in scenario else ""
        following = f"{others[0]['name']} {others[0]['score']:.2f}" if others else "none"
        score = f"{best['score']:.2f}"
        rows.append([scenario["situation"], given, f"{names[best['id']]}{hosted}", decision["step"], score, following])
        if "used_to" in scenario:
            reason = decision["reasons"][0].removesuffix(".")
            mended.append(
                [scenario["situation"], names[scenario["used_to"]], names[best["id"]], decision["step"], reason]
            )
    head = ["situation", "answers", "recommended", "step", "score", "runner-up"]
    lines = ["## Scenarios", "", "Tests hold the rules to these.", "", *_table(head, rows)]
    head = ["situation", "before", "now", "step", "first reason"]
    return [*lines, "## Situations that used to go wrong", "", *_table(head, mended)]


def _answers(answers: dict) -> str:
    given = [f"{name} {' + '.join(v) if isinstance(v, list) else v}" for name, v in answers.items()]
    return ", ".join(given) or "all defaults"


def _irrelevant() -> list[str]:
    rows = []
    for row in data("irrelevant"):
        among = f" among {', '.join(row['among'])}" if "among" in row else ""
        step = f"decided in step {row['step']}" if "step" in row else ""
        when = _condition(row["when"]) if "when" in row else ""
        rows.append([row["changed"] + among, "; ".join(filter(None, (when, step))) or "always", row["because"]])
    text = ["Another answer to the first does not change the recommendation. Tests hold the rules to this.", ""]
    return ["## Answers that do not matter, and when", "", *text, *_table(["answer", "when", "because"], rows)]


def _stability() -> Iterator[str]:
    found = json.loads(RESULT.read_text(encoding="utf-8"))
    limits = ", ".join(f"{count} of {name}" for name, count in FEW.items())
    yield from ("## Stability", "")
    yield f"""\
How often one changed answer changes the recommendation, over {found["situations"]:,} random answers: with few items of
each list (at most {limits}),
and with each item chosen or not alike. Answers that would be refused, because nothing fits, count on neither side.
`python tools/measure_stability.py` measures it. No question may exceed {AT_MOST} %, except
{" and ".join(STRONGEST)}: the shape is meant to decide, and what runs today is meant to stay.
"""
    rows = [
        [
            name,
            *(f"{found[kind].get(name, 0):.1f} %" if name in found[kind] else "" for kind in ("before", "few", "many")),
        ]
        for name in found["few"]
    ]
    yield from _table(["question", "last release, few", "few", "any number"], rows)
    yield """\
What keeps it low: needs that are requirements no longer compete with tastes in one sum; what runs today stays without
points that others could outweigh; a need counts for every system by how well it serves it, not for one favourite alone;
and points of single answers are small beside those of the shape.
"""


def made() -> Iterator[tuple[Path, str]]:
    # In this order: the page is made with the engine, which reads what is compiled.
    for name, text in written(contents()).items():
        yield ROOT / name, text
    yield PAGE, page()


def main() -> str | None:
    for path, text in made():
        if "--check" not in sys.argv:
            path.write_text(text, encoding="utf-8")
        elif not path.is_file() or path.read_text(encoding="utf-8") != text:
            return f"{path.relative_to(ROOT)} is not what decision/ says: make decision-page"
    return None


if __name__ == "__main__":
    sys.exit(main())
