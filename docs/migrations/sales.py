"""Business functions of the worked migrations. They import no orchestrator, so they move as they are.

Input is `<SALES>/in/<day>/<region>.csv` with lines `<product>,<amount>`, in whole cents; output goes to `<SALES>/out/`.
"""

import csv
import json
import os
from pathlib import Path

FOLDER = Path(os.environ.get("SALES", "sales"))
REGIONS = ["apac", "eu", "us"]


def extract(region: str, day: str) -> list[dict]:
    """Sales of a region and day. Raises FileNotFoundError when they have not arrived."""
    with (FOLDER / "in" / day / f"{region}.csv").open(newline="") as file:
        return [{"region": region, "product": name, "amount": int(amount)} for name, amount in csv.reader(file)]


def check(rows: list[dict]) -> list[str]:
    """What is wrong with the rows, a sentence each."""
    return [f"{row['product']} in {row['region']} has the amount {row['amount']}" for row in rows if row["amount"] < 0]


def refuse(rows: list[dict]) -> list[dict]:
    """The rows, for an engine whose check is a step that fails. Raises ValueError."""
    if problems := check(rows):
        raise ValueError("; ".join(problems))
    return rows


def totals(rows: list[dict]) -> dict[str, int]:
    """Amount by region."""
    return {region: sum(row["amount"] for row in rows if row["region"] == region) for region in REGIONS}


def publish(figures: dict[str, int], day: str) -> None:
    """Replace what is published of that day."""
    _write(f"{day}.json", json.dumps(figures, sort_keys=True))


def notify(missing: list[str], day: str) -> None:
    """Tell the team which regions are missing."""
    _write(f"{day}.missing", ", ".join(missing))


def _write(name: str, text: str) -> None:
    draft = FOLDER / "out" / f".{name}"
    draft.parent.mkdir(parents=True, exist_ok=True)
    draft.write_text(text)
    draft.replace(FOLDER / "out" / name)
