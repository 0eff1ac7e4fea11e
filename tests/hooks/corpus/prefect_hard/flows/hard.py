"""What the checks are known to miss, or to say too much of."""

from prefect import flow, task


class Steps:
    """Tasks as methods."""

    @task(retries=1)  # expect: prefect-no-timeout
    def one(self) -> None: ...


def deploy_all(*flows) -> None:
    for each in flows:
        each.deploy(name=each.name, work_pool_name="vms", concurrency_limit=1)


@task(retries=1)
def quick() -> None: ...


@flow(name="deployed in a loop")
def looped():
    Steps().one()


@flow(name="timed by its caller", timeout_seconds=30)
def timed():
    inner()


@flow(name="inner")
def inner():
    quick()


make = {"flow": flow}


@make["flow"]  # expect: prefect-unnamed-flow
def from_a_table():
    quick()


if __name__ == "__main__":
    deploy_all(looped, timed)
