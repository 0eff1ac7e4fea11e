"""Uses what house_style gives; the word for the engine stands nowhere in here but in the task's import."""

from airflow.sdk import task
from house_style import ArrivalSensor, ImpatientSensor, house, house_dag

with house_dag("claims", "@daily", default_args={"retries": 1}):  # expect: airflow-no-catchup
    arrived = ArrivalSensor(task_id="arrived", filepath="/in/claims", retries=1)
    soon = ImpatientSensor(task_id="soon", timeout=60)  # expect: airflow-sensor-holds-slot

    @task  # expect: airflow-no-timeout
    def settle() -> None: ...

    arrived >> settle()


with house_dag("policies", "@daily", catchup=False, default_args={"retries": 1}, dagrun_timeout=600):
    arrived = ArrivalSensor(task_id="arrived", filepath="/in/policies")

    @task
    def renew() -> None: ...

    arrived >> renew()


@house("@daily")
def premiums():
    arrived = ArrivalSensor(task_id="arrived", filepath="/in/premiums")

    @task
    def charge() -> None: ...

    arrived >> charge()


@house("@daily", retries=0)
def premiums_once():
    arrived = ArrivalSensor(task_id="arrived", filepath="/in/premiums")

    @task(retries=1)
    def charge() -> None: ...

    @task  # expect: airflow-no-retries
    def thank() -> None: ...

    arrived >> charge() >> thank()


premiums()
premiums_once()
