"""Loops that wait, and loops that only take their time."""

import time

import requests
from airflow.sdk import task


@task(retries=2)
def until_done(job: str) -> str:
    state, waited = "queued", 0
    while state != "done":  # expect: airflow-sensor-holds-slot
        time.sleep(30)
        state = requests.get(f"https://jobs.acme/{job}", timeout=9).json()["state"]
        waited += 30
        if waited > 3600:
            raise TimeoutError(job)
    return state


@task(retries=2)
def so_many_times(path: str) -> None:
    for attempt in range(120):  # expect: airflow-sensor-holds-slot
        if requests.head(path, timeout=9).ok:
            return
        print("not there yet", attempt)
        time.sleep(60)


@task(retries=2)
def by_cursor() -> list[dict]:
    rows, cursor = [], None
    while True:
        page = requests.get("https://api.acme/rows", params={"after": cursor}, timeout=9).json()
        rows.extend(page["rows"])
        cursor = page["next"]
        if not cursor:
            return rows
        time.sleep(2)


@task(retries=2)
def offsets(write) -> None:
    offset = 0
    while True:
        page = requests.get("https://api.acme/rows", params={"offset": offset}, timeout=9).json()
        if not page:
            break
        write(page)
        offset += 500
        time.sleep(1)


@task(retries=2)
def one_after_the_other(names: list[str]) -> None:
    for name in names:
        requests.post("https://api.acme/rows", json={"name": name}, timeout=9)
        time.sleep(5)


@task(retries=2)
def quick_turns(queue) -> None:
    while queue.busy():
        time.sleep(0.1)
