"""The rules: what they recommend, and that data and engine keep their promises."""

from __future__ import annotations

import argparse
import itertools
import json
import re

import check_decision
import compare_decisions
import compile_decision
import pytest
import write_decision_page
from covering import satisfying
from decision_engine import (
    CHOICES,
    LISTS,
    QUESTIONS,
    ROOT,
    as_template,
    complete,
    contents,
    data,
    environment,
    environment_at,
    macros,
    manifests,
)
from measure_stability import consistent

CATALOGUE, RULES, SCENARIOS, WORDS = data("systems"), data("rules"), data("scenarios"), data("answers")
DIMENSIONS, COSTS = data("dimensions"), data("costs")
SYSTEMS = {system["id"]: system for system in CATALOGUE}
EXPLAIN, REVIEW = macros("engine"), macros("review")


def decide(**overrides):
    return EXPLAIN("explain", complete(overrides))


def review(chosen="", host="", salary=0, engineers=0, prices=None, **overrides):
    return REVIEW("review", complete(overrides), decide(**overrides), chosen, host, salary, engineers, prices or {})


def entry(decision, system):
    return next(e for e in decision["ranking"] + decision["excluded"] if e["id"] == system)


# --- the guide's scenarios, section 6


@pytest.mark.parametrize("scenario", SCENARIOS, ids=[scenario["situation"] for scenario in SCENARIOS])
def test_scenario(scenario):
    decision = decide(**scenario["answers"])
    assert (decision["recommended"], decision["step"]) == (scenario["recommended"], scenario["step"])
    assert 2 <= len(decision["reasons"]) <= 3
    if "variant" in scenario:
        assert decision["ranking"][0]["variant"]["id"] == scenario["variant"]
    assert decision["fresh_start"] == scenario.get("fresh_start", decision["fresh_start"])


def test_what_used_to_go_wrong_did_in_the_last_release():
    with compare_decisions.earlier(compare_decisions.LAST_RELEASE) as before:
        for scenario in SCENARIOS:
            if "used_to" in scenario:
                assert before(complete(scenario["answers"])) == scenario["used_to"] != scenario["recommended"]


def test_hybrid_has_its_three_members():
    assert decide(pipeline_shape="mixed")["members"]["hybrid"] == ["airflow", "dagster", "prefect"]


def test_hybrid_leaves_out_an_excluded_member():
    decision = decide(pipeline_shape="mixed", needs=["many_integrations", "sensors"])
    assert decision["recommended"] == "hybrid"
    assert decision["members"]["hybrid"] == ["airflow", "dagster"]


def test_hybrid_is_for_several_shapes_and_more_than_a_small_team():
    assert "(rule one-shape-one-system)" in entry(decide(), "hybrid")["out"]
    assert "(rule small-team-one-system)" in entry(decide(pipeline_shape="mixed", team_size="under_5"), "hybrid")["out"]


# --- the four steps


def test_the_deciding_step_is_one_of_four_in_order():
    assert DIMENSIONS["steps"] == ["requirements", "stay", "preferences", "least effort"]


def test_a_requirement_names_what_cannot_be_met_and_by_whom():
    decision = decide(pipeline_shape="ml_dynamic", needs=["many_integrations", "sensors"], experience=["prefect"])
    assert entry(decision, "prefect")["out"].startswith(
        "many systems must be connected and waited for, and its library"
    )
    reasons = decide(current_orchestrator="airflow", **CAUTIONARY_TALE)["reasons"]
    assert reasons[0].startswith("Prefect would score 6.36 but cannot be chosen: many systems must be connected")


CAUTIONARY_TALE = {
    "pipeline_shape": "ml_dynamic",
    "mental_model": "functions",
    "needs": ["many_integrations", "sensors", "fast_local_iteration"],
}


@pytest.mark.parametrize(
    ("needs", "stays"), [([], True), (["sensors"], True), (["freshness"], False), (["fast_local_iteration"], False)]
)
def test_with_few_pipelines_a_need_that_is_served_poorly_is_a_reason_to_look_further(needs, stays):
    decision = decide(current_orchestrator="airflow", mental_model="functions", needs=needs)
    assert (decision["step"] == "stay") == stays
    assert (decision["recommended"] == "airflow") == stays


