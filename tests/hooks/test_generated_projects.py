"""Projects from the template keep its standards, and break them when somebody takes something out."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from combinations import ORCHESTRATORS, answers_for
from orch_standards import check


@pytest.mark.parametrize("names", [*((name,) for name in ORCHESTRATORS), ORCHESTRATORS], ids="+".join)
@pytest.mark.parametrize("warehouse", ["duckdb", pytest.param("postgresql", marks=pytest.mark.deep)])
def test_a_new_project_has_no_finding(render, names, warehouse):
    found = check(render(**answers_for(names), warehouse=warehouse, alert_channel="slack"))
    assert not found, "\n".join(map(str, found))


# What is taken out of which file, as a pattern and what takes its place, and the rule that must notice.
BREAKS = {
    "no catch-up": ("airflow", "dags/flights_daily.py", r"catchup=False,", "", "airflow-no-catchup"),
    "no retries": (
        "airflow",
        "src/*/orchestration/airflow/policies.py",
        r'"retries": retries.attempts,',
        "",
        "airflow-no-retries",
    ),
    "holds a slot": (
        "airflow",
        "src/*/orchestration/airflow/policies.py",
        r'"mode": "reschedule"',
        '"mode": "poke"',
        "airflow-sensor-holds-slot",
    ),
    "no partitions": (
        "dagster",
        "src/*/defs/flights_daily.py",
        r'"partitions_def": PARTITIONS,',
        "",
        "dagster-no-partitions",
    ),
    "not retried": (
        "dagster",
        "src/*/orchestration/dagster/policies.py",
        r'"retry_policy": ',
        '"owners": ',
        "dagster-no-retries",
    ),
    "no freshness": ("dagster", "src/*/defs/flights_daily.py", r"freshness_policy=FRESH", "", "dagster-no-freshness"),
    "unnamed": ("prefect", "flows/flights_daily.py", r"name=PIPELINE.name,", "", "prefect-unnamed-flow"),
    "not deployed": (
        "prefect",
        "src/*/orchestration/prefect/deployments.py",
        r"\.to_deployment\(",
        ".with_options(",
        "prefect-no-deployment",
    ),
    "orchestrator in business code": (
        "prefect",
        "src/*/pipelines/flights_daily/transform.py",
        r"import ibis\n",
        "import ibis\nimport prefect\n",
        "business-imports-orchestrator",
    ),
    "misspelt key": ("airflow", "config/dev.toml", r"poll_seconds", "pol_seconds", "unknown-key"),
    "key taken away": ("airflow", "config/base.toml", r"max_quarantined_share = .*", "", "missing-key"),
    "table without contract": (
        "airflow",
        "src/*/pipelines/flights_daily/__init__.py",
        r'"daily_route_volume"',
        '"daily_airport_volume"',
        "table-without-contract",
    ),
    "password": ("airflow", "config/prod.toml", r"\Z", '\n[api]\npassword = "Tr0ub4dor"\n', "plaintext-secret"),
    "no time-out of a state": (
        "step_functions",
        "workflows/flights_daily.asl.json",
        r'"TimeoutSeconds": "\{% \$policies.extract.longest_seconds %\}",',
        "",
        "step-functions-no-timeout",
    ),
    "nothing kept": (
        "step_functions",
        "deploy/terraform/triggers.tf",
        r"dead_letter_config",
        "kept_nowhere",
        "step-functions-no-dead-letter",
    ),
    "time-out of a connector": (
        "gcp_workflows",
        "workflows/platform/subworkflows.yaml",
        r"\n +timeout: 608400",
        "",
        "gcp-workflows-no-timeout",
    ),
    "time-out of an activity": (
        "data_factory",
        "factory/pipeline/platform_run_container.json",
        r'"timeout": "7.00:00:00",',
        "",
        "data-factory-no-timeout",
    ),
    "no alert on failed runs": (
        "data_factory",
        "deploy/data_factory/alerts.tf",
        "PipelineFailedRuns",
        "PipelineCancelledRuns",
        "data-factory-no-alert",
    ),
    "answer changed": ("airflow", ".copier-answers.yml", r"\nschedule: .*", "\nschedule: 0 1 * * *", "answers-edited"),
}


@pytest.mark.parametrize("name", BREAKS)
def test_what_is_taken_out_is_found(render, tmp_path, name):
    orchestrator, place, pattern, instead, rule = BREAKS[name]
    project = Path(shutil.copytree(render(**answers_for((orchestrator,))), tmp_path / "project"))
    (path,) = project.glob(place)
    before = path.read_text()
    path.write_text(re.sub(pattern, instead, before))
    assert path.read_text() != before, f"{place} no longer has what this test takes out"
    found = [finding for finding in check(project) if finding.rule == rule]
    assert found
    assert {finding.sentence for finding in found}
    assert all((project / finding.path).is_file() for finding in found)
