"""The decision in the questionnaire: what Copier asks, refuses, records and says."""

import json
import re
import shutil
import subprocess
import warnings
from pathlib import Path

import pytest
import yaml
from copier import run_copy, run_update
from decision_engine import contents, written
from jinja2.exceptions import FilterArgumentError

ROOT = Path(__file__).parent.parent
COPIER_YML = """\
_subdirectory: template
_envops:
  block_start_string: "[%"
  block_end_string: "%]"
  variable_start_string: "[["
  variable_end_string: "]]"
  comment_start_string: "[#"
  comment_end_string: "#]"
  keep_trailing_newline: true
  undefined: jinja2.StrictUndefined
_message_after_copy: "[% from 'decision/messages.jinja' import after_copy with context %][[ after_copy() ]]"
_message_after_update: "[% from 'decision/after_update.jinja' import after_update with context %][[ after_update() ]]"
---
!include questions/kind.yml
---
!include questions/decision.yml
---
!include questions/orchestrator.yml
"""
RESULT = """\
[%- from 'decision/help.jinja' import orchestrator_help, hosting_help with context -%]
[%- from 'decision/choices.jinja' import orchestrators as choices, hosting_variants with context -%]
[[ {'orchestrators': orchestrators, 'decision': decision, 'help': orchestrator_help(), 'choices': choices() | from_yaml,
    'hosting_help': hosting_help(orchestrator),
    'hosting_choices': hosting_variants(orchestrator) | from_yaml} | to_json ]]
"""
DISABLED = (
    "add --data accept_exclusion=yes to choose it all the same: it runs only on Google Cloud, and you are not on "
    "Google Cloud alone (rule gcp-workflows-on-gcp-only)"
)


@pytest.fixture
def template(tmp_path):
    """The two question files and what they read, as a template of their own."""
    root = tmp_path / "template-repo"
    (root / "template").mkdir(parents=True)
    shutil.copytree(ROOT / "decision", root / "decision")
    (root / "questions").mkdir()
    for name in ("kind.yml", "decision.yml", "orchestrator.yml", "validators.jinja", "fixed.jinja"):
        shutil.copy(ROOT / "questions" / name, root / "questions" / name)
    (root / "copier.yml").write_text(COPIER_YML)
    (root / "template/result.json.jinja").write_text(RESULT)
    (root / "template/[[ _copier_conf.answers_file ]].jinja").write_text("[[ _copier_answers | to_nice_yaml ]]")
    return root


@pytest.fixture
def copy(template, tmp_path):
    """Copies with some answers; returns what the template saw and what was recorded."""

    def copy(quiet=True, **data):
        known = [*yaml.safe_load((ROOT / "questions/decision.yml").read_text())]
        known += yaml.safe_load((ROOT / "questions/orchestrator.yml").read_text())
        assert data.keys() <= set(known)
        # A folder that holds a project gives its answers to the next copy.
        project = next(path for n in range(9) if not (path := tmp_path / f"my project{n or ''}").exists())
        run_copy(str(template), project, data=data, defaults=True, quiet=quiet)
        result = json.loads((project / "result.json").read_text())
        return result | {"recorded": yaml.safe_load((project / ".copier-answers.yml").read_text())}

    return copy


def test_defaults_alone_take_the_recommendation(copy):
    result = copy()
    assert result["recorded"]["orchestrator"] == result["decision"]["recommended"] == "airflow"
    assert result["recorded"]["recommended_orchestrator"] == "airflow"
    assert result["orchestrators"] == ["airflow"]
    assert "decision" not in result["recorded"]


@pytest.mark.parametrize("system", ["airflow", "dagster", "prefect"])
def test_each_template_can_be_named_with_otherwise_default_answers(copy, system):
    assert copy(orchestrator=system)["orchestrators"] == [system]


def test_mixed_shapes_render_the_members_of_the_hybrid(copy):
    result = copy(pipeline_shape="mixed")
    assert result["recorded"]["orchestrator"] == "hybrid"
    assert result["recorded"]["member_orchestrators"] == ["airflow", "dagster", "prefect"]
    assert result["orchestrators"] == ["airflow", "dagster", "prefect"]


def test_further_orchestrators_follow_without_repetition(copy):
    assert copy(orchestrator="prefect", also_orchestrators="[prefect, airflow]")["orchestrators"] == [
        "prefect",
        "airflow",
    ]


def test_choices_are_ranked_scored_and_disabled_with_their_reason(copy):
    choices = copy()["choices"]
    ids = [choice["value"] for _, choice in choices]
    assert ids[:3] == ["airflow", "prefect", "step_functions"]
    labels = {choice["value"]: label for label, choice in choices}
    assert labels["dagster"].split() == ["Dagster", "2.33"]
    assert {choice["value"]: choice["validator"] for _, choice in choices}["gcp_workflows"] == DISABLED