def test_staying_names_what_a_fresh_start_would_take():
    decision = decide(current_orchestrator="airflow", pipeline_count="over_100", pipeline_shape="data_products")
    assert (decision["recommended"], decision["fresh_start"], decision["step"]) == ("airflow", "dagster", "stay")


def test_nothing_stays_that_a_requirement_rules_out():
    decision = decide(current_orchestrator="prefect", pipeline_count="over_100", needs=["many_integrations", "sensors"])
    assert decision["recommended"] == "airflow"


def test_within_the_margin_the_one_with_less_effort_wins():
    decision = decide(needs=["human_approval"])
    scores = {each["id"]: each["score"] for each in decision["ranking"]}
    assert decision["step"] == "least effort"
    assert 0 < scores["temporal"] - scores["airflow"] <= DIMENSIONS["margin"]
    assert "of the two, Apache Airflow has less to operate and to learn" in decision["reasons"][0]
    none = DIMENSIONS | {"margin": 0}
    assert (
        macros("engine", dimensions=none)("explain", complete({"needs": ["human_approval"]}))["recommended"]
        == "temporal"
    )


# --- what the pipelines connect to


def test_a_system_that_covers_too_little_of_what_is_connected_is_out():
    decision = decide(mental_model="functions", connects_to=["kafka", "airbyte", "spark", "s3"])
    assert "(rule thin-coverage)" in entry(decision, "prefect")["out"]
    assert decision["recommended"] == "airflow"


def test_one_or_two_systems_are_soon_written_by_hand():
    answers = {"pipeline_shape": "data_products", "connects_to": ["http_api", "postgresql"]}
    assert decide(**answers)["recommended"] == "dagster"
    assert (
        "(rule thin-coverage)"
        in entry(decide(**answers | {"connects_to": ["http_api", "postgresql", "kafka"]}), "dagster")["out"]
    )


def test_thin_coverage_counts_only_where_another_system_that_remains_covers_more():
    assert decide(pipeline_shape="approval", connects_to=["kafka", "spark", "s3"])["recommended"] == "temporal"


def test_what_runs_today_is_connected_already():
    answers = {
        "current_orchestrator": "prefect",
        "pipeline_count": "20_to_100",
        "connects_to": ["kafka", "airbyte", "s3"],
    }
    assert decide(**answers)["recommended"] == "prefect"
    assert decide(**answers | {"current_orchestrator": "none"})["recommended"] != "prefect"


def test_the_ecosystem_is_scored_by_the_share_that_is_covered():
    dimensions = entry(decide(connects_to=["s3", "kafka"]), "prefect")["dimensions"]
    assert dimensions["ecosystem"] == 3.0  # one of two
    assert entry(decide(), "prefect")["dimensions"]["ecosystem"] == 3
    assert entry(decide(connects_to=["s3", "kafka"], needs=["sensors"]), "airflow")["dimensions"]["ecosystem"] == 5.0
    waiting = entry(decide(connects_to=["snowflake"], needs=["sensors"]), "dagster")["dimensions"]["ecosystem"]
    assert waiting == 3.0  # all of it is connected, nothing is waited for


@pytest.mark.parametrize(
    ("cloud", "own"), [("aws", "step_functions"), ("gcp", "gcp_workflows"), ("azure", "data_factory")]
)
def test_many_systems_of_one_cloud_leave_its_own_service(cloud, own):
    touched = [name for name, system in data("integrations")["systems"].items() if cloud in system.get("clouds", [])]
    answers = {"pipeline_shape": "service_glue", "cloud": cloud, "needs": ["many_integrations", "sensors"]}
    assert not entry(decide(**answers, connects_to=touched[:1]), own)["out"]
    for beyond in ([], [*touched, "kafka"]):
        assert f"(rule many-systems-beyond-{cloud}" in entry(decide(**answers, connects_to=beyond), own)["out"]


