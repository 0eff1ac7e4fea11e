"""The decision in a project: docs/adr as a reader in a design review finds it."""

from __future__ import annotations

import re

import pytest
from decision_engine import complete, data, macros


@pytest.fixture
def record(render):
    """The record of that number in a project of these answers."""

    def read(number: int = 1, **answers) -> str:
        (file,) = (render(**answers) / "docs" / "adr").glob(f"000{number}-*.md")
        return file.read_text()

    return read


def section(text: str, title: str) -> str:
    """What stands under a heading, up to the next one."""
    return re.search(rf"^#+ {re.escape(title)}$(.*?)(?=^#|\Z)", text, re.MULTILINE | re.DOTALL)[1].strip()


def test_it_is_a_record_in_the_usual_form(record):
    for number in (1, 2):
        text = record(number)
        assert text.startswith("---\nstatus: accepted\n")
        assert len(re.findall(r"^# ", text, re.MULTILINE)) == 1
        for title in ("Context and problem statement", "Decision outcome"):
            assert section(text, title)
        assert "\n\n\n" not in text
    for answers in (
        {"connects_to": ["mysql", "dbt", "kafka"]},
        {"connects_to": ["s3"]},
        {"pipeline_shape": "approval"},
    ):
        assert "\n\n\n" not in record(1, **answers), answers


def test_context_names_every_answer(record):
    context = section(record(needs=["dbt", "lineage"], platform_engineers=True), "Context and problem statement")
    for name, question in data("answers").items():
        assert f"| {question['name']} | " in context, name
    assert "| needs | show lineage and a catalog, run dbt |" in context
    assert "| platform engineers | platform engineers |" in context


def test_options_show_every_system_with_its_scores(record):
    options = section(record(platform_engineers=True), "Considered options")
    assert "| Dagster | 2.40 | 3.90 | -1.50 | 3 | 4 | 5 | 5 | 3 | 4 | 3 | 2 | yes |" in options
    assert "| Temporal (out) | 2.00 | 2.00 | 0.00 | 1 | 3 | 1 | 3 | 2 | 4 | 1 | 2 | yes |" in options
    for system in data("systems"):
        assert f"| {system['name']}" in options


def test_rules_that_fired_stand_with_their_reasons(record):
    answers = {"pipeline_shape": "ml_dynamic", "needs": ["dbt"]}
    fired = section(record(**answers), "Rules that fired")
    call = macros("engine")
    expected = call("explain", complete(answers))["fired"]
    assert re.findall(r"^\| `(.*?)` \|", fired, re.MULTILINE) == expected
    assert "| `dbt-shop` | each dbt model becomes an asset in one lineage with the Python code |" in fired


@pytest.mark.parametrize(
    ("answers", "outcome"),
    [
        ({}, "Chosen: **Apache Airflow (Amazon MWAA)**, as the rules recommend."),
        ({}, "decided in step 3 of 4, preferences"),
        (
            {"orchestrator": "dagster", "hosting_variant": "dagster_process"},
            "Chosen: **Dagster (Dagster OSS on one machine)**, against the rules, which recommend **Apache Airflow",
        ),
        (
            {"current_orchestrator": "airflow", "pipeline_count": "over_100", "pipeline_shape": "data_products"},
            "For a fresh start it would be Dagster (Dagster+ Serverless); new shapes of pipelines may begin on it",
        ),
        (
            {"orchestrator": "prefect", "needs": ["many_integrations", "sensors"], "accept_exclusion": "we know it"},
            "The rules exclude it, and this was accepted (we know it). What cannot be met: many systems must be",
        ),
        ({"pipeline_shape": "approval"}, "Chosen: **Temporal (Temporal Cloud)**, as the rules recommend."),
        (
            {"pipeline_shape": "service_glue", "cloud": "azure", "needs": ["no_servers"]},
            "Chosen: **Azure Data Factory (Azure itself)**, as the rules recommend.",
        ),
        ({"pipeline_shape": "mixed"}, "Chosen: **Hybrid**, as the rules recommend."),
    ],
)
def test_outcome_says_whether_the_rules_were_followed(record, answers, outcome):
    assert outcome in section(record(**answers), "Decision outcome")


def test_excluded_systems_and_cautions_have_reasons(record):
    text = record(orchestrator="airflow", hosting_variant="airflow_vm")
    assert "- Temporal: plain scheduled ETL needs no durable workflows" in section(text, "Excluded, and why")
    cautions = section(text, "Cautions accepted")
    assert "`catchup` must be set explicitly" in cautions
    assert "often the deciding cost of hosting it yourselves" in cautions
    assert "Prefect" not in cautions


