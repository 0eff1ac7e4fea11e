from prefect import flow


@flow(timeout_seconds=3)  # expect: prefect-no-deployment
def legacy(): ...
