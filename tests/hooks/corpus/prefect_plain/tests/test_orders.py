"""Flows of tests are no production."""

from prefect import flow, task


@task
def fails(): ...


@flow
def test_orders():
    fails()