# --- weights and scores


def test_sums_of_the_default_weights():
    decision = decide(platform_engineers=True)
    sums = {
        system: entry(decision, system)["score"] - entry(decision, system)["points"]
        for system in ("airflow", "prefect", "dagster", "temporal")
    }
    assert sums == {"airflow": 3.00, "prefect": 3.30, "dagster": 3.90, "temporal": 2.00}


def test_a_clouds_service_connects_little_outside_its_cloud():
    scores = [entry(decide(cloud=cloud), "gcp_workflows")["dimensions"]["ecosystem"] for cloud in ("gcp", "aws")]
    assert scores == [3, 1]


def test_weights_move_with_the_answers_and_sum_to_100():
    plain = decide(platform_engineers=True)["weights"]
    assert plain == {dimension["id"]: dimension["weight"] for dimension in DIMENSIONS["dimensions"]}
    for dimension in DIMENSIONS["dimensions"]:
        for move in dimension["raise"]:
            moved = decide(**({"platform_engineers": True} | satisfying(move["when"])))["weights"]
            assert moved[dimension["id"]] > plain[dimension["id"]], move
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


@pytest.mark.parametrize("cloud", CHOICES["cloud"])
def test_models_are_hosted_where_dbt_can_run(cloud):
    """Where managed hosting is asked for and only a service without dbt remains, a caution says so."""
    for vpc, hosting in itertools.product(CHOICES["vpc"], ["no_preference", "managed"]):
        if (vpc, hosting) == ("isolated", "managed"):
            continue
        decision = decide(pipeline_shape="data_products", cloud=cloud, vpc=vpc, hosting=hosting)
        for entry in decision["ranking"]:
            if not entry["members"] and without_dbt(entry["variant"]["id"]):
                assert all(without_dbt(each["id"]) or each["problem"] for each in entry["variants"])
                [warned] = [each for each in decision["cautions"] if each["id"] == "models-without-dbt"]
                assert entry["variant"]["id"] in warned["variants"]


def without_dbt(variant):
    return any(each["id"] == variant and "without_dbt" in each for s in CATALOGUE for each in s.get("variants", []))


@pytest.mark.parametrize("shape", CHOICES["pipeline_shape"])
def test_a_clouds_service_remains_only_on_its_cloud(shape):
    homes = {"step_functions": "aws", "gcp_workflows": "gcp", "data_factory": "azure"}
    for cloud in CHOICES["cloud"]:
        remaining = {e["id"] for e in decide(pipeline_shape=shape, cloud=cloud)["ranking"]} & homes.keys()
        assert all(homes[system] == cloud for system in remaining)


@pytest.mark.parametrize(
    ("overrides", "phrases"),
    [
        (
            {"needs": ["lineage", "quality_checks", "durable_execution"]},
            ["change needs: ", "Dagster is required because", "Temporal is required because"],
        ),
        (
            {"vpc": "isolated", "needs": ["no_servers"]},
            ["change one of these answers: ", "is out because", "nothing may leave", "no servers"],
        ),
    ],
)
def test_nothing_fits_says_which_requirements_clash(overrides, phrases):
    decision = decide(**overrides)
    assert decision["recommended"] == ""
    assert decision["ranking"] == []
    assert decision["conflict"].startswith("Nothing fits; change ")
    assert all(phrase in decision["conflict"] for phrase in phrases)


def test_each_default_template_can_be_chosen_with_default_answers():
    decision = decide()
    for system in ("airflow", "dagster", "prefect", "step_functions"):
        assert entry(decision, system)["problem"] == ""


def test_what_cannot_be_chosen_says_why():
    decision = decide(cloud="azure")
    assert entry(decision, "data_factory")["problem"] == ""
    assert "(rule gcp-workflows-on-gcp-only)" in entry(decision, "gcp_workflows")["problem"]


