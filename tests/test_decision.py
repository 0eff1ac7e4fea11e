"""The rules: what they recommend, and that data and engine keep their promises."""

import itertools
import json
import random
import re
from functools import cache
from pathlib import Path

import pytest
import yaml
from jinja2 import ChoiceLoader, DictLoader, FileSystemLoader, StrictUndefined
from jinja2.sandbox import SandboxedEnvironment

ROOT = Path(__file__).parent.parent
QUESTIONS = yaml.safe_load((ROOT / "questions/decision.yml").read_text())
CATALOGUE = yaml.safe_load((ROOT / "decision/systems.yml").read_text())
RULES = yaml.safe_load((ROOT / "decision/rules.yml").read_text())
SYSTEMS = {system["id"]: system for system in CATALOGUE["systems"]}
CHOICES = {
    name: [False, True] if question["type"] == "bool" else list(question["choices"].values())
    for name, question in QUESTIONS.items()
    if question["type"] in ("str", "bool")
}
DEFAULTS = {name: QUESTIONS[name]["default"] for name in CHOICES} | {"hosting": "no_preference"}
EFFECTS = {"require", "exclude", "exclude_variants", "prefer", "caution", "caution_variants"}


def engine(systems=None, rules=None):
    """The engine as Copier loads it, optionally over other data; returns a caller for any of its macros."""
    changed = {"decision/systems.yml": systems, "decision/rules.yml": rules}
    environment = SandboxedEnvironment(
        loader=ChoiceLoader(
            [
                DictLoader({path: yaml.safe_dump(data) for path, data in changed.items() if data}),
                FileSystemLoader(ROOT),
            ]
        ),
        extensions=["jinja2_ansible_filters.AnsibleCoreFiltersExtension"],
        block_start_string="[%",
        block_end_string="%]",
        variable_start_string="[[",
        variable_end_string="]]",
        comment_start_string="[#",
        comment_end_string="#]",
        undefined=StrictUndefined,
    )
    module = environment.get_template("decision/engine.jinja").module
    return lambda macro, *args: json.loads(getattr(module, macro)(*args))


@cache
def real_engine():
    return engine()


def answers(**overrides):
    """Default answers with some changed, as the questionnaire would hand them over."""
    for name, value in overrides.items():
        assert name in CHOICES, f"{name} is not a question"
        for one in value if isinstance(value, list) else [value]:
            assert one in CHOICES[name], f"{one} is no answer to {name}"
    given = DEFAULTS | overrides
    if given["vpc"] == "isolated" and "hosting" not in overrides:
        given["hosting"] = "self_host"
    return given


def decide(**overrides):
    return real_engine()("explain", answers(**overrides))


def entry(decision, system):
    return next(e for e in decision["ranking"] + decision["excluded"] if e["id"] == system)


def random_situations(count):
    dice = random.Random(20130101)  # noqa: S311 - repeatable, not secret
    for _ in range(count):
        situation = {name: dice.choice(values) for name, values in CHOICES.items() if name != "needs"}
        situation["needs"] = dice.sample(CHOICES["needs"], dice.choice([0, 0, 1, 2, 3, 5]))
        if situation["vpc"] == "isolated":
            situation["hosting"] = "self_host"
        yield situation


# --- the guide's scenarios, section 6

