"""The inventory as tables on the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from . import systems
from .effort import Days, Move, Plan
from .estate import Estate
from .facts import Fact, Pipeline

NUMBERS = ("written", "tasks", "steps", "pipelines", "days", "wave")
MARKS = {"read": "", "resolved": "", "guessed": "?"}


def show(estate: Estate, plan: Plan, out: Console) -> None:
    """Pipelines in the order of work, operators, systems, links, and what could not be read."""
    if not estate.pipelines:
        out.print(f"no pipelines in {estate.root}")
    else:
        out.print(summary(estate))
        titles = ("wave", "pipeline", "kind", "schedule", "steps", "systems", "days", "")
        _print(out, "Order of work", titles, map(_moved, plan.moves))
        learning = f"{days(plan.learning)} of them for the first of each class"
        out.print(f"{days(plan.total)} days of one engineer in all, {learning}", style="bold")
        operators = (
            (
                each.name,
                each.base,
                each.package,
                each.written,
                f"{each.tasks}{'+' if each.at_least else ''}",
                each.pipelines,
                each.disposition,
                days(each.days),
                each.what,
            )
            for each in plan.operators
        )
        titles = ("operator", "derived from", "package", "written", "tasks", "pipelines", "disposition", "days", "what")
        _print(out, "Operators and sensors", titles, operators)
        touched = ((name, number, guesses) for name, number, guesses in systems_of(estate))
        _print(out, "External systems", ("system", "pipelines", "only guessed"), touched)
        _print(out, "Links", ("from", "", "to", "where"), links_of(estate))
        dead = ((each.id, each.dead.value, each.place) for each in plan.retire if each.dead)
        _print(out, "Dead: retire instead of moving", ("pipeline", "because", "where"), dead)
    for name in estate.unknown_runs:
        out.print(Text(f"runs of {name}: no such pipeline in these files", style="yellow"))
    for problem in estate.problems:
        out.print(Text(f"{problem.path}:{problem.line}: {problem.reason}", style="red"))
    out.print()
    out.print("? marks a guess: it may be otherwise; what has no ? was read or followed through the code", style="dim")


def summary(estate: Estate) -> str:
    """Such as "3 pipelines (airflow 2, cron 1), 9 steps, 1 problems"."""
    counts = Counter(pipeline.orchestrator for pipeline in estate.pipelines if pipeline.is_whole)
    by = ", ".join(f"{name} {number}" for name, number in sorted(counts.items()))
    steps = sum(1 for _ in estate.steps)
    return f"{counts.total()} pipelines ({by}), {steps} steps, {len(estate.problems)} problems"


def days(pair: Days) -> str:
    least, most = pair
    return f"{least:.1f} to {most:.1f}"


def fact(given: Fact | None) -> str:
    """A fact with its mark, a dash for none."""
    return "-" if given is None else f"{given.value}{MARKS[given.confidence]}"


def when(pipeline: Pipeline) -> str:
    zone = f" {pipeline.zone.value}" if pipeline.zone else ""
    return f"{fact(pipeline.schedule)}{zone}"


def systems_of(estate: Estate) -> list[tuple[str, int, int]]:
    """Each system's name, in how many pipelines it was seen for sure, and in how many it is a guess."""
    sure = Counter(name for each in estate.live for name, found in each.systems.items() if found.sure)
    guessed = Counter(name for each in estate.live for name, found in each.systems.items() if not found.sure)
    names = sorted({*sure, *guessed}, key=lambda name: (-sure[name], -guessed[name], name))
    return [(systems.table()[name]["name"], sure[name], guessed[name]) for name in names]


def links_of(estate: Estate) -> list[tuple[str, str, str, str]]:
    """What ties pipelines together, one row a link; what is only written is none."""
    rows = []
    for pipeline in estate.live:
        for link in pipeline.links:
            if link.kind == "writes":
                continue
            to = ", ".join(link.found) or f"{fact(link.target)}, which is not in these files"
            rows.append((pipeline.id, link.kind, to, f"{link.path}:{link.line}"))
    return rows


def notes(move: Move) -> list[str]:
    """What else to know of a pipeline, in phrases."""
    pipeline = move.pipeline
    found = list(move.because)
    if pipeline.repeated:
        found.append(f"may be several: {pipeline.repeated}")
    if pipeline.scheduled_by:
        found.append(f"started by {pipeline.scheduled_by}")
    if pipeline.dead and not pipeline.is_dead:
        found.append(f"{pipeline.dead.value}?")
    if move.disposition != "mechanical":
        found.append(move.disposition)
    return found


def _moved(move: Move) -> tuple[object, ...]:
    pipeline = move.pipeline
    named = f"{pipeline.orchestrator}:{fact(pipeline.name)}{f' ({pipeline.also})' if pipeline.also else ''}"
    touched = ", ".join(f"{name}{MARKS[found.confidence]}" for name, found in sorted(pipeline.systems.items()))
    said = "; ".join(notes(move))
    return move.wave, named, pipeline.kind, when(pipeline), len(pipeline.steps), touched, days(move.days), said


def _print(out: Console, title: str, titles: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    every = list(rows)
    if not every:
        return
    out.print()
    drawn = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="dim")
    for name in titles:
        drawn.add_column(name, justify="right" if name in NUMBERS else "left", overflow="fold")
    for row in every:
        drawn.add_row(*(Text(str(cell)) for cell in row))
    out.print(drawn)