@pytest.mark.parametrize("shape", ["batch_etl", "approval", "mixed", "service_glue"])
def test_help_reads_well_at_80_columns(copy, shape):
    lines = copy(pipeline_shape=shape)["help"].splitlines()
    assert max(map(len, lines)) <= 80
    text = "\n".join(lines)
    assert "Your answers point to" in text
    assert re.search(r"\(step [1-4] of 4, [a-z ]+\)", " ".join(text.split()))
    assert "Note:" in text
    assert "!" not in text
    assert ("Runner-up" in text) == (shape != "approval")


REFUSED = [
    ({"pipeline_shape": "nonsense"}, ["pipeline_shape", "nonsense"]),
    ({"team_size": "7"}, ["team_size", "7"]),
    ({"platform_engineers": "maybe"}, ["platform_engineers", "maybe"]),
    ({"needs": ["nonsense"]}, ["needs", "nonsense"]),
    ({"needs": "dbt"}, ["needs", "dbt", "not a list"]),
    ({"needs": "[dbt"}, ["needs", "not a list"]),
    ({"also_orchestrators": "airflow"}, ["also_orchestrators", "not a list"]),
    ({"also_orchestrators": ["hybrid"]}, ["also_orchestrators", "hybrid"]),
    ({"vpc": "isolated", "hosting": "managed"}, ["hosting", "vpc is isolated"]),
    ({"needs": ["lineage", "freshness", "durable_execution"]}, ["needs", "Nothing fits; change needs: "]),
    ({"connects_to": "s3"}, ["connects_to", "s3", "not a list"]),
    ({"connects_to": ["teletext"]}, ["connects_to", "teletext"]),
    ({"experience": ["fortran"]}, ["experience", "fortran"]),
    ({"matters_most": ["cost", "testing", "operations"]}, ["matters_most", "choose at most two; these are 3"]),
    ({"depth": "deeper"}, ["depth", "deeper"]),
    ({"annual_salary": 0}, ["annual_salary", "such as 150000"]),
    ({"annual_salary": "much"}, ["much"]),
    ({"vendor_prices": [1, 2]}, ["vendor_prices", "write a range for each hosting variant"]),
    ({"vendor_prices": {"mwaa": [2, 1]}}, ["vendor_prices", "[80, 120]}; mwaa has [2, 1]"]),
    ({"vendor_prices": {"moon": [1, 2]}}, ["vendor_prices", '"moon" has no price']),
    ({"accept_exclusion": "two\nlines"}, ["accept_exclusion", "use one line"]),
    ({"orchestrator": "nonsense"}, ["orchestrator", "nonsense"]),
    ({"orchestrator": "gcp_workflows"}, ["orchestrator", DISABLED]),
    ({"orchestrator": "data_factory"}, ["orchestrator", "it runs only on Azure"]),
    ({"orchestrator": "step_functions", "cloud": "gcp"}, ["orchestrator", "it runs only on AWS"]),
    (
        {"orchestrator": "data_factory", "cloud": "azure", "needs": ["open_source_only"]},
        ["orchestrator", "you asked for open source only"],
    ),
    (
        {"orchestrator": "airflow", "cloud": "gcp", "hosting_variant": "mwaa"},
        ["hosting_variant", "it exists only on AWS"],
    ),
    ({"orchestrator": "dagster", "hosting_variant": "mwaa"}, ["hosting_variant", "mwaa"]),
    (
        {"orchestrator": "airflow", "vpc": "isolated", "team_size": "under_5"},
        ["orchestrator", "add --data accept_exclusion=yes", "self-hosted-airflow-is-too-much-for-a-small-start"],
    ),
    (
        {"orchestrator": "prefect", "needs": ["many_integrations", "sensors"], "accept_exclusion": "no"},
        ["orchestrator", "add --data accept_exclusion=yes", "its library of sensors is thin"],
    ),
    ({"orchestrator": "temporal"}, ["orchestrator", "add --data accept_exclusion=yes", "plain scheduled ETL"]),
]


@pytest.mark.parametrize(("data", "phrases"), REFUSED)
def test_a_wrong_answer_is_refused_in_one_sentence_that_names_it(copy, tmp_path, data, phrases):
    with pytest.raises((ValueError, FilterArgumentError), match=phrases[0]) as refusal:
        copy(**data)
    sentence = str(refusal.value)
    assert all(phrase in sentence for phrase in phrases)
    assert "\n" not in sentence
    assert not (tmp_path / "my project").exists()