SCENARIOS = [
    ("ETL in 100+ pipelines", {"pipeline_count": "over_100"}, "airflow", None),
    ("data products", {"pipeline_shape": "data_products", "needs": ["lineage"]}, "dagster", None),
    ("ML and dynamic Python", {"pipeline_shape": "ml_dynamic"}, "prefect", None),
    ("regulated", {"vpc": "data_plane"}, "prefect", "prefect_cloud_workers"),
    (
        "small team, Python",
        {"team_size": "under_5", "mental_model": "functions"},
        "prefect",
        None,
    ),
    ("small team, no habit", {"team_size": "under_5"}, "prefect", None),
    (
        "large team on Airflow",
        {"team_size": "more_than_15", "current_orchestrator": "airflow", "pipeline_count": "20_to_100"},
        "airflow",
        None,
    ),
    ("several shapes", {"pipeline_shape": "mixed"}, "hybrid", None),
    ("1000+ operators", {"needs": ["many_integrations"]}, "airflow", None),
    ("backfills", {"needs": ["partitioned_backfills"]}, "dagster", None),
    ("column lineage", {"needs": ["lineage"]}, "dagster", None),
    ("tables", {"mental_model": "tables"}, "dagster", None),
    ("functions", {"mental_model": "functions"}, "prefect", None),
    ("off cron", {"current_orchestrator": "cron"}, "prefect", None),
    ("off Luigi", {"current_orchestrator": "luigi"}, "dagster", None),
    ("off Luigi, small", {"current_orchestrator": "luigi", "team_size": "under_5"}, "dagster", None),
    ("off Oozie", {"current_orchestrator": "oozie"}, "airflow", None),
    ("dbt shop", {"needs": ["dbt", "lineage"], "hosting": "managed"}, "dagster", "dagster_plus_serverless"),
    (
        "approvals",
        {"pipeline_shape": "approval", "needs": ["human_approval"], "hosting": "managed"},
        "temporal",
        "temporal_cloud",
    ),
    *(
        (
            f"heterogeneous, managed, {cloud}",
            {"needs": ["many_integrations", "sensors"], "hosting": "managed", "cloud": cloud},
            "airflow",
            variant,
        )
        for cloud, variant in [("aws", "mwaa"), ("gcp", "composer"), ("azure", "astronomer"), ("several", "astronomer")]
    ),
    (
        "Python first, managed",
        {"mental_model": "functions", "hosting": "managed"},
        "prefect",
        "prefect_cloud_managed",
    ),
    *(
        (
            f"simple logic on {cloud}",
            {"pipeline_shape": "service_glue", "cloud": cloud, "needs": ["no_servers"]},
            system,
            system,
        )
        for cloud, system in [("aws", "step_functions"), ("gcp", "gcp_workflows"), ("azure", "data_factory")]
    ),
    (
        "isolated, lineage and checks",
        {"vpc": "isolated", "needs": ["lineage", "quality_checks"]},
        "dagster",
        "dagster_process",
    ),
    (
        "open source, small Python team",
        {"needs": ["open_source_only"], "team_size": "under_5", "mental_model": "functions"},
        "prefect",
        "prefect_process",
    ),
    ("all defaults", {}, "dagster", "dagster_plus_serverless"),
]


@pytest.mark.parametrize(("overrides", "system", "variant"), [s[1:] for s in SCENARIOS], ids=[s[0] for s in SCENARIOS])
def test_scenario(overrides, system, variant):
    decision = decide(**overrides)
    assert decision["recommended"] == system
    assert 2 <= len(decision["reasons"]) <= 3
    if variant:
        assert decision["ranking"][0]["variant"]["id"] == variant


def test_hybrid_has_its_three_members():
    assert decide(pipeline_shape="mixed")["members"]["hybrid"] == ["airflow", "dagster", "prefect"]


def test_hybrid_leaves_out_an_excluded_member():
    decision = decide(pipeline_shape="mixed", team_size="under_5", vpc="isolated")
    assert decision["recommended"] == "hybrid"
    assert decision["members"]["hybrid"] == ["dagster", "prefect"]


def test_sums_of_the_default_weights():
    weights = {dimension["id"]: dimension["weight"] for dimension in CATALOGUE["dimensions"]}
    sums = real_engine()("scores", answers(), [], weights, {})
    expected = {"airflow": 3.00, "prefect": 3.30, "dagster": 3.90, "temporal": 2.00}
    assert {system: sums[system]["weighted"] for system in expected} == expected


def test_a_clouds_service_connects_little_outside_its_cloud():
    integrations = [
        entry(decide(cloud=cloud), "gcp_workflows")["dimensions"]["integrations"] for cloud in ("gcp", "aws")
    ]
    assert integrations == [3, 1]


def test_weights_move_with_the_answers_and_sum_to_100():
    plain = decide(platform_engineers=True)["weights"]
    assert plain == {dimension["id"]: dimension["weight"] for dimension in CATALOGUE["dimensions"]}
    for dimension in CATALOGUE["dimensions"]:
        for move in dimension["raise"]:
            moved = decide(**({"platform_engineers": True} | situation_for(move["when"])))["weights"]
            assert moved[dimension["id"]] > plain[dimension["id"]]
            assert sum(moved.values()) == pytest.approx(100)


