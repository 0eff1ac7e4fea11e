"""Flows that prefect.yaml deploys, and some that it does not."""

import prefect
from prefect import flow as f
from prefect.concurrency.sync import concurrency


@prefect.task(retries=2, timeout_seconds=5)
def count(): ...


@f(name="stock")
def stock():
    count()


@f(name="prices")
def prices():
    with concurrency("price-service", occupy=1):
        count()


@f(name="forgotten")  # expect: prefect-no-deployment
def forgotten():
    count()


@f(name="part of served")
def part():
    count()


@f(name="served")
def served():
    part()


@f(name="deployed")
def deployed():
    count()


@f(name="deployed anywhere")
def deployed_anywhere():
    count()


@f(name="together")
def together():
    count()


if __name__ == "__main__":
    served.serve(name="served", cron="0 * * * *")  # expect: prefect-no-work-pool
    deployed.deploy("deployed", work_pool_name="k8s", image="shop:1", concurrency_limit=1)
    deployed_anywhere.deploy(name="anywhere", image="shop:1")  # expect: prefect-no-work-pool, prefect-unbounded-concurrency
    prefect.deploy(together.to_deployment(name="together", concurrency_limit=2), work_pool_name="k8s")