def test_costs_compare_three_variants_and_what_was_chosen(record):
    costs = section(record(orchestrator="airflow", hosting_variant="airflow_vm"), "What two years cost")
    rows = [line.split(" | ") for line in costs.splitlines() if line.startswith("| ")][1:]
    assert len(rows) == 4
    assert rows[0] == ["| Apache Airflow", "Amazon MWAA", "11,538", "11,538", "365 to 13,870", "23,442 to 36,947 |"]
    assert rows[-1] == ["| Apache Airflow", "one virtual machine", "34,615", "46,154", "none", "80,769 |"]
    assert "150,000 / 52" in costs
    assert "Compute in your own account is not in it" in costs


def test_costs_are_reckoned_with_the_salary_and_prices_that_are_given(record):
    costs = section(record(annual_salary=104000, vendor_prices={"mwaa": [1, 1]}), "What two years cost")
    assert "| Amazon MWAA | 8,000 | 8,000 | 3,650 to 13,870 | 19,650 to 29,870 |" in costs
    assert "104,000 / 52" in costs
    assert "prices are as answered" in costs


def test_a_move_is_estimated_where_there_is_something_to_move(record):
    title = "What the move takes"
    moving = section(record(current_orchestrator="airflow", pipeline_count="20_to_100", orchestrator="dagster"), title)
    assert "6 to 60 weeks for each of the 2 engineers who move them,\n12 to 120 in all" in moving
    assert "2 to 4 more per 10 operators to replace" in moving
    assert section(record(), title).startswith("Nothing")


def test_every_answer_that_would_change_it_is_listed(record):
    changes = section(record(), "What would change this decision")
    assert "- if the team thought in functions: **Prefect** (`mental_model` = functions)" in changes
    assert changes.count("\n- ") >= 15


def test_what_the_pipelines_connect_to_is_compared_and_what_is_missing_listed(record):
    answers = {"orchestrator": "prefect", "connects_to": ["s3", "kafka"]}
    text = section(record(**answers), "What they connect to")
    assert "| Amazon S3 | operator, waits for it | task library, waits for it |" in text
    assert "| Apache Kafka | operator, waits for it | by hand |" in text
    assert "- Apache Kafka: about 1.5 weeks of one engineer" in text
    assert "one that touches Apache Kafka" in section(record(**answers), "Evaluation plan")


def test_what_matters_most_shows_in_the_weights(record):
    drivers = section(record(matters_most=["testing"]), "Decision drivers")
    assert "- testing ergonomics: 21.4 % of the score, raised because it matters most to you" in drivers


def test_the_candidates_are_compared_at_a_glance_and_by_their_health(record):
    text = record()
    glance = section(text, "At a glance")
    assert "| best for | cron-style ETL and large teams | Pythonic ML and API work |" in glance
    for row in ("maturity", "asset awareness", "dynamic flows", "hosting options", "partitions", "testing"):
        assert f"\n| {row} |" in glance
    health = section(text, "Health of the candidates")
    for row in ("licence", "governance", "releases in 12 months", "breaking majors", "managed offers", "as of"):
        assert f"\n| {row} |" in health


def test_the_evaluation_plan_names_two_candidates_and_what_would_overturn_it(record):
    answers = {"current_orchestrator": "airflow", "pipeline_count": "over_100", "pipeline_shape": "data_products"}
    plan = section(record(**answers), "Evaluation plan")
    assert "Candidates: Apache Airflow (Astronomer) and Dagster (Dagster+ Serverless)" in plan
    assert "Two to three weeks" in plan
    assert "It overturns this decision if Dagster" in plan


def test_what_was_not_asked_is_marked(record):
    context = section(record(depth="quick", team_size="under_5", cloud="gcp"), "Context and problem statement")
    assert "| needs | none named (by default, not asked) |" in context
    assert "| data engineers | fewer than 5 engineers |" in context
    assert "| cloud | Google Cloud |" in context
    context = section(record(hosting="self_host", experience=["dbt"]), "Context and problem statement")
    assert re.findall(r"^\| (.+) \| .* \(by default, not asked\) \|$", context, re.MULTILINE) == ["matters most"]


def test_the_second_record_names_hosting_and_secrets(record):
    text = record(2, orchestrator="airflow", hosting_variant="airflow_vm", secrets_backend="hashicorp_vault")
    outcome = section(text, "Decision outcome")
    assert "- Apache Airflow runs on **one virtual machine**" in outcome
    assert "The rules recommend Amazon MWAA; write here why not." in outcome
    assert "- Secrets come from **HashiCorp Vault**" in outcome
    assert "it exists only on Google Cloud" in section(text, "Considered for Apache Airflow, best first")


def test_the_second_record_of_a_combination_names_each_member(record):
    outcome = section(record(2, pipeline_shape="mixed", cloud="gcp", vpc="data_plane"), "Decision outcome")
    for host in ("Google Cloud Composer", "Dagster+ Hybrid", "Prefect Cloud with your own workers"):
        assert f"**{host}**" in outcome
