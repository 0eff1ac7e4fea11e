"""What the platform team gives to others: a DAG with its defaults, and an operator that waits properly."""

from datetime import timedelta

from airflow.providers.standard.sensors.filesystem import FileSensor
from airflow.sdk import DAG, BaseSensorOperator, DeadlineAlert, dag


def house_dag(name: str, schedule: str, **options) -> DAG:
    return DAG(name, schedule=schedule, deadline=[DeadlineAlert], max_active_runs=1, **options)


def house(schedule, retries=2):
    return dag(
        schedule=schedule,
        catchup=False,
        max_active_runs=1,
        deadline=[DeadlineAlert],
        default_args={"retries": retries, "execution_timeout": timedelta(minutes=30)},
    )


class ArrivalSensor(FileSensor):
    def __init__(self, **options):
        super().__init__(mode="reschedule", timeout=7200, **options)


class ImpatientSensor(BaseSensorOperator):
    def poke(self, context) -> bool:
        return False
