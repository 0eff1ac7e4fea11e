"""What every DAG of the project is held to, whoever wrote it."""

from __future__ import annotations


def test_every_dag_loads_and_says_that_it_does_not_catch_up(load_dags):
    assert {name: dag.catchup for name, dag in load_dags().items() if dag.catchup} == {}


def test_every_task_has_a_timeout(load_dags):
    tasks = [task for dag in load_dags().values() for task in dag.tasks]
    assert tasks
    assert [task for task in tasks if not task.execution_timeout] == []