# --- sanity over the answers


@pytest.mark.parametrize(("shape", "team"), list(itertools.product(CHOICES["pipeline_shape"], CHOICES["team_size"])))
def test_shapes_teams_networks_and_hosting(shape, team):
    for vpc, hosting in itertools.product(CHOICES["vpc"], CHOICES["hosting"]):
        if (vpc, hosting) == ("isolated", "managed"):
            continue
        decision = decide(pipeline_shape=shape, team_size=team, vpc=vpc, hosting=hosting)
        assert decision["recommended"]
        for remaining in decision["ranking"]:
            variant = remaining["variant"]
            if not remaining["members"]:
                assert variant, remaining["id"]
            if vpc == "isolated" or hosting == "self_host":
                assert variant.get("hosting") != "managed"
            if hosting == "managed":
                assert variant.get("hosting") != "self_host"
            if vpc == "data_plane":
                assert "vendor_runs_code" not in variant


@pytest.mark.parametrize("shape", CHOICES["pipeline_shape"])
def test_a_clouds_service_remains_only_on_its_cloud(shape):
    homes = {"step_functions": "aws", "gcp_workflows": "gcp", "data_factory": "azure"}
    for cloud in CHOICES["cloud"]:
        remaining = {e["id"] for e in decide(pipeline_shape=shape, cloud=cloud)["ranking"]} & homes.keys()
        assert all(homes[system] == cloud for system in remaining)


def test_either_a_recommendation_or_a_conflict():
    for situation in random_situations(250):
        decision = decide(**situation)
        assert bool(decision["recommended"]) != bool(decision["conflict"]), situation
        if decision["recommended"]:
            assert decision["recommended"] not in {e["id"] for e in decision["excluded"]}
            default = entry(decision, decision["default"])
            assert default["template"], situation
            assert not default["problem"], situation
        for choice in decision["ranking"] + decision["excluded"]:
            assert choice["problem"] or choice["template"], situation


def test_order_in_the_files_decides_nothing():
    backwards = engine(CATALOGUE | {"systems": CATALOGUE["systems"][::-1]}, RULES[::-1])
    for situation in random_situations(60):
        assert backwards("explain", situation) == decide(**situation)


def test_equal_scores_go_by_tie_break():
    systems = [
        system | {"scores": SYSTEMS["airflow"]["scores"]} if system["id"] in ("prefect", "dagster") else system
        for system in CATALOGUE["systems"]
    ]
    decision = engine(CATALOGUE | {"systems": systems}, RULES)("explain", answers())
    tied = [e["id"] for e in decision["ranking"] if e["score"] == entry(decision, "airflow")["score"]]
    assert tied == ["prefect", "dagster", "airflow"]
    assert len({system["tie_break"] for system in SYSTEMS.values()}) == len(SYSTEMS)


@pytest.mark.parametrize(
    ("overrides", "phrases"),
    [
        (
            {"needs": ["lineage", "quality_checks", "durable_execution"]},
            ["Dagster is required because", "Temporal is required because"],
        ),
        ({"vpc": "isolated", "needs": ["no_servers"]}, ["is out because", "nothing may leave", "no servers"]),
    ],
)
def test_nothing_fits_says_which_requirements_clash(overrides, phrases):
    decision = decide(**overrides)
    assert decision["recommended"] == ""
    assert decision["ranking"] == []
    assert decision["conflict"].startswith("Nothing fits: ")
    assert all(phrase in decision["conflict"] for phrase in phrases)


def test_each_default_template_can_be_chosen_with_default_answers():
    decision = decide()
    for system in ("airflow", "dagster", "prefect"):
        assert entry(decision, system)["problem"] == ""


def test_what_cannot_be_chosen_says_why():
    decision = decide()
    assert entry(decision, "step_functions")["problem"] == "it has no template here yet"
    assert "(rule gcp-workflows-on-gcp-only)" in entry(decision, "gcp_workflows")["problem"]


