from prefect import flow


@flow(name="dotted", timeout_seconds=60)
def run() -> None:
    print("dotted")
