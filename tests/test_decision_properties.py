"""What must hold of every decision: over a covering set of the answers, and by Hypothesis beyond it."""

from __future__ import annotations

import math

import pytest
from covering import covering_rows, missing_combinations
from decision_engine import CHOICES, data, environment, macros
from hypothesis import given, settings
from hypothesis import strategies as st

STRENGTH = 4
SINGLE = [name for name in CHOICES if name != "needs"]
LEVELS = [len(CHOICES[name]) for name in SINGLE] + [2] * len(CHOICES["needs"])
RULES = data("rules")
CATALOGUE = data("systems")
SYSTEMS = {system["id"]: system for system in CATALOGUE["systems"]}
HOMES = {"step_functions": "aws", "gcp_workflows": "gcp", "data_factory": "azure"}
# What these needs speak of is the hosting, so they may rule a system out although it meets them in another variant.
NEEDS_OF_HOSTING = {"no_servers", "open_source_only"}
QUICK = settings(max_examples=150, deadline=None, derandomize=True)

situations = st.fixed_dictionaries(
    {name: st.sampled_from(CHOICES[name]) for name in SINGLE}
    | {"needs": st.lists(st.sampled_from(CHOICES["needs"]), unique=True)}
)


@pytest.fixture(scope="session")
def covering() -> list[dict]:
    """Answers in which every combination of four answers appears."""
    rows = covering_rows(LEVELS, STRENGTH)
    assert missing_combinations(rows, LEVELS, STRENGTH) == 0
    print(f"\n{math.prod(LEVELS):,} combinations of answers, {len(rows):,} in the covering set")
    return [
        {name: CHOICES[name][value] for name, value in zip(SINGLE, row, strict=False)}
        | {"needs": [need for need, chosen in zip(CHOICES["needs"], row[len(SINGLE) :], strict=True) if chosen]}
        for row in rows
    ]


class Steps:
    """The engine's steps up to the ranking, as a dictionary of what they worked out; quicker than the whole record."""

    def __init__(self, **changed):
        self.module = environment(**changed).get_template("decision/engine.jinja").module

    def __call__(self, answers: dict, without: str = "") -> dict:
        found = {}
        conditions = [each for each in self.module.loaded["conditions"] if each.get("id") != without]
        self.module.applicable(found, answers, conditions, [])
        for step in ("excluded", "weights", "scores", "ranking"):
            getattr(self.module, step)(found)
        return found


@pytest.fixture(scope="session")
def explain():
    call = macros("engine")
    return lambda answers: call("explain", answers)


@pytest.fixture(scope="session")
def steps() -> Steps:
    return Steps()


def assert_sound(decision: dict, answers: dict) -> None:
    """Everything that holds of a single decision."""
    everything = decision["ranking"] + decision["excluded"]
    by_id = {entry["id"]: entry for entry in everything}
    assert by_id.keys() == SYSTEMS.keys()
    assert sum(decision["weights"].values()) == pytest.approx(100)
    if decision["recommended"]:
        assert decision["conflict"] == ""
        assert decision["recommended"] == decision["ranking"][0]["id"]
        assert decision["recommended"] not in {entry["id"] for entry in decision["excluded"]}
        assert 1 <= len(decision["reasons"]) <= 3
    else:
        assert decision["ranking"] == []
        assert decision["conflict"].startswith("Nothing fits: ")
        named = [rule["because"] for rule in RULES if rule["id"] in decision["fired"]]
        assert any(because in decision["conflict"] for because in named)
    scores = [entry["score"] for entry in decision["ranking"]]
    assert scores == sorted(scores, reverse=True)
    for entry in decision["ranking"]:
        assert entry["members"] or entry["variant"], entry["id"]
        assert HOMES.get(entry["id"], answers["cloud"]) == answers["cloud"]
        assert all(by_id[member["system"]]["variant"] for member in entry["members"])
    for entry in everything:
        assert entry["problem"] or entry["template"], entry["id"]
        if answers["vpc"] == "isolated":
            assert entry["variant"].get("hosting") != "managed"
        for variant in entry["variants"]:
            if not variant["problem"]:
                of = next(each for each in SYSTEMS[entry["id"]]["variants"] if each["id"] == variant["id"])
                assert of.get("only_on", answers["cloud"]) == answers["cloud"]
                assert not (answers["vpc"] == "data_plane" and "vendor_runs_code" in of)
                assert not (answers["vpc"] == "isolated" and of["hosting"] == "managed")