def test_the_remedy_stands_before_the_reason(copy):
    """A terminal of 80 columns shows no more of a refusal than its beginning."""
    for data in ({"vpc": "isolated", "hosting": "managed"}, {"needs": ["lineage", "freshness", "durable_execution"]}):
        with pytest.raises(ValueError, match="Validation error") as refusal:
            copy(**data)
        sentence = str(refusal.value).partition("': ")[2]
        assert re.search(r"^(choose hosting=self_host or vpc=data_plane|Nothing fits; change needs): ", sentence)


def test_an_exclusion_that_is_accepted_can_be_overridden(copy, capsys):
    answers = {"orchestrator": "prefect", "needs": ["many_integrations", "sensors"]}
    result = copy(quiet=False, accept_exclusion="we know it", **answers)
    assert result["orchestrators"] == ["prefect"]
    assert result["recorded"]["accept_exclusion"] == "we know it"
    assert result["recorded"]["recommended_orchestrator"] == "airflow"
    message = " ".join(capsys.readouterr().err.split())
    assert "Why: you accepted that the rules exclude it: many systems must be connected" in message


# --- the short way, and what follows from earlier answers


def test_the_short_way_records_the_defaults_of_the_rest(copy):
    short, whole = copy(depth="quick", team_size="under_5"), copy(team_size="under_5")
    assert short["decision"] == whole["decision"]
    assert short["recorded"] == whole["recorded"] | {"depth": "quick"}


def test_the_short_way_heeds_what_is_given(copy):
    assert copy(depth="quick", needs=["dbt"], pipeline_count="over_100")["recorded"]["needs"] == ["dbt"]


@pytest.mark.parametrize(
    ("answers", "name", "default"),
    [
        ({"pipeline_shape": "data_products"}, "mental_model", "tables"),
        ({"pipeline_shape": "ml_dynamic"}, "mental_model", "functions"),
        ({}, "mental_model", "jobs"),
        ({"current_orchestrator": "prefect"}, "experience", ["prefect"]),
        ({"current_orchestrator": "cron"}, "experience", []),
        ({"connects_to": ["bigquery", "postgresql"]}, "cloud", "gcp"),
        ({"connects_to": ["bigquery", "s3"]}, "cloud", "aws"),
    ],
)
def test_defaults_follow_from_earlier_answers(copy, answers, name, default):
    assert copy(**answers)["recorded"][name] == default


def test_no_further_orchestrator_is_taken_unless_it_is_named(copy):
    assert copy()["recorded"]["also_orchestrators"] == []
    assert copy(pipeline_shape="mixed")["recorded"]["also_orchestrators"] == []


def test_a_name_that_no_question_has_is_named(template, tmp_path, capsys):
    run_copy(str(template), tmp_path / "my project", data={"pipelne_count": "over_100"}, defaults=True, unsafe=False)
    message = " ".join(capsys.readouterr().err.split())
    assert "Not used: pipelne_count. No question of that name is asked" in message


@pytest.mark.parametrize(
    ("data", "phrases"),
    [
        (
            {},
            [
                "Orchestrator: Apache Airflow (Amazon MWAA)",
                "Why: It is the simplest choice",
                "Decided in step 3 of 4, preferences.",
            ],
        ),
        ({"orchestrator": "dagster"}, ["Dagster (Dagster+ Serverless)", "you chose it; the rules recommend Apache"]),
        (
            {"current_orchestrator": "airflow", "pipeline_count": "over_100", "pipeline_shape": "data_products"},
            ["Decided in step 2 of 4, stay.", "For a fresh start it would be Dagster (Dagster+ Serverless)"],
        ),
        (
            {"pipeline_shape": "service_glue", "cloud": "azure", "needs": ["no_servers"]},
            ["Orchestrator: Azure Data Factory (Azure itself)"],
        ),
        (
            {"pipeline_shape": "service_glue", "cloud": "aws", "needs": ["no_servers"]},
            ["Orchestrator: AWS Step Functions (AWS itself)"],
        ),
        ({"pipeline_shape": "mixed"}, ["Orchestrator: Hybrid", "Why: Each shape"]),
    ],
)
def test_message_names_the_choice_the_reason_and_two_commands(copy, capsys, data, phrases):
    copy(quiet=False, **data)
    message = capsys.readouterr().err
    message = message[message.index("Orchestrator: ") :]
    assert all(phrase in message for phrase in phrases)
    assert max(map(len, message.splitlines()[:-3])) <= 80
    assert "Not used" not in message
    *_, following, enter, run = message.splitlines()
    assert (following, run) == ("Next:", "  make run")
    assert enter.startswith("  cd '")
    assert enter.endswith("my project'")
    assert "!" not in message


def git(where, *arguments):
    subprocess.run(["git", *arguments], cwd=where, check=True, capture_output=True, timeout=60)


