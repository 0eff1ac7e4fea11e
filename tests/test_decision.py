"""The rules: what they recommend, and that data and engine keep their promises."""

from __future__ import annotations

import itertools
import re

import check_decision
import pytest
import write_decision_page
from decision_engine import CHOICES, QUESTIONS, ROOT, complete, data, environment, macros

CATALOGUE, RULES, SCENARIOS, WORDS = data("systems"), data("rules"), data("scenarios"), data("answers")
SYSTEMS = {system["id"]: system for system in CATALOGUE["systems"]}
EXPLAIN, REVIEW = macros("engine"), macros("review")


def decide(**overrides):
    return EXPLAIN("explain", complete(overrides))


def review(chosen="", host="", salary=0, engineers=0, **overrides):
    return REVIEW("review", complete(overrides), decide(**overrides), chosen, host, salary, engineers)


def entry(decision, system):
    return next(e for e in decision["ranking"] + decision["excluded"] if e["id"] == system)


# --- the guide's scenarios, section 6


@pytest.mark.parametrize("scenario", SCENARIOS, ids=[scenario["situation"] for scenario in SCENARIOS])
def test_scenario(scenario):
    decision = decide(**scenario["answers"])
    assert decision["recommended"] == scenario["recommended"]
    assert 2 <= len(decision["reasons"]) <= 3
    if "variant" in scenario:
        assert decision["ranking"][0]["variant"]["id"] == scenario["variant"]


def test_hybrid_has_its_three_members():
    assert decide(pipeline_shape="mixed")["members"]["hybrid"] == ["airflow", "dagster", "prefect"]


def test_hybrid_leaves_out_an_excluded_member():
    decision = decide(pipeline_shape="mixed", team_size="under_5", vpc="isolated")
    assert decision["recommended"] == "hybrid"
    assert decision["members"]["hybrid"] == ["dagster", "prefect"]


def test_sums_of_the_default_weights():
    decision = decide(platform_engineers=True)
    sums = {
        system: entry(decision, system)["score"] - entry(decision, system)["points"]
        for system in ("airflow", "prefect", "dagster", "temporal")
    }
    assert sums == {"airflow": 3.00, "prefect": 3.30, "dagster": 3.90, "temporal": 2.00}


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


def test_equal_scores_go_by_tie_break():
    systems = [
        system | {"scores": SYSTEMS["airflow"]["scores"]} if system["id"] in ("prefect", "dagster") else system
        for system in CATALOGUE["systems"]
    ]
    decision = macros("engine", systems=CATALOGUE | {"systems": systems})("explain", complete({}))
    tied = [e["id"] for e in decision["ranking"] if e["score"] == entry(decision, "airflow")["score"]]
    assert tied == ["prefect", "dagster", "airflow"]


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
    assert entry(decision, "dagster")["out"]


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


# --- the files


def test_the_files_are_sound():
    assert check_decision.problems() == []


def test_what_is_written_from_the_files_is_current():
    assert write_decision_page.COMPILED.read_text() == write_decision_page.compiled()
    assert write_decision_page.PAGE.read_text() == write_decision_page.page()


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
    systems = [
        dict(system, scores={"lineage": 6}) if system["id"] == "prefect" else system for system in CATALOGUE["systems"]
    ]
    (found,) = check_decision.problems(systems=CATALOGUE | {"systems": systems})
    assert "entry prefect, scores, lineage: 6 is greater than the maximum of 5" in found
    twice = [*RULES, RULES[0]]
    assert check_decision.problems(rules=twice) == [f"decision: rule {RULES[0]['id']} stands twice"]
    words = WORDS | {"vpc": WORDS["vpc"] | {"answers": {"open": "anywhere", "closed": "nowhere"}}}
    assert "vpc: its answers are not those of" in check_decision.problems(answers=words)[0]


def test_a_question_counts_as_unasked_where_it_is_not_asked():
    questions = {name: question for name, question in WORDS.items() if "unasked" in question}
    conditional = {name for name in CHOICES if "when" in QUESTIONS[name]} - {"needs"}
    assert questions.keys() == conditional
    for name, question in questions.items():
        for other, values in question["unasked"].items():
            for value in CHOICES[other]:
                asked = environment().from_string(QUESTIONS[name]["when"]).render({other: value})
                assert (asked == "False") == (value in values)
                if asked == "False":
                    unasked = environment().from_string(QUESTIONS[name]["default"]).render({other: value})
                    assert unasked == question["otherwise"]


def test_engine_and_orchestrator_question_name_no_system_and_no_answer():
    code = {
        path.name: re.sub(r"\[#-.*?-#\]", "", path.read_text(), flags=re.DOTALL)
        for path in (ROOT / "decision").glob("*.jinja")
    }
    question = (ROOT / "questions/orchestrator.yml").read_text()
    answers = {value for values in CHOICES.values() for value in values if isinstance(value, str)} - {"none"}
    for file, text in code.items():
        for name in [*SYSTEMS, *answers]:
            assert not re.search(rf"\b{name}\b", text), (file, name)
    for name in CHOICES.keys() - {"hosting"}:  # which a hosting variant has too
        assert not re.search(rf"\b{name}\b", code["engine.jinja"]), name
    for system in SYSTEMS:
        assert not re.search(rf"\b{system}\b", question), system


