from prefect import flow


@flow(name="stock", timeout_seconds=60)
def run() -> None:
    print("stock")
