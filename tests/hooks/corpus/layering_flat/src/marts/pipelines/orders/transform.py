"""airflow, dagster and prefect are only spoken of in here: import airflow."""

NAME = "import dagster"


def totals(rows: list[dict]) -> list[dict]:
    """As `from prefect import flow` would have it."""
    return rows
