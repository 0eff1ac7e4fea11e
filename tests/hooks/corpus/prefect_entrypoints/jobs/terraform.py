from prefect import flow


@flow(name="terraform", timeout_seconds=60)
def run() -> None:
    print("terraform")
