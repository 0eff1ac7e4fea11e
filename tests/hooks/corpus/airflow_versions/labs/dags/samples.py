from datetime import datetime, timedelta

from airflow.decorators import dag, task


@dag(schedule="@hourly", start_date=datetime(2024, 1, 1), catchup=False, max_active_runs=1)
def samples():
    @task.sensor(mode="reschedule", timeout=600, retries=1)
    def delivered() -> bool:
        return True

    @task(retries=2, execution_timeout=timedelta(minutes=3))
    def measure() -> None:
        print("measured")

    delivered() >> measure()


samples()