def test_a_requirement_without_a_template_leaves_the_others_to_choose():
    templates = {name: manifest for name, manifest in manifests().items() if name != "temporal"}
    decision = decide_with(CATALOGUE, templates, pipeline_shape="approval")
    assert (decision["recommended"], decision["default"]) == ("temporal", "dagster")
    assert entry(decision, "dagster")["out"]


# --- every rule


def nearly(when):
    """The same answers with one changed so that `when` no longer holds, for each line of it."""
    for name, wanted in when.items():
        situation = satisfying(when)
        if isinstance(wanted, dict) and "none" in wanted and not wanted.keys() - {"none"}:
            other = wanted["none"][0]
            situation[name] = ([other] if other else []) if name in LISTS else other
        elif name == "connects_to":
            own = (
                name
                for name, system in data("integrations")["systems"].items()
                if wanted["beyond"] in system.get("clouds", [])
            )
            situation[name] = [next(own)]
        elif name in LISTS:
            situation[name] = situation[name][1:]
        else:
            listed = wanted if isinstance(wanted, list) else [wanted]
            situation[name] = next(value for value in CHOICES[name] if value not in listed)
        yield situation


@pytest.mark.parametrize("rule", RULES, ids=[rule["id"] for rule in RULES])
def test_rule_fires_and_nearly_fires(rule):
    when = rule.get("when", {})
    fired = decide(**satisfying(when))["fired"]
    assert rule["id"] in fired
    for situation in nearly(when):
        assert rule["id"] not in decide(**situation)["fired"], situation


# --- the files


def test_the_files_are_sound():
    assert check_decision.problems() == []


def test_what_is_written_from_the_files_is_current():
    for path, text in write_decision_page.made():
        assert path.read_text() == text, path


def changed(rule_id, **change):
    """The rules with one of them changed; None takes a key away."""
    rules = [rule | change if rule["id"] == rule_id else rule for rule in RULES]
    return [{key: value for key, value in rule.items() if value is not None} for rule in rules]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"prefer": {"temporal": "much"}}, "prefer, temporal: 'much' is not of type 'number'"),
        ({"because": None}, "'because' is a required property"),
        ({"exclude": ["dagster"]}, "it must have one effect, one of require, exclude"),
        ({"prefer": None}, "it must have one effect, one of require, exclude"),
        ({"when": {"needs": {"some": ["dbt"]}}}, "when, needs: "),
        ({"when": {"need": "dbt"}}, "need is no question"),
        ({"when": {"needs": "dpt"}}, "dpt is no answer to needs"),
        ({"when": {"connects_to": {"beyond": "mars"}}}, "mars is no cloud"),
        ({"prefer": {"temporary": 1.0}}, "prefer names temporary, which is no system"),
        ({"source": "section 4, taste"}, "its source, section 4, taste, is no heading"),
    ],
)
def test_an_error_in_a_rule_names_it(change, told):
    found = check_decision.problems(rules=changed("human-gates", **change))
    assert found
    assert all(problem.startswith("decision/rules.yml: rule human-gates") for problem in found)
    assert any(told in problem for problem in found)


def test_errors_elsewhere_name_the_entry():
    systems = [dict(system, scores={"testing": 6}) if system["id"] == "prefect" else system for system in CATALOGUE]
    (found,) = check_decision.problems(systems=systems)
    assert found.startswith("decision/systems/prefect.yml: scores, testing: 6 is greater than the maximum")
    (found,) = check_decision.problems(costs=COSTS | {"prices": {"moon": {"per": "run", "range": [1, 2]}}})
    assert found == "decision/costs.yml: prices: there is no moon"
    scenario = SCENARIOS[0] | {"step": "luck"}
    (found,) = check_decision.problems(scenarios=[scenario])
    assert found.endswith("its step is none of requirements, stay, preferences, least effort")
    twice = [*RULES, RULES[0]]
    assert check_decision.problems(rules=twice) == [f"decision: rule {RULES[0]['id']} stands twice"]
    words = WORDS | {"vpc": WORDS["vpc"] | {"answers": {"open": "anywhere", "closed": "nowhere"}}}
    assert "vpc: its answers are not those of" in check_decision.problems(answers=words)[0]


