"""What `make trial` measures, and what its measurements say: medians, differences that are more than noise, a page."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from rich.console import Console
from rich.table import Table

from .engine import Engine

AGAIN = " again"  # the first orchestrator, measured once more in each block
AS_MADE = " as made"  # an orchestrator with the settings of its makers
RESAMPLES = 2000
FEWEST = 3  # measurements of each from which a difference can be told from noise


@dataclass(frozen=True)
class Metric:
    """What is measured. Less is better. speaks_to: the dimension of the decision that it is about; empty for none."""

    id: str
    title: str
    unit: str = "s"
    speaks_to: str = ""
    limited: bool = False  # whether it may never end


ALONE = (
    Metric("setup", "set-up of an environment", speaks_to="developer_experience"),
    Metric("first", "first published partition, with nothing set up", speaks_to="developer_experience"),
    Metric("load", "definitions loaded in a new process", speaks_to="developer_experience"),
    Metric("tests", "tests that run the pipelines through it", speaks_to="testing"),
)
ON_SERVICES = (
    Metric("up", "services start", speaks_to="operations"),
    Metric("overhead", "a requested run, beside its steps", speaks_to="operations"),
    Metric("fan_1", "1 partition requested and published"),
    Metric("fan_3", "3 partitions at once"),
    Metric("fan_10", "10 partitions at once"),
    Metric("memory", "peak memory of services and runs", "MB", "operations"),
    Metric("failure", "failure visible: request to alert", speaks_to="operations", limited=True),
    Metric("run_killed", "process of a run killed, until published", speaks_to="operations", limited=True),
    Metric("worker_killed", "worker killed, until published", speaks_to="operations", limited=True),
    Metric("server_killed", "scheduler or server killed, until the next run is published", "s", "operations", True),
)
METRICS = (*ALONE, *ON_SERVICES)


@dataclass(frozen=True)
class Cell:
    """One measurement. value: None where it could not be made, with the reason in note, or did not end by itself.

    load: the machine's load average when it began. steal: share of the processors' time that other machines took.
    """

    contender: str
    metric: str
    block: int
    value: float | None
    note: str = ""
    no_end: bool = False
    load: float = 0.0
    steal: float = 0.0


def summary(cells: Sequence[Cell], names: Sequence[str], engines: dict[str, Engine]) -> dict[str, Any]:
    """The result as data: of each metric the figures of each orchestrator, and how far it is from the best."""
    metrics = []
    for metric in METRICS:
        made = [cell for cell in cells if cell.metric == metric.id]
        if not made:
            continue
        values = {
            name: [
                math.inf if cell.no_end else cell.value
                for cell in made
                if cell.contender == name and (cell.no_end or cell.value is not None)
            ]
            for name in (*names, names[0] + AGAIN)
        }
        notes = {cell.contender: cell.note for cell in made if cell.note}
        medians = {name: median(each) for name, each in values.items() if each}
        own = medians.get(names[0], 0.0)
        floor = abs(own - medians.get(names[0] + AGAIN, own)) if math.isfinite(own) else 0.0
        best = min((name for name in names if name in medians), key=medians.get, default="")
        results = {name: _figures(values[name], values.get(best, []), floor, notes.get(name, "")) for name in names}
        metrics.append(asdict(metric) | {"best": best, "noise": _number(floor), "results": results})
    loads = [cell.load for cell in cells] or [0.0]
    titles = {name: engine.title for name, engine in engines.items()}
    report = {
        "orchestrators": titles,
        "metrics": metrics,
        "load": [min(loads), max(loads)],
        "steal": max((c.steal for c in cells), default=0),
    }
    report["as_made"] = _as_made(cells, names)
    return report | {"words": {name: _words(name, titles, metrics) for name in names}}


def _as_made(cells: Sequence[Cell], names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """By metric and orchestrator: median, count and note of what was measured with the settings of the makers."""
    shown: dict[str, dict[str, Any]] = {}
    for metric in ON_SERVICES:
        for name in names:
            made = [each for each in cells if (each.contender, each.metric) == (name + AS_MADE, metric.id)]
            values = [math.inf if each.no_end else each.value for each in made if each.no_end or each.value is not None]
            if made:
                middle = _number(median(values or [math.inf]))
                note = "" if middle is not None else next(each.note for each in made if each.note)
                shown.setdefault(metric.id, {})[name] = {"median": middle, "count": len(values), "note": note}
    return shown


def _figures(values: list[float], best: list[float], floor: float, note: str) -> dict[str, Any]:
    """Median, quartiles, and the interval of the difference to the best, in the unit of the metric."""
    middle = median(values or [math.inf])
    low, _, high = quantiles(values, n=4, method="inclusive") if len(values) > 1 else (middle, middle, middle)
    difference = middle - median(best) if math.isfinite(middle) else math.inf
    interval = difference_interval(values, best)
    if not values or not math.isfinite(median(best)):
        verdict = "no end" if values else "not measured"
    elif all(map(math.isinf, values)):
        verdict = "worse"
    elif min(len(values), len(best)) < FEWEST:
        verdict = "too few measurements to tell"
    elif not math.isfinite(middle):
        verdict = "worse"
    elif values is best:
        verdict = "best"
    elif abs(difference) <= floor or interval is None or interval[0] <= 0:
        verdict = "no difference seen"
    else:
        verdict = "worse"
    figures = {"median": _number(middle), "quartiles": [_number(low), _number(high)], "count": len(values)}
    figures |= {"missed": sum(map(math.isinf, values)), "difference": _number(difference)}
    return figures | {"interval": interval, "verdict": verdict, "note": note}


def difference_interval(values: Sequence[float], others: Sequence[float]) -> list[float] | None:
    """Where the difference of the medians lies in 95 of 100 resamples; None where a value is missing."""
    if not values or not all(map(math.isfinite, (*values, *others))):
        return None
    chance = random.Random(1)  # noqa: S311  the same interval for the same values
    differences = sorted(
        median(chance.choices(values, k=len(values))) - median(chance.choices(others, k=len(others)))
        for _ in range(RESAMPLES)
    )
    return [round(differences[int(RESAMPLES * share)], 3) for share in (0.025, 0.975)]


def _words(name: str, titles: dict[str, str], metrics: Sequence[dict[str, Any]]) -> str:
    """What was measured of an orchestrator, in a few sentences."""
    by_verdict: dict[str, list[str]] = {}
    for metric in metrics:
        if figures := metric["results"].get(name):
            ends = figures["median"] is not None
            said = (
                f"{metric['title']} {figures['median']:,.1f} {metric['unit']}"
                if ends
                else f"{metric['title']} ({figures['note']})"
            )
            if figures["verdict"] == "worse" and ends:
                best = metric["results"][metric["best"]]["median"]
                said += f", {titles[metric['best']]} {best:,.1f}"
            by_verdict.setdefault(figures["verdict"], []).append(said)
    sentences = [
        f"{start}: {'; '.join(by_verdict[verdict])}."
        for verdict, start in (
            ("best", "Best of all here"),
            ("no difference seen", "No difference seen to the best"),
            ("worse", "Behind the best"),
            ("too few measurements to tell", "Too few measurements to tell"),
            ("no end", "Did not end by itself, here or elsewhere"),
            ("not measured", "Not measured"),
        )
        if verdict in by_verdict
    ]
    return " ".join([f"{titles[name]}.", *sentences])


def show(report: dict[str, Any]) -> None:
    """Print the medians as a table."""
    table = Table("median", box=None, pad_edge=False)
    for title in report["orchestrators"].values():
        table.add_column(title, justify="right")
    table.add_column("noise", justify="right")
    table.add_column("")
    for metric in report["metrics"]:
        cells = [metric["results"].get(name, {}).get("median") for name in report["orchestrators"]]
        alike = {figures["verdict"] for figures in metric["results"].values()} - {"best"}
        said = "; ".join(sorted(alike - {"worse"}))
        shown = ["-" if value is None else f"{value:,.1f}" for value in (*cells, metric["noise"])]
        table.add_row(f"{metric['title']}, {metric['unit']}", *shown, said)
    print()
    out = Console(highlight=False, markup=False)
    out.print(table)
    if report["as_made"]:
        headings = ("median, with the settings of the makers", *report["orchestrators"].values())
        made = Table(*headings, box=None, pad_edge=False)
        for metric in report["metrics"]:
            if figures := report["as_made"].get(metric["id"]):
                cells = [figures.get(name, {}).get("median") for name in report["orchestrators"]]
                shown = ["-" if value is None else f"{value:,.1f}" for value in cells]
                made.add_row(f"{metric['title']}, {metric['unit']}", *shown)
        out.print("", made, sep="\n")


def page(report: dict[str, Any]) -> str:
    """The result as HTML."""
    import jinja2

    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    text = Path(__file__).with_name("trial.html").read_text(encoding="utf-8")
    return environment.from_string(text).render(**report)


def _number(value: float) -> float | None:
    return round(value, 3) if math.isfinite(value) else None
