import prefect


def who() -> str:
    return prefect.runtime.flow_run.name
