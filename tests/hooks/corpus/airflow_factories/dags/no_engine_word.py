"""Only the house's names in here."""

from house_style import ArrivalSensor, house_dag

claims = house_dag("claims_weekly", "@weekly", catchup=False)
wait = ArrivalSensor(task_id="wait", filepath="/in/week", dag=claims, retries=2)
letters = house_dag("letters", "@weekly")  # expect: airflow-no-catchup