def released_project(template, tmp_path, monkeypatch, **data):
    """A committed project of the template's first release."""
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "test")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "test")
    project = tmp_path / "project"
    git(tmp_path, "init", "-q", template)
    git(template, "add", ".")
    git(template, "commit", "-qm", "1")
    git(template, "tag", "v1.0.0")
    run_copy(str(template), project, data=data, defaults=True, quiet=True)
    git(tmp_path, "init", "-q", project)
    git(project, "add", ".")
    git(project, "commit", "-qm", "1")
    return project


def later_rule(template, rule):
    """The template's next release has one more rule."""
    rules = template / "decision/rules.yml"
    rules.write_text(rules.read_text() + "\n" + yaml.safe_dump([rule]))
    for name, text in written(contents(rules=yaml.safe_load(rules.read_text()))).items():
        (template / name).write_text(text)
    git(template, "commit", "-qam", "2")
    git(template, "tag", "v2.0.0")


def updated(project, capsys):
    """Updates it to the last release; returns the lines that speak of today's rules."""
    capsys.readouterr()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run_update(project, defaults=True, overwrite=True)
    return [line for line in capsys.readouterr().err.splitlines() if "Today's rules" in line]


@pytest.mark.parametrize(
    ("chosen", "answers"), [("airflow", {}), ("hybrid", {"pipeline_shape": "mixed", "cloud": "several"})]
)
def test_a_later_rule_moves_no_existing_project(template, tmp_path, monkeypatch, capsys, chosen, answers):
    data = {"orchestrator": chosen, **answers}
    project = released_project(template, tmp_path, monkeypatch, **data)
    before = json.loads((project / "result.json").read_text())["orchestrators"]
    later = {"id": "later", "exclude": ["airflow", "dagster"], "because": "it is out", "source": "section 4"}
    later_rule(template, later)
    told = updated(project, capsys)
    stays = {"airflow": "Apache Airflow (Amazon MWAA)", "hybrid": "Hybrid"}[chosen]
    recommends = "Prefect (Prefect Cloud with managed pools)"
    assert told == [f"Today's rules would recommend {recommends}; the project stays on {stays}."]
    result = json.loads((project / "result.json").read_text())
    recorded = yaml.safe_load((project / ".copier-answers.yml").read_text())
    assert result["decision"]["recommended"] == "prefect"
    assert recorded["_commit"] == "v2.0.0"
    assert recorded["orchestrator"] == chosen
    assert recorded.get("hosting_variant", "mwaa") == "mwaa"
    assert result["orchestrators"] == before


def test_a_later_rule_about_hosting_is_told_in_one_line(template, tmp_path, monkeypatch, capsys):
    project = released_project(template, tmp_path, monkeypatch, mental_model="tables")
    rule = {
        "id": "later",
        "exclude_variants": {"id": "dagster_plus_serverless"},
        "because": "it is out",
        "source": "section 4",
    }
    later_rule(template, rule)
    assert updated(project, capsys) == [
        "Today's rules would recommend Dagster (Dagster+ Hybrid); the project stays on Dagster (Dagster+ Serverless)."
    ]
    assert yaml.safe_load((project / ".copier-answers.yml").read_text())["hosting_variant"] == "dagster_plus_serverless"


def test_an_update_is_silent_where_the_rules_say_what_they_said(template, tmp_path, monkeypatch, capsys):
    project = released_project(template, tmp_path, monkeypatch, orchestrator="airflow", hosting_variant="airflow_vm")
    later_rule(template, {"id": "later", "caution": ["airflow"], "because": "of that", "source": "section 4"})
    assert updated(project, capsys) == []


NEW = {
    "depth": "full",
    "connects_to": [],
    "experience": ["airflow"],
    "matters_most": [],
    "annual_salary": 150000,
    "vendor_prices": {},
    "accept_exclusion": "",
}


def test_a_project_from_before_a_question_keeps_its_answers_and_takes_its_default(
    template, tmp_path, monkeypatch, capsys
):
    data = {"pipeline_count": "under_20", "needs": ["freshness"], "current_orchestrator": "airflow", "cloud": "gcp"}
    project = released_project(template, tmp_path, monkeypatch, orchestrator="prefect", **data)
    file = project / ".copier-answers.yml"
    before = {name: value for name, value in yaml.safe_load(file.read_text()).items() if name not in NEW}
    file.write_text(yaml.safe_dump(before))
    git(project, "commit", "-qam", "as an earlier release recorded it")
    later_rule(template, {"id": "later", "caution": ["airflow"], "because": "of that", "source": "section 4"})
    assert updated(project, capsys) == []
    after = yaml.safe_load(file.read_text())
    assert after == before | NEW | {"_commit": "v2.0.0"}