def assert_met_need_does_not_lower(steps: Steps, answers: dict, need: str) -> None:
    before, after = steps(answers), steps(answers | {"needs": [*answers["needs"], need]})
    old, new = ({row["id"]: row["score"] for row in found["scores"]} for found in (before, after))
    for name, system in SYSTEMS.items():
        if need in system.get("covers", []):
            assert new[name] >= old[name], (name, need, answers)
            if need not in NEEDS_OF_HOSTING:
                assert name in before["out"] or name not in after["out"], (name, need, answers)


def test_every_combination_of_four_answers_is_decided_soundly(covering, explain):
    for answers in covering:
        assert_sound(explain(answers), answers)


@given(situations)
@QUICK
def test_any_answers_are_decided_soundly(explain, answers):
    assert_sound(explain(answers), answers)


def test_a_need_that_a_system_meets_never_lowers_it(covering, steps):
    for number, answers in enumerate(covering):
        free = [need for need in CHOICES["needs"] if need not in answers["needs"]]
        if free:
            assert_met_need_does_not_lower(steps, answers, free[number % len(free)])


@given(situations, st.sampled_from(CHOICES["needs"]))
@QUICK
def test_a_need_that_a_system_meets_never_lowers_it_whatever_the_answers(steps, answers, need):
    if need not in answers["needs"]:
        assert_met_need_does_not_lower(steps, answers, need)


def backwards(catalogue: dict) -> dict:
    turned = [
        dict(system, variants=system["variants"][::-1]) if "variants" in system else system
        for system in catalogue["systems"]
    ]
    return catalogue | {"systems": turned[::-1]}


def test_order_in_the_files_decides_nothing(covering, explain):
    turned = macros("engine", systems=backwards(CATALOGUE), rules=RULES[::-1])
    for answers in covering[::3]:
        assert turned("explain", answers) == explain(answers), answers


def outcome(found: dict, effect: str) -> object:
    """What a rule of this effect is there to change."""
    if effect in ("require", "prefer"):
        return found["remaining"][:1]
    if effect == "exclude":
        return set(found["remaining"])
    if effect == "exclude_variants":
        return set(found["closed"]), set(found["remaining"])
    return {(rule["id"], system) for rule in found[effect] for system in found["remaining"]}


def superfluous(rules: list[dict], covering: list[dict]) -> list[str]:
    """Ids of the rules without which every decision comes out the same, over the covering set and plainer answers.

    A row of the covering set names half of all needs; a preference may only tell where few do, so each row is also
    taken with a single need.
    """
    plainer = [answers | {"needs": [CHOICES["needs"][i % len(CHOICES["needs"])]]} for i, answers in enumerate(covering)]
    steps = Steps(rules=rules)
    decided = [(answers, steps(answers)) for answers in covering + plainer]
    found = []
    for rule in rules:
        effect = next(key for key in rule if key not in ("id", "when", "because", "source"))
        fires = (pair for pair in decided if any(each.get("id") == rule["id"] for each in pair[1][effect]))
        if all(outcome(now, effect) == outcome(steps(answers, without=rule["id"]), effect) for answers, now in fires):
            found.append(rule["id"])
    return found


def test_every_rule_changes_an_outcome(covering):
    never, twice = (
        {"id": "never-fires", "when": {"cloud": {"all": ["aws", "gcp"]}}, "prefer": {"dagster": 5.0}},
        {"id": "says-it-twice", "when": {"needs": "open_source_only"}, "exclude": ["step_functions"]},
    )
    planted = [rule | {"because": "it is planted here", "source": "section 4"} for rule in (never, twice)]
    assert superfluous(RULES + planted, covering) == ["never-fires", "says-it-twice"]


def test_every_rule_fires_and_does_not_fire_somewhere(covering, steps):
    fired = [{each["id"] for each in steps(answers)["held"] if "source" in each} for answers in covering]
    assert set().union(*fired) == {rule["id"] for rule in RULES}
    assert set.intersection(*fired) == {rule["id"] for rule in RULES if "when" not in rule}