def test_a_question_counts_as_unasked_where_it_is_not_asked():
    questions = {name: question for name, question in WORDS.items() if "unasked" in question}
    conditional = {name for name in CHOICES if "when" in QUESTIONS[name]} - {*LISTS}
    assert questions.keys() == conditional
    for name, question in questions.items():
        for other, values in question["unasked"].items():
            for value in CHOICES[other]:
                asked = environment().from_string(QUESTIONS[name]["when"]).render({other: value})
                assert (asked == "False") == (value in values)
                if asked == "False":
                    assert complete({other: value})[name] == question["otherwise"]


def test_what_is_asked_only_with_some_answers_follows_the_question_that_they_belong_to():
    order = list(CHOICES)
    for name, question in WORDS.items():
        for other, wanted in question.get("asked", {}).items():
            assert order.index(other) < order.index(name)
            assert (other in LISTS) if isinstance(wanted, int) else {*wanted} <= {*CHOICES[other]}


def test_engine_and_orchestrator_question_name_no_system_and_no_answer():
    code = {
        path.name: re.sub(r"\[#-.*?-#\]", "", path.read_text(), flags=re.DOTALL)
        for path in (ROOT / "decision").glob("*.jinja")
    }
    question = (ROOT / "questions/orchestrator.yml").read_text()
    answers = {value for values in CHOICES.values() for value in values if isinstance(value, str)}
    answers -= {"none", "cost"}  # which is a macro
    for file, text in code.items():
        for name in [*SYSTEMS, *answers]:
            assert not re.search(rf"\b{name}\b", text), (file, name)
    for name in CHOICES.keys() - {"hosting"}:  # which a hosting variant has too
        assert not re.search(rf"\b{name}\b", code["engine.jinja"]), name
    for system in SYSTEMS:
        assert not re.search(rf"\b{system}\b", question), system


def newcomer(**changed):
    """A made-up system that scores best, as one of all systems."""
    new = SYSTEMS["dagster"] | {"id": "newcomer", "name": "Newcomer", "effort": 99, "current": "none"} | changed
    new["scores"] = dict.fromkeys(new["scores"], 5)
    new["variants"] = [{"id": "new", "rank": 1, "hosting": "managed", "name": "New", "because": "it is there"}]
    return [*CATALOGUE, new]


def decide_with(systems, templates, **overrides):
    """What is decided on these systems when there are these templates, {id: its manifest}."""
    compiled = compile_decision.compiled(contents(systems=systems), templates)
    written = {"decision/compiled.json": as_template(compiled)}
    engine = environment_at(ROOT, written).get_template("decision/engine.jinja").module
    return json.loads(engine.explain(complete(overrides)))


def test_a_later_system_is_only_data():
    systems = newcomer()
    assert check_decision.problems(systems=systems) == []
    decision = decide_with(systems, manifests(), mental_model="tables")
    assert (decision["recommended"], decision["default"]) == ("newcomer", "dagster")
    decision = decide_with(systems, manifests() | {"newcomer": {}}, mental_model="tables")
    assert (decision["recommended"], decision["default"]) == ("newcomer", "newcomer")


def test_a_template_without_a_pipeline_of_the_shape_says_so():
    templates = manifests() | {"airflow": {"shapes": ["ml_dynamic"]}, "prefect": {"shapes": ["batch_etl"]}}
    decision = decide_with(CATALOGUE, templates)
    assert entry(decision, "airflow")["without_shape"]
    assert not entry(decision, "prefect")["without_shape"]
    assert not entry(decide_with(CATALOGUE, templates, pipeline_shape="mixed"), "airflow")["without_shape"]


# --- hosting variants