def test_a_requirement_without_a_template_leaves_the_others_to_choose():
    decision = decide(pipeline_shape="approval")
    assert (decision["recommended"], decision["default"]) == ("temporal", "dagster")
    assert entry(decision, "dagster")["because"]


# --- every rule


def situation_for(when):
    """Answers for which `when` holds."""
    situation = {}
    for name, wanted in when.items():
        if isinstance(wanted, dict):
            taken = wanted.get("all", []) + wanted.get("any", [])[:1]
            fitting = [value for value in CHOICES[name] if value not in wanted.get("none", [])]
            if name == "needs":
                situation[name] = taken
            else:
                situation[name] = taken[0] if taken else fitting[0]
        else:
            first = wanted[0] if isinstance(wanted, list) else wanted
            situation[name] = [first] if name == "needs" else first
    return situation


def nearly(when):
    """The same answers with one changed so that `when` no longer holds, for each line of it."""
    for name, wanted in when.items():
        situation = situation_for(when)
        if isinstance(wanted, dict) and "none" in wanted and not wanted.keys() - {"none"}:
            other = wanted["none"][0]
            situation[name] = [other] if name == "needs" else other
        elif name == "needs":
            situation[name] = situation[name][1:]
        else:
            listed = wanted if isinstance(wanted, list) else [wanted]
            situation[name] = next(value for value in CHOICES[name] if value not in listed)
        yield situation


@pytest.mark.parametrize("rule", RULES, ids=[rule["id"] for rule in RULES])
def test_rule_fires_and_nearly_fires(rule):
    when = rule.get("when", {})
    fired = decide(**situation_for(when))["fired"]
    assert rule["id"] in fired
    for situation in nearly(when):
        assert rule["id"] not in decide(**situation)["fired"], situation


@pytest.mark.parametrize("rule", RULES, ids=[rule["id"] for rule in RULES])
def test_rule_is_well_formed(rule):
    assert len(rule.keys() & EFFECTS) == 1
    assert rule.keys() - EFFECTS <= {"id", "when", "because", "source"}
    assert rule["because"]
    assert re.match(r"section \d", rule["source"])
    effect = next(iter(rule.keys() & EFFECTS))
    if effect in ("require", "exclude", "prefer", "caution") and rule[effect] != "all":
        assert set(rule[effect]) <= SYSTEMS.keys()
    assert_known(rule.get("when", {}))


def test_conditions_in_the_catalogue_name_known_answers():
    for dimension in CATALOGUE["dimensions"]:
        for move in dimension["raise"]:
            assert_known(move["when"])
    for system in SYSTEMS.values():
        for part in system.get("variants", []) + system.get("adjust", []):
            assert_known(part.get("when", {}))


def assert_known(when):
    for name, wanted in when.items():
        assert name in CHOICES, f"{name} is not a question"
        values = itertools.chain(*wanted.values()) if isinstance(wanted, dict) else wanted
        for value in [values] if isinstance(values, str | bool) else values:
            assert value in CHOICES[name], f"{value} is no answer to {name}"


def test_ids_are_unique():
    assert len({rule["id"] for rule in RULES}) == len(RULES)
    variants = [variant["id"] for system in SYSTEMS.values() for variant in system.get("variants", [])]
    assert len(set(variants)) == len(variants)


def test_engine_and_orchestrator_question_name_no_system_and_no_answer():
    code = re.sub(r"\[#-.*?-#\]", "", (ROOT / "decision/engine.jinja").read_text(), flags=re.DOTALL)
    question = (ROOT / "questions/orchestrator.yml").read_text()
    for name in [*SYSTEMS, *CHOICES]:
        assert not re.search(rf"\b{name}\b", code), name
    for system in SYSTEMS:
        assert not re.search(rf"\b{system}\b", question), system


def test_a_later_system_is_only_data():
    newcomer = SYSTEMS["dagster"] | {"id": "newcomer", "name": "Newcomer", "tie_break": 99}
    newcomer["scores"] = dict.fromkeys(newcomer["scores"], 5)
    decision = engine(CATALOGUE | {"systems": [*CATALOGUE["systems"], newcomer]}, RULES)("explain", answers())
    assert (decision["recommended"], decision["default"]) == ("newcomer", "newcomer")
