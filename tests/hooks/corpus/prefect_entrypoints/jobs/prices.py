from prefect import flow


@flow(name="prices", timeout_seconds=60)
def run() -> None:
    print("prices")
