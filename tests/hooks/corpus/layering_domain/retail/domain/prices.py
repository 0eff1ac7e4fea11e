from airflow.sdk import Variable  # expect: business-imports-orchestrator


def price() -> float:
    return float(Variable.get("price"))
