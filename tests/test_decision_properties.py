"""What must hold of every decision: over a covering set of the answers, and by Hypothesis beyond it."""

from __future__ import annotations

import itertools

import pytest
from covering import TYPICAL, covering_rows, missing_combinations, satisfying, situations
from decision_engine import CHOICES, DEFAULTS, LISTS, contents, data, environment, macros
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from measure_stability import AT_MOST, STRONGEST, consistent, measure

STRENGTH = 3
RULES = data("rules")
BY_ID = {rule["id"]: rule for rule in RULES}
SYSTEMS = {system["id"]: system for system in data("systems")}
TOUCHED = data("integrations")["systems"]
IRRELEVANT = data("irrelevant")
HOMES = {"step_functions": "aws", "gcp_workflows": "gcp", "data_factory": "azure"}
# What these needs speak of is the hosting, so they may rule a system out although it meets them in another variant.
NEEDS_OF_HOSTING = {"no_servers", "open_source_only"}
QUICK = settings(max_examples=80, deadline=None, derandomize=True)
# Answers that only rank, whatever they are: no requirement rests on them.
PREFERENCES = ("matters_most",)


def few(name: str, at_most: int):
    return st.lists(st.sampled_from(CHOICES[name]), unique=True, max_size=at_most)


answers_of = st.fixed_dictionaries(
    {name: st.sampled_from(CHOICES[name]) for name in CHOICES if name not in LISTS}
    | {"needs": few("needs", 14), "connects_to": few("connects_to", 8), "experience": few("experience", 7)}
    | {"matters_most": few("matters_most", 2)}
).map(consistent)


@pytest.fixture(scope="session")
def covering() -> list[dict]:
    """Answers in which every combination of three answers appears."""
    return [consistent(answers) for answers in situations(STRENGTH)]


def test_the_covering_set_is_complete():
    levels = [len(CHOICES[name]) for name in CHOICES if name not in LISTS] + [
        len(values) for values in TYPICAL.values()
    ]
    levels += [2] * len(CHOICES["needs"])
    assert missing_combinations(covering_rows(levels, STRENGTH), levels, STRENGTH) == 0


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
        found["recommended"] = [*found["remaining"], ""][0]
        found["step_name"] = self.module.loaded["steps"][found["step"] - 1] if found["remaining"] else ""
        return found


@pytest.fixture(scope="session")
def explain():
    call = macros("engine")
    return lambda answers: call("explain", answers)


@pytest.fixture(scope="session")
def steps() -> Steps:
    return Steps()


def holds(when: dict, answers: dict) -> bool:
    """Whether a rule's `when` holds, read again from the YAML rather than as the engine has it."""
    for name, wanted in when.items():
        has = answers[name] if isinstance(answers[name], list) else [answers[name]]
        parts = wanted if isinstance(wanted, dict) else {"any": wanted if isinstance(wanted, list) else [wanted]}
        if any(value not in has for value in parts.get("all", [])):
            return False
        if "any" in parts and not any(value in has for value in parts["any"]):
            return False
        if any(value in has or (value == "" and not has) for value in parts.get("none", [])):
            return False
        if "beyond" in parts and has and all(parts["beyond"] in TOUCHED[one].get("clouds", []) for one in has):
            return False
    return True


def assert_requirements_met(recommended: str, members: list[str], answers: dict) -> None:
    """No rule of step 1 that holds speaks against what is recommended; of a combination, some member meets it."""
    for rule in RULES:
        if not recommended or not holds(rule.get("when", {}), answers):
            continue
        if "require" in rule:
            assert recommended in rule["require"], rule["id"]
            assert not members or set(members) & set(rule["require"]), rule["id"]
        if "exclude" in rule:
            assert not {recommended, *members} & set(rule["exclude"]), rule["id"]


def assert_sound(decision: dict, answers: dict) -> None:
    """Everything that holds of a single decision."""
    everything = decision["ranking"] + decision["excluded"]
    by_id = {entry["id"]: entry for entry in everything}
    assert by_id.keys() == SYSTEMS.keys()
    assert sum(decision["weights"].values()) == pytest.approx(100)
    best = decision["recommended"]
    assert_requirements_met(best, decision["members"].get(best, []), answers)
    if best:
        assert decision["conflict"] == ""
        assert best == decision["ranking"][0]["id"]
        assert best not in {entry["id"] for entry in decision["excluded"]}
        assert 1 <= len(decision["reasons"]) <= 3
        assert decision["step"] in contents()["dimensions"]["steps"]
        assert (decision["step"] == "requirements") == (len(decision["ranking"]) == 1)
        assert decision["fresh_start"] in {entry["id"] for entry in decision["ranking"]}
        assert decision["step"] == "stay" or decision["fresh_start"] == best
    else:
        assert decision["ranking"] == []
        assert decision["conflict"].startswith("Nothing fits; change ")
        named = [rule["because"] for rule in RULES if rule["id"] in decision["fired"]]
        assert any(because in decision["conflict"] for because in named)
    scores = [entry["score"] for entry in decision["ranking"][1:]]
    assert scores == sorted(scores, reverse=True)
    if decision["step"] == "preferences":
        assert decision["ranking"][0]["score"] >= max(scores) or "luigi" in answers["current_orchestrator"]
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


