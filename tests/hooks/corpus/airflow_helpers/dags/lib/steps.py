"""What makes tasks for DAGs in other files."""

from airflow.providers.docker.operators.docker import DockerOperator
from airflow.providers.slack.operators.slack_webhook import SlackWebhookOperator


def container(step: str):
    return DockerOperator(task_id=step, image="acme/steps:4")  # expect: airflow-no-retries


def _one(step: str, dag):
    return DockerOperator(task_id=f"one_{step}", image="acme/steps:4", dag=dag)  # expect: airflow-no-retries, airflow-no-timeout


def chain(dag):
    return [_one(step, dag) for step in ("read", "write")]


def patient(step: str):
    return DockerOperator(task_id=f"patient_{step}", image="acme/steps:4", retries=4)


def shout(context) -> None:
    SlackWebhookOperator(task_id="shout", slack_webhook_conn_id="ops", message="failed").execute(context)


def unused(step: str):
    """Called by nobody here: which defaults it gets cannot be told."""
    return DockerOperator(task_id=step, image="acme/steps:4")
