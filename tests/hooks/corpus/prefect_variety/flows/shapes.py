"""Other shapes of the same things."""

import prefect
from prefect import flow, get_run_logger, task
from prefect.assets import materialize


class Pipeline:
    @flow(name="as a method", timeout_seconds=60)
    def run(self):
        ...


@flow(name="with tasks inside")
async def outer():
    @task(retries=2, timeout_seconds=2)
    async def inside(): ...

    @task(retries=2)  # expect: prefect-no-timeout
    async def inside_too(): ...

    await inside()
    await inside_too()


@materialize("s3://lake/orders", retries=1, timeout_seconds=4)
def orders(): ...


@materialize("s3://lake/prices")  # expect: prefect-no-retries, prefect-no-timeout
def prices(): ...


@flow(name="assets")
def assets():
    orders()
    prices()
    get_run_logger().info("done")


@prefect.flow(**{"name": "options in place", "timeout_seconds": 5})
def in_place(): ...


base = flow(timeout_seconds=10, retries=1)


@base(name="by a base")
def by_base(): ...


@base  # expect: prefect-unnamed-flow
def by_base_unnamed(): ...


renamed = by_base_unnamed.with_options(name="renamed")

if __name__ == "__main__":
    prefect.serve(outer.to_deployment("a", concurrency_limit=1), assets.to_deployment("b"))  # expect: prefect-no-work-pool, prefect-unbounded-concurrency
    for each in (in_place, by_base, renamed, Pipeline().run):
        each.deploy("c", work_pool_name="vms", concurrency_limit=1)