def test_a_later_system_is_only_data():
    newcomer = SYSTEMS["dagster"] | {"id": "newcomer", "name": "Newcomer", "tie_break": 99}
    newcomer["scores"] = dict.fromkeys(newcomer["scores"], 5)
    newcomer["variants"] = [{"id": "new", "rank": 1, "hosting": "managed", "name": "New", "because": "it is there"}]
    assert check_decision.problems(systems=CATALOGUE | {"systems": [*CATALOGUE["systems"], newcomer]}) == []
    decision = macros("engine", systems=CATALOGUE | {"systems": [*CATALOGUE["systems"], newcomer]})(
        "explain", complete({})
    )
    assert (decision["recommended"], decision["default"]) == ("newcomer", "newcomer")


# --- hosting variants


@pytest.mark.parametrize(
    ("overrides", "system", "variant"),
    [
        ({"pipeline_count": "over_100", "pipeline_shape": "mixed"}, "airflow", "airflow_executors"),
        ({"pipeline_shape": "ml_dynamic"}, "airflow", "airflow_kubernetes"),
        ({"pipeline_count": "20_to_100"}, "airflow", "airflow_celery"),
        ({}, "airflow", "airflow_vm"),
        ({"pipeline_count": "over_100"}, "dagster", "dagster_kubernetes"),
        ({"pipeline_count": "20_to_100"}, "dagster", "dagster_docker"),
        ({}, "dagster", "dagster_process"),
        ({}, "prefect", "prefect_process"),
        ({"pipeline_count": "over_100"}, "prefect", "prefect_kubernetes"),
        ({"pipeline_count": "20_to_100"}, "prefect", "prefect_ecs"),
        ({"pipeline_count": "20_to_100", "cloud": "gcp"}, "prefect", "prefect_cloud_run"),
        ({"pipeline_count": "20_to_100", "cloud": "several"}, "prefect", "prefect_docker"),
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
    assert variants[-1]["problem"].endswith("and that is not your one cloud (rule aws-variants-on-aws-only)")


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
    assert len(review(chosen="dagster", host="dagster_plus_serverless")["costs"]) == 3


def test_a_combination_costs_what_its_members_do():
    row = next(row for row in review(pipeline_shape="mixed")["costs"] if row["id"] == "hybrid")
    week = 150_000 / 52
    assert row["total"] == round(week * 2 * (2 + 1 + 1) + week * 2 * (2 + 1 + 1))


def test_without_figures_there_is_no_cost():
    rows = review(pipeline_shape="service_glue")["costs"]
    assert (rows[0]["id"], "total" in rows[0]) == ("step_functions", False)
    assert len(rows) == 3


def test_one_remaining_system_is_compared_in_its_variants():
    rows = review(pipeline_shape="approval")["costs"]
    assert [row["variant"] for row in rows] == ["Temporal Cloud", "Temporal server on PostgreSQL"]


@pytest.mark.parametrize(
    ("overrides", "weeks", "further"),
    [
        ({"current_orchestrator": "cron", "pipeline_count": "20_to_100"}, [6, 60], []),
        ({"current_orchestrator": "airflow", "pipeline_count": "20_to_100"}, [6, 60], [1.5, 3]),
        ({"current_orchestrator": "airflow", "pipeline_count": "over_100"}, [30, None], [1.5, 3]),
    ],
)
def test_migration_effort(overrides, weeks, further):
    effort = review(chosen="dagster", **overrides)["migration"]
    assert effort["weeks"] == weeks
    assert effort["further"] == further


@pytest.mark.parametrize(
    ("now", "chosen"), [("none", "dagster"), ("airflow", "airflow"), ("cloud_native", "step_functions")]
)
def test_nothing_to_move(now, chosen):
    assert review(chosen=chosen, current_orchestrator=now)["migration"] == {}


# --- what would change it


def every_change(given):
    """Each single answer changed, as (question, answer told, all answers)."""
    unasked = {
        "hosting": given["vpc"] == "isolated",
        "mental_model": given["pipeline_shape"] in ("approval", "service_glue"),
    }
    for name, values in CHOICES.items():
        for value in values:
            if name == "needs":
                kept = [need for need in given["needs"] if need != value]
                without = "without " if value in given["needs"] else ""
                yield name, f"{without}{value}", given | {"needs": kept if without else [*kept, value]}
            elif value != given[name] and not unasked.get(name):
                changed = given | {name: value}
                if changed["vpc"] == "isolated":
                    changed["hosting"] = "self_host"
                if changed["pipeline_shape"] in ("approval", "service_glue"):
                    changed["mental_model"] = "jobs"
                yield name, f"{value}".lower() if value in (True, False) else value, changed


SENSITIVE = [
    {},
    {"pipeline_shape": "mixed", "needs": ["dbt", "no_servers"], "cloud": "gcp"},
    {"vpc": "isolated", "needs": ["lineage", "freshness"], "platform_engineers": True},
    {"pipeline_shape": "service_glue", "cloud": "azure"},
    {"current_orchestrator": "airflow", "pipeline_count": "over_100", "team_size": "more_than_15"},
    {"needs": ["lineage", "quality_checks", "durable_execution"]},
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