def test_every_combination_of_three_answers_is_decided_soundly(covering, steps, explain):
    for number, answers in enumerate(covering):
        found = steps(answers)
        best = found["recommended"]
        assert_requirements_met(best, found["members"].get(best, []), answers)
        if number % 5 == 0:  # all of the record takes longer
            assert_sound(explain(answers), answers)


@given(answers_of)
@QUICK
def test_any_answers_are_decided_soundly(explain, answers):
    assert_sound(explain(answers), answers)


# --- requirements and staying come before every preference


RUNNING = {
    value: {s["id"] for s in SYSTEMS.values() if s.get("current") == value} for value in CHOICES["current_orchestrator"]
}


@given(answers_of, st.sampled_from(["20_to_100", "over_100"]), st.sampled_from([v for v in RUNNING if RUNNING[v]]))
@QUICK
def test_from_20_pipelines_up_what_runs_today_stays_if_it_meets_the_requirements(steps, answers, count, now):
    found = steps(consistent(answers | {"pipeline_count": count, "current_orchestrator": now}))
    left = RUNNING[now] & set(found["remaining"])
    if left:
        assert found["recommended"] in left
        assert found["step_name"] in ("stay", "requirements")


def test_from_20_pipelines_up_no_combination_of_preferences_moves_anybody(steps):
    """All of them: what the team thinks in, knows, wants most, and every need that is no requirement by itself."""
    needs = [
        "partitioned_backfills",
        "dbt",
        "dynamic_fan_out",
        "sub_flows",
        "sensors",
        "many_integrations",
        "freshness",
    ]
    wanted = [list(some) for size in range(3) for some in itertools.combinations(needs, size)]
    thinking = itertools.cycle(
        itertools.product(CHOICES["mental_model"], TYPICAL["experience"], TYPICAL["matters_most"])
    )
    for shape, now in itertools.product(
        ["batch_etl", "data_products", "ml_dynamic", "mixed"], ["airflow", "dagster", "prefect"]
    ):
        for some, (model, knows, most) in zip(wanted * 9, thinking, strict=False):
            answers = {"pipeline_shape": shape, "current_orchestrator": now, "needs": some, "mental_model": model}
            answers |= {"experience": knows, "matters_most": most, "pipeline_count": "20_to_100"}
            found = steps(DEFAULTS | answers)
            assert found["recommended"] == now or now in found["against"], answers


@given(answers_of, few("matters_most", 2), st.sampled_from(CHOICES["mental_model"]), few("experience", 7))
@QUICK
def test_a_preference_never_removes_what_a_requirement_does(steps, answers, most, model, knows):
    """What is excluded stays excluded; the few exclusions that rest on skills and habits say so in their rule."""
    asked = answers["pipeline_shape"] not in ("approval", "service_glue")
    then = answers | {"matters_most": most, "experience": knows, "mental_model": model if asked else "jobs"}
    rest = {"temporal-without-skills", "asset-model-rejected", "thin-coverage"}
    before, after = steps(answers)["against"], steps(then)["against"]
    for name, rules in before.items():
        if not rest & {rule["id"] for rule in rules} and name != "hybrid":
            assert name in after, (name, then)


def assert_met_need_does_not_lower(steps: Steps, answers: dict, need: str) -> None:
    before, after = steps(answers), steps(answers | {"needs": [*answers["needs"], need]})
    old, new = ({row["id"]: row["score"] for row in found["scores"]} for found in (before, after))
    for name, system in SYSTEMS.items():
        if system.get("serves", {}).get(need, 0) >= 4:
            assert new[name] >= old[name], (name, need, answers)
            if need not in NEEDS_OF_HOSTING:
                assert name in before["out"] or name not in after["out"], (name, need, answers)


def test_a_need_that_a_system_serves_well_never_lowers_it(covering, steps):
    for number, answers in enumerate(covering):
        free = [need for need in CHOICES["needs"] if need not in answers["needs"]]
        if free:
            assert_met_need_does_not_lower(steps, answers, free[number % len(free)])


@given(answers_of, st.sampled_from(CHOICES["needs"]))
@QUICK
def test_a_need_that_a_system_serves_well_never_lowers_it_whatever_the_answers(steps, answers, need):
    if need not in answers["needs"]:
        assert_met_need_does_not_lower(steps, answers, need)