@pytest.mark.parametrize(
    ("overrides", "system", "variant"),
    [
        ({"pipeline_count": "over_100", "pipeline_shape": "mixed"}, "airflow", "airflow_executors"),
        ({"pipeline_shape": "ml_dynamic"}, "airflow", "airflow_kubernetes"),
        ({"pipeline_count": "20_to_100"}, "airflow", "airflow_celery"),
        ({}, "airflow", "airflow_celery"),
        ({"pipeline_count": "over_100"}, "dagster", "dagster_kubernetes"),
        ({"pipeline_count": "20_to_100"}, "dagster", "dagster_docker"),
        ({}, "dagster", "dagster_process"),
        ({}, "prefect", "prefect_process"),
        ({"pipeline_count": "over_100"}, "prefect", "prefect_kubernetes"),
        ({"pipeline_count": "20_to_100"}, "prefect", "prefect_ecs"),
        ({"pipeline_count": "20_to_100", "cloud": "gcp"}, "prefect", "prefect_cloud_run"),
        ({"pipeline_count": "20_to_100", "cloud": "several"}, "prefect", "prefect_docker"),
        ({"pipeline_count": "under_5"}, "prefect", "prefect_process"),
        ({}, "temporal", "temporal_server"),
    ],
)
def test_hosted_by_the_team(overrides, system, variant):
    assert entry(decide(hosting="self_host", platform_engineers=True, **overrides), system)["variant"]["id"] == variant


@pytest.mark.parametrize(
    ("overrides", "managed"),
    [
        ({}, True),
        ({"vpc": "isolated"}, False),
        ({"needs": ["open_source_only"]}, False),
        ({"needs": ["open_source_only"], "hosting": "managed"}, True),
    ],
)
def test_no_preference_means_managed_unless_something_speaks_against_it(overrides, managed):
    assert (entry(decide(**overrides), "dagster")["variant"]["hosting"] == "managed") == managed


def test_an_excluded_variant_says_why_and_stands_last():
    variants = entry(decide(cloud="gcp"), "airflow")["variants"]
    assert variants[0]["id"] == "composer"
    assert variants[-1]["id"] == "mwaa"
    assert variants[-1]["problem"].endswith("and you are not on AWS alone (rule aws-variants-on-aws-only)")


# --- money and time, section 5


def cost(system, host, **overrides):
    return next(row for row in review(chosen=system, host=host, **overrides)["costs"] if row["hosts"] == [host])


def test_two_year_cost_of_airflow_on_own_machines():
    row = cost("airflow", "airflow_vm", engineers=5, salary=150_000)
    assert (row["setup"], row["maintenance"], row["total"]) == (34_615, 46_154, 80_769)


def test_one_engineer_sets_up_at_half_the_price():
    row = cost("airflow", "airflow_celery", engineers=1)
    assert (row["setup"], row["total"]) == (17_308, 63_462)


def test_what_was_chosen_is_compared_too_and_once():
    rows = review(chosen="airflow", host="airflow_vm")["costs"]
    assert [(row["id"], row["variant"]) for row in rows[3:]] == [("airflow", "one virtual machine")]
    assert len(review(chosen="airflow", host="mwaa")["costs"]) == 3


def test_a_combination_costs_what_its_members_do():
    row = next(row for row in review(pipeline_shape="mixed")["costs"] if row["id"] == "hybrid")
    week = 150_000 / 52
    assert row["total"] == round(week * 2 * (2 + 1 + 1) + week * 2 * (2 + 1 + 1))
    alone = [
        cost(system, host)["vendor"]
        for system, host in zip(("airflow", "dagster", "prefect"), row["hosts"], strict=True)
    ]
    assert row["vendor"] == [sum(bounds) for bounds in zip(*alone, strict=True)]


def test_a_team_of_ten_pays_dagster_plus_more_than_its_own_time():
    row = cost("dagster", "dagster_plus_hybrid", engineers=10)
    assert (row["vendor"], row["total"]) == ([12_000, 48_000], 11_538)
    assert row["shown"] == "23,538 to 59,538"


def test_managed_airflow_is_paid_by_the_run_so_by_the_number_of_pipelines():
    few, many = (cost("airflow", "mwaa", pipeline_count=count)["vendor"] for count in ("under_5", "over_100"))
    assert few == [73, 2_920]
    assert many == [7_300, 146_000]


