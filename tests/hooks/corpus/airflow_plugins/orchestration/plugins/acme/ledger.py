from airflow.models import BaseOperator
from airflow.sensors.base import BaseSensorOperator


class PostLedgerOperator(BaseOperator):
    def __init__(self, account: str, **kwargs) -> None:
        super().__init__(**kwargs)
        self.account = account


class LedgerSensor(BaseSensorOperator):
    def poke(self, context) -> bool:
        return True