@pytest.mark.parametrize("row", IRRELEVANT, ids=lambda row: f"{row['changed']} {row['because'][:30]}")
@given(answers_of, st.data())
@settings(QUICK, max_examples=60)
def test_an_answer_that_does_not_matter_changes_nothing(steps, row, answers, data):
    for name, wanted in row.get("when", {}).items():
        if not holds({name: wanted}, answers):
            values = wanted if isinstance(wanted, list) else [wanted]
            values = [v for v in CHOICES[name] if v not in wanted["none"]] if isinstance(wanted, dict) else values
            value = data.draw(st.sampled_from(values))
            answers |= {name: [*answers[name], value] if name in LISTS else value}
    if row.get("step") == "stay":
        answers |= {"current_orchestrator": data.draw(st.sampled_from(["airflow", "dagster", "prefect", "temporal"]))}
    if row.get("step") == "stay" and row["changed"] == "pipeline_count":
        answers |= {"pipeline_count": "20_to_100"}
    answers = consistent(dict(answers))
    name, among = row["changed"], row.get("among", CHOICES[row["changed"]])
    if name in LISTS:
        item = data.draw(st.sampled_from(among))
        kept = [other for other in answers[name] if other != item]
        other = answers | {name: kept if item in answers[name] else [*kept, item]}
    else:
        assume(answers[name] in among)
        other = consistent(answers | {name: data.draw(st.sampled_from(among))})
    assume(holds(row.get("when", {}), answers) and holds(row.get("when", {}), other))
    found = steps(answers)
    assume(row.get("step") in (None, found["step_name"]))
    assert steps(other)["recommended"] == found["recommended"], other


def test_no_single_answer_moves_too_many():
    """A small sample of what docs/decision.md shows; the limit is the same."""
    for name, share in measure(120, many=False).items():
        assert share <= AT_MOST or name in STRONGEST, name


# --- the files


def backwards(systems: list[dict]) -> list[dict]:
    return [dict(s, variants=s["variants"][::-1]) if "variants" in s else s for s in systems][::-1]


def test_order_in_the_files_decides_nothing(covering, explain):
    turned = macros("engine", systems=backwards(data("systems")), rules=RULES[::-1])
    for answers in covering[::20]:
        assert turned("explain", answers) == explain(answers), answers


def outcome(found: dict, effect: str) -> object:
    """What a rule of this effect is there to change."""
    if effect in ("require", "prefer", "stay", "move_to"):
        return found["remaining"][:1], found["step"]
    if effect in ("exclude", "cover"):
        return set(found["remaining"])
    if effect == "exclude_variants":
        return set(found["closed"]), set(found["remaining"])
    return {(rule["id"], system) for rule in found[effect] for system in found["remaining"]}


def changes_an_outcome(steps: Steps, rule: dict, rows: list[dict]) -> bool:
    """Whether some decision comes out differently without the rule, among these answers brought to where it fires."""
    (effect,) = set(rule) - {"id", "when", "because", "source"}
    effect = {"avoid": "prefer"}.get(effect, effect)
    when = rule.get("when", {})
    # Few needs first: where half of all are named, a single preference seldom tells.
    needs = [[], *([need] for need in CHOICES["needs"])]
    tried = [DEFAULTS | {"needs": some} for some in needs]
    tried += [row | {"needs": some} for row, some in zip(rows, itertools.cycle(needs), strict=False)]
    for row in tried + rows:
        answers = row | satisfying({name: wanted for name, wanted in when.items() if not holds({name: wanted}, row)})
        answers = consistent(answers)
        now = steps(answers)
        fired = any(each.get("id") == rule["id"] for each in now[effect])
        if fired and outcome(now, effect) != outcome(steps(answers, without=rule["id"]), effect):
            return True
    return False


def test_every_rule_changes_an_outcome(covering):
    never, twice = (
        {"id": "never-fires", "when": {"cloud": {"all": ["aws", "gcp"]}}, "prefer": {"dagster": 5.0}},
        {"id": "says-it-twice", "when": {"needs": "open_source_only"}, "exclude": ["step_functions"]},
    )
    planted = [rule | {"because": "it is planted here", "source": "section 4"} for rule in (never, twice)]
    steps = Steps(rules=RULES + planted)
    idle = [rule["id"] for rule in RULES + planted if not changes_an_outcome(steps, rule, covering[::2])]
    assert idle == ["never-fires", "says-it-twice"]


def test_every_rule_fires_and_does_not_fire_somewhere(covering, steps):
    rows = covering + [row | {"needs": []} for row in covering[::5]]
    fired = [{each["id"] for each in steps(row)["held"] if "source" in each} for row in rows]
    assert set().union(*fired) == {rule["id"] for rule in RULES}
    assert set.intersection(*fired) == {rule["id"] for rule in RULES if "when" not in rule}