def test_a_very_small_team_may_have_prefect_cloud_for_nothing():
    assert cost("prefect", "prefect_cloud_workers", team_size="under_5")["vendor"] == [0, 10_800]
    assert cost("prefect", "prefect_docker")["vendor"] == []


def test_salary_and_prices_are_what_one_says():
    prices = {"mwaa": [0.5, 0.5]}
    row = cost("airflow", "mwaa", salary=104_000, prices=prices, pipeline_count="20_to_100")
    assert (row["total"], row["vendor"]) == (16_000, [7_300, 36_500])


def test_without_figures_there_is_no_cost():
    rows = review(pipeline_shape="service_glue")["costs"]
    assert (rows[0]["id"], "total" in rows[0]) == ("step_functions", False)
    assert len(rows) == 3


def test_one_remaining_system_is_compared_in_its_variants():
    rows = review(pipeline_shape="approval")["costs"]
    named = ["Temporal Cloud", "Temporal server on PostgreSQL", "Temporal workers on one machine"]
    assert [row["variant"] for row in rows] == named


def moving(pipelines, engineers=2, leaving="cron", chosen="dagster", **answers):
    """What it takes to move exactly so many pipelines."""
    costs = COSTS | {"pipelines": {count: [pipelines, pipelines] for count in COSTS["pipelines"]}}
    costs |= {"migration": COSTS["migration"] | {"engineers": dict.fromkeys(COSTS["pipelines"], engineers)}}
    given = complete({"current_orchestrator": leaving} | answers)
    call = macros("review", costs=costs)
    return call("review", given, EXPLAIN("explain", given), chosen)["migration"]


def test_moving_20_to_30_pipelines_takes_three_to_six_months_in_all():
    week = 12 / 52  # in months
    least, most = (weeks * week for weeks in moving(25)["in_all"])
    assert 3 <= (least + most) / 2 <= 6
    assert least == pytest.approx(3, abs=1)
    assert most == pytest.approx(6, abs=1)


def test_moving_50_pipelines_takes_two_or_three_engineers_one_to_two_quarters():
    for engineers in (2, 3):
        least, most = (weeks / 13 for weeks in moving(50, engineers)["each"])
        assert least == pytest.approx(1, abs=0.2)
        assert most == pytest.approx(2, abs=0.4)


def test_moving_200_pipelines_takes_about_a_year():
    least, _ = moving(200, 3)["each"]
    assert least == pytest.approx(52, abs=10)


def test_what_leaves_airflow_replaces_its_operators():
    touched = ["s3", "kafka", "snowflake", "sftp", "redshift"]
    plain = moving(20, leaving="airflow", chosen="prefect", connects_to=[])
    assert plain["per_10"] == [1, 2]
    replaced = moving(20, leaving="airflow", chosen="prefect", connects_to=touched)
    assert (replaced["operators"], replaced["per_10"]) == (5, [])
    assert replaced["in_all"] == [
        plain["in_all"][0] + 0.8,
        plain["in_all"][1] + 1.5,
    ]  # half of 1 to 2 weeks, and a half
    remodelled = moving(20, leaving="airflow", chosen="dagster", connects_to=touched)
    assert remodelled["in_all"][1] > replaced["in_all"][1]
    assert moving(20, leaving="cron", connects_to=touched)["operators"] == 0


@pytest.mark.parametrize(
    ("now", "chosen"), [("none", "dagster"), ("airflow", "airflow"), ("cloud_native", "step_functions")]
)
def test_nothing_to_move(now, chosen):
    assert review(chosen=chosen, current_orchestrator=now)["migration"] == {}


def test_what_is_not_ready_made_is_written_by_hand():
    rows = review(chosen="prefect", connects_to=["s3", "kafka", "redshift"])["by_hand"]
    assert [(row["name"], row["weeks"]) for row in rows] == [("Apache Kafka", 1.5), ("Amazon Redshift", 0.5)]
    assert rows[1]["only"] == "a general SQL client"
    assert review(chosen="airflow", connects_to=["s3", "kafka", "redshift"])["by_hand"] == []
    assert review(chosen="hybrid", pipeline_shape="mixed", connects_to=["kafka"])["by_hand"] == []


