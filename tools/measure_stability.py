"""How often one changed answer changes the recommendation, question by question, over random answers.

Writes benchmarks/results/stability.json, which docs/decision.md shows. Answers that the questionnaire would refuse,
because nothing fits, count on neither side.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Callable

from compare_decisions import LAST_RELEASE, earlier
from decision_engine import CHOICES, LISTS, ROOT, environment

RESULT = ROOT / "benchmarks" / "results" / "stability.json"
# How many are chosen of each list, at most: as a person does who follows "choose only what you could not do without".
FEW = {"needs": 3, "connects_to": 5, "experience": 3, "matters_most": 2}
AT_MOST = 35  # percent; the two strongest signals may exceed it
STRONGEST = ("pipeline_shape", "current_orchestrator")


def recommended() -> Callable[[dict], str]:
    """The engine's steps up to the recommendation; quicker than the whole record. Empty where nothing fits."""
    module = environment().get_template("decision/engine.jinja").module

    def decide(answers: dict) -> str:
        steps: dict = {}
        module.applicable(steps, answers, module.loaded["conditions"], [])
        for step in ("excluded", "weights", "scores", "ranking"):
            getattr(module, step)(steps)
        return [*steps["remaining"], ""][0]

    return decide


def situation(dice: random.Random, many: bool) -> dict:
    """Random answers: each of a single choice alike; of lists a few, or, with `many`, each item with one half."""
    answers = {name: dice.choice(values) for name, values in CHOICES.items() if name not in LISTS}
    for name in LISTS:
        items = CHOICES[name]
        if many and name != "matters_most":
            answers[name] = [item for item in items if dice.random() < 0.5]
        else:
            answers[name] = sorted(dice.sample(items, dice.randint(0, FEW[name])), key=items.index)
    return consistent(answers)


def consistent(answers: dict) -> dict:
    """What is not asked with these answers has its default."""
    if answers["vpc"] == "isolated":
        answers["hosting"] = "self_host"
    if answers["pipeline_shape"] in ("approval", "service_glue"):
        answers["mental_model"] = "jobs"
    return answers


def changed(dice: random.Random, answers: dict, name: str) -> dict | None:
    """The same with another answer to that question; None where it is not asked."""
    if name in LISTS:
        item = dice.choice(CHOICES[name])
        kept = [other for other in answers[name] if other != item]
        if item not in answers[name]:
            kept = [*kept[: 1 if name == "matters_most" else None], item]
        return answers | {name: kept}
    other = consistent(answers | {name: dice.choice([v for v in CHOICES[name] if v != answers[name]])})
    return None if other == answers else other


def measure(count: int, many: bool, decide: Callable[[dict], str] | None = None) -> dict[str, float]:
    """Of each question, the percent of changed answers that change the recommendation."""
    decide = decide or recommended()
    dice = random.Random(20130101)  # noqa: S311  repeatable, not secret
    tried, moved = dict.fromkeys(CHOICES, 0), dict.fromkeys(CHOICES, 0)
    for _ in range(count):
        answers = situation(dice, many)
        before = decide(answers)
        for name in CHOICES if before else []:
            other = changed(dice, answers, name)
            after = decide(other) if other else ""
            tried[name] += bool(after)
            moved[name] += bool(after) and after != before
    return {name: round(100 * moved[name] / tried[name], 1) for name in CHOICES}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--situations", type=int, default=3000, help="random answers to start from")
    options = parser.parse_args()
    found = {kind: measure(options.situations, kind == "many") for kind in ("few", "many")}
    with earlier(LAST_RELEASE) as decide:
        before = measure(options.situations // 5, False, decide)
        found["before"] = {name: share for name, share in before.items() if name in decide.questions}
    print(f"{'question':22} {'before':>7}  {'few':>7}  {'many':>7}")
    for name in CHOICES:
        shares = (
            f"{found[kind][name]:5.1f} %" if name in found[kind] else " " * 7 for kind in ("before", "few", "many")
        )
        print(f"{name:22} {'  '.join(shares)}")
    RESULT.write_text(json.dumps({"situations": options.situations, **found}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
