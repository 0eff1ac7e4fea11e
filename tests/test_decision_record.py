"""The decision in a project: docs/adr as a reader in a design review finds it."""

from __future__ import annotations

import re

import pytest
from conftest import QUESTIONS
from decision_engine import CHOICES, data, macros


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


def test_context_names_every_answer(record):
    context = section(record(needs=["dbt", "lineage"], platform_engineers=True), "Context and problem statement")
    for name, question in data("answers").items():
        assert f"| {question['name']} | " in context, name
    assert "| needs | show lineage and a catalog, run dbt |" in context
    assert "| platform engineers | platform engineers |" in context


def test_options_show_every_system_with_its_scores(record):
    options = section(record(platform_engineers=True), "Considered options")
    assert "| Dagster | 3.90 | 3.90 | 0.00 | 3 | 4 | 5 | 5 | 3 | 4 | yes |" in options
    assert "| Temporal (out) | 2.00 | 2.00 | 0.00 | 1 | 3 | 1 | 3 | 2 | 4 | not yet |" in options
    for system in data("systems")["systems"]:
        assert f"| {system['name']}" in options


def test_rules_that_fired_stand_with_their_reasons(record):
    answers = {"pipeline_shape": "ml_dynamic", "needs": ["dbt"]}
    fired = section(record(**answers), "Rules that fired")
    call = macros("engine")
    defaults = {name: QUESTIONS[name]["default"] for name in CHOICES} | {"hosting": "no_preference"}
    expected = call("explain", defaults | answers)["fired"]
    assert re.findall(r"^\| `(.*?)` \|", fired, re.MULTILINE) == expected
    assert "| `dbt-shop` | each dbt model becomes an asset in one lineage with the Python code |" in fired


@pytest.mark.parametrize(
    ("answers", "outcome"),
    [
        ({}, "Chosen: **Dagster (Dagster+ Serverless)**, as the rules recommend."),
        (
            {"orchestrator": "airflow", "hosting_variant": "airflow_vm"},
            "Chosen: **Apache Airflow (one virtual machine)**, against the rules, which recommend **Dagster",
        ),
        ({"pipeline_shape": "approval"}, "the best that the template can render; the rules recommend Temporal"),
        ({"pipeline_shape": "mixed"}, "Chosen: **Hybrid**, as the rules recommend."),
    ],
)
def test_outcome_says_whether_the_rules_were_followed(record, answers, outcome):
    assert outcome in section(record(**answers), "Decision outcome")


def test_excluded_systems_and_cautions_have_reasons(record):
    text = record(orchestrator="airflow", hosting_variant="airflow_vm")
    assert "- Temporal: plain scheduled ETL uses nothing of durable workflows" in section(text, "Excluded, and why")
    cautions = section(text, "Cautions accepted")
    assert "`catchup` must be set explicitly" in cautions
    assert "often the deciding cost of hosting it yourselves" in cautions
    assert "Prefect" not in cautions


def test_costs_compare_three_variants_and_what_was_chosen(record):
    costs = section(record(orchestrator="airflow", hosting_variant="airflow_vm"), "What two years cost")
    rows = [line.split(" | ") for line in costs.splitlines() if line.startswith("| ")][1:]
    assert len(rows) == 4
    assert rows[-1] == ["| Apache Airflow", "one virtual machine", "34,615", "46,154", "80,769 |"]
    assert "150,000 / 52" in costs
    assert "neither licences nor compute" in costs


def test_a_move_is_estimated_where_there_is_something_to_move(record):
    title = "What the move takes"
    moving = section(record(current_orchestrator="airflow", pipeline_count="20_to_100", orchestrator="dagster"), title)
    assert "6 to 60 engineer-weeks, and 1.5 to 3.0 more per 10 operators to replace" in moving
    assert section(record(), title).startswith("Nothing")


def test_every_answer_that_would_change_it_is_listed(record):
    changes = section(record(), "What would change this decision")
    assert "- if the team thought in functions: **Prefect** (`mental_model` = functions)" in changes
    assert changes.count("\n- ") == 18


def test_the_second_record_names_hosting_and_secrets(record):
    text = record(2, orchestrator="airflow", hosting_variant="airflow_vm", secrets_backend="hashicorp_vault")
    outcome = section(text, "Decision outcome")
    assert "- Apache Airflow runs on **one virtual machine**" in outcome
    assert "The rules recommend Amazon MWAA; write here why not." in outcome
    assert "- Secrets come from **HashiCorp Vault**" in outcome
    assert "it is to be had on Google Cloud alone" in section(text, "Considered for Apache Airflow, best first")


def test_the_second_record_of_a_combination_names_each_member(record):
    outcome = section(record(2, pipeline_shape="mixed", cloud="gcp", vpc="data_plane"), "Decision outcome")
    for host in ("Google Cloud Composer", "Dagster+ Hybrid", "Prefect Cloud with your own workers"):
        assert f"**{host}**" in outcome
