from prefect import flow


@flow(name="lost", timeout_seconds=60)  # expect: prefect-no-deployment
def run() -> None:
    print("lost")
