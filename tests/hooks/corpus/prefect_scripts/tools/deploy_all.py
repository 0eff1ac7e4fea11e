import importlib
from pathlib import Path

from prefect import Flow


def found(folder: str):
    for path in Path(folder).glob("*.py"):
        for value in vars(importlib.import_module(f"flows.daily.{path.stem}")).values():
            if isinstance(value, Flow):
                yield value


for each in found("flows/daily"):
    each.deploy(name="main", work_pool_name="machines", image="acme/flows:1", concurrency_limit=1)
