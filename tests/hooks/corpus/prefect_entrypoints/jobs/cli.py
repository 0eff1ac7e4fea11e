from prefect import flow


@flow(name="cli", timeout_seconds=60)
def run() -> None:
    print("cli")
