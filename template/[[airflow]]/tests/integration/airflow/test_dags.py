"""What every DAG of the project is held to, whoever wrote it."""

from __future__ import annotations


def test_every_dag_loads_and_says_that_it_does_not_catch_up(load_dags):
    assert {name: dag.catchup for name, dag in load_dags().items() if dag.catchup} == {}


def test_every_task_has_a_timeout(load_dags):
    tasks = [task for dag in load_dags().values() for task in dag.tasks]
    assert tasks
    assert [task for task in tasks if not task.execution_timeout] == []


def test_services_know_what_every_deadline_counts_from(load_dags):
    from airflow.serialization.encoders import ensure_serialized_deadline_alert

    for dag in load_dags().values():
        for alert in dag.deadline or []:
            ensure_serialized_deadline_alert(alert)  # as the scheduler does; fails where plugins/ lacks it
