import polars as pl  # expect: airflow-heavy-import

DAY = "{{ ds }}"


def totals(rows: list[dict]) -> pl.DataFrame:
    import torch

    return torch.sum(pl.DataFrame(rows))