# --- what would change it


def every_change(given):
    """Each single answer changed, as (question, answer told, all answers)."""
    unasked = {
        "hosting": given["vpc"] == "isolated",
        "mental_model": given["pipeline_shape"] in ("approval", "service_glue"),
    }
    for name, values in CHOICES.items():
        for value in values:
            if name in LISTS and value not in given[name] and len(given[name]) == WORDS[name].get("at_most"):
                continue  # it would be refused
            if name in LISTS:
                kept = [item for item in given[name] if item != value]
                without = "without " if value in given[name] else ""
                yield name, f"{without}{value}", given | {name: kept if without else [*kept, value]}
            elif value != given[name] and not unasked.get(name):
                changed = consistent(given | {name: value})
                yield name, f"{value}".lower() if value in (True, False) else value, changed


SENSITIVE = [
    {},
    {"pipeline_shape": "mixed", "needs": ["dbt", "no_servers"], "cloud": "gcp"},
    {"vpc": "isolated", "needs": ["lineage", "freshness"], "platform_engineers": True},
    {"pipeline_shape": "service_glue", "cloud": "azure"},
    {"current_orchestrator": "airflow", "pipeline_count": "over_100", "team_size": "more_than_15"},
    {"needs": ["lineage", "quality_checks", "durable_execution"]},
    {"connects_to": ["kafka", "s3", "mysql"], "matters_most": ["testing", "cost"], "experience": ["dagster"]},
    {"current_orchestrator": "prefect", "needs": ["sensors"], "connects_to": ["snowflake", "s3"]},
]


@pytest.mark.parametrize("overrides", SENSITIVE)
def test_flips_are_exactly_the_answers_that_change_the_recommendation(overrides):
    now = decide(**overrides)["recommended"]
    expected = {}
    for name, told, given in every_change(complete(overrides)):
        then = EXPLAIN("explain", given)["recommended"]
        if then != now:
            expected[name, told] = then
    found = review(**overrides)["flips"]
    assert {(flip["question"], flip["answer"]): flip["outcome"] for flip in found} == expected
    assert all(flip["if"] for flip in found)


@pytest.mark.parametrize("overrides", SENSITIVE[:3])
@pytest.mark.parametrize("system", ["airflow", "dagster"])
def test_flips_of_a_hosting_variant_are_exact_too(overrides, system):
    def variant(given):
        return entry(EXPLAIN("explain", given), system)["variant"].get("id", "")

    now = variant(complete(overrides))
    changes = {(name, told): variant(given) for name, told, given in every_change(complete(overrides))}
    found = []
    environment().get_template("decision/review.jinja").module.flips(complete(overrides), found, system)
    told = {(flip["question"], flip["answer"]): flip["outcome"] for flip in found}
    assert told == {key: then for key, then in changes.items() if then != now}


# --- whom a change of the rules moves


def test_a_comparison_shows_each_kind_of_move_with_the_plainest_answers(capsys):
    def before(answers):
        return "dagster" if "dbt" in answers["needs"] else EXPLAIN("explain", answers)["recommended"]

    compare_decisions.report(before, argparse.Namespace(strength=1, ref="an earlier commit", all=False))
    shown = capsys.readouterr().out
    assert re.search(r"^[0-9]+ of [0-9]+ situations come out differently than at an earlier", shown)
    for line in shown.splitlines():
        if line.startswith("dagster -> "):
            assert line.removeprefix("dagster -> ").split(":")[0] != "dagster"
    assert re.search(r"^  .*needs=[a-z_+]*dbt", shown, re.MULTILINE)


def test_a_comparison_with_no_commit_ends_in_one_sentence(monkeypatch):
    monkeypatch.setattr("sys.argv", ["compare_decisions.py", "--ref", "no-such-commit"])
    assert compare_decisions.main().startswith("error: no-such-commit is no commit of this repository")
