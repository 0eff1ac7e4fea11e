"""What moving takes, by class of operator and by pipeline, and in which order to move, by ``data/effort.yml``."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from .estate import Estate
from .facts import Pipeline, Step

DISPOSITIONS = ("mechanical", "decide", "redesign")
DAYS = ("first", "each", "days")
Days = tuple[float, float]


class EffortError(Exception):
    """The file of estimates cannot be used; the message says why and what to do."""


@dataclass
class Operator:
    """All steps of one class. written: how many stand in code; tasks: how many these make, at least, at run time."""

    name: str
    base: str
    package: str
    kind: str
    written: int = 0
    tasks: int = 0
    at_least: bool = False
    pipelines: int = 0
    what: str = ""
    disposition: str = ""
    days: Days = (0, 0)
    confidence: str = "read"


@dataclass
class Move:
    """One pipeline in the order of work. wave: what can move at the same time. because: why it is there."""

    pipeline: Pipeline
    wave: int
    days: Days
    disposition: str
    because: list[str] = field(default_factory=list)


@dataclass
class Plan:
    """Operators by class, and the order of work. learning: days for the first of each class."""

    operators: list[Operator]
    moves: list[Move]
    retire: list[Pipeline]
    learning: Days
    total: Days

    def as_dict(self) -> dict[str, Any]:
        return {
            "operators": [vars(each) for each in self.operators],
            "order": [{**vars(each), "pipeline": each.pipeline.id} for each in self.moves],
            "retire": [each.id for each in self.retire],
            "learning_days": self.learning,
            "total_days": self.total,
        }


def table(file: Path | None = None) -> dict[str, Any]:
    """The estimates, the package's own where no file is given. Raises EffortError."""
    own = resources.files("orch_inventory").joinpath("data/effort.yml")
    try:
        text = (file or own).read_text(encoding="utf-8")  # type: ignore[union-attr]
        found = yaml.safe_load(text)
        for row in found["classes"]:
            re.compile(row["match"])
        every = [*found["classes"], *found["features"].values()]
        for pair in (
            found["pipeline"],
            found["own"]["first"],
            *(row[key] for row in every for key in DAYS if key in row),
        ):
            _days(pair)
        for row in every:
            DISPOSITIONS.index(row["disposition"]), row["what"]
    except OSError as error:
        raise EffortError(f"{file} cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError, re.error, KeyError, TypeError, ValueError, AttributeError) as error:
        said = " ".join(str(error).split())
        raise EffortError(f"{file} is no table of estimates: {said}; copy data/effort.yml of the package") from None
    if not any(re.search(row["match"], "-") for row in found["classes"]):
        raise EffortError(f"{file}: its last class must fit everything: write match: ''")
    return found


def _days(pair: Any) -> Days:
    least, most = pair
    if not 0 <= least <= most:
        raise ValueError(f"{pair} are no days, such as [0.1, 0.3]")
    return float(least), float(most)


def _row(step: Step, rows: dict[str, Any]) -> dict[str, Any]:
    """The class that a step counts as: by its base where the class is the project's own."""
    return _fitting(step.operator, step.base, step.package, rows)


def _fitting(operator: str, base: str, package: str, rows: dict[str, Any]) -> dict[str, Any]:
    name = "command" if package == "shell" else base or operator
    return next(row for row in rows["classes"] if re.search(row["match"], name))


def plan(estate: Estate, rows: dict[str, Any]) -> Plan:
    """What to move, in which order, and what it takes."""
    live = estate.live
    operators = _operators(live, rows)
    learning = _sum(_first(each, rows) for each in operators)
    shared = Counter(each for pipeline in live for each in {step.definition for step in pipeline.steps})
    moves = _ordered([_move(pipeline, shared, rows) for pipeline in live])
    total = _sum([learning, *(move.days for move in moves)])
    dead = [pipeline for pipeline in estate.pipelines if pipeline.is_dead]
    return Plan(operators, moves, dead, learning, total)


def _sum(days: Iterable[Days]) -> Days:
    pairs = list(days)
    return round(sum(least for least, _ in pairs), 2), round(sum(most for _, most in pairs), 2)


def _operators(pipelines: list[Pipeline], rows: dict[str, Any]) -> list[Operator]:
    found: dict[tuple[str, str, str], Operator] = {}
    written: dict[tuple[str, str, str], set[Any]] = {}
    used: dict[tuple[str, str, str], set[str]] = {}
    for pipeline in pipelines:
        for step in pipeline.steps:
            key = (step.operator, step.base, step.package)
            row = _row(step, rows)
            each = found.setdefault(
                key, Operator(*key, kind=step.kind, what=row["what"], disposition=row["disposition"])
            )
            written.setdefault(key, set()).add(step.definition)
            used.setdefault(key, set()).add(pipeline.id)
            each.tasks += 1 if step.count is None else step.count
            each.at_least |= step.count is None or bool(pipeline.repeated)
            if step.confidence == "guessed":
                each.confidence = "guessed"
            elif step.confidence == "resolved" and each.confidence == "read":
                each.confidence = "resolved"
            each.days = row["each"]
    for key, each in found.items():
        each.written, each.pipelines = len(written[key]), len(used[key])
        least, most = each.days
        each.days = _sum([(least * each.written, most * each.written), _first(each, rows)])
    return sorted(found.values(), key=lambda each: (-each.written, each.name))


def _first(operator: Operator, rows: dict[str, Any]) -> Days:
    """What the first of a class takes."""
    row = _fitting(operator.name, operator.base, operator.package, rows)
    return _sum([_days(row["first"]), *([_days(rows["own"]["first"])] if operator.package == "own" else [])])


def _move(pipeline: Pipeline, shared: Counter[Any], rows: dict[str, Any]) -> Move:
    days, dispositions = [_days(rows["pipeline"]) if pipeline.is_whole else (0.0, 0.0)], ["mechanical"]
    for definition, step in {step.definition: step for step in pipeline.steps}.items():
        row = _row(step, rows)
        least, most = row["each"]
        # What several pipelines share is moved once.
        days.append((least / shared[definition], most / shared[definition]))
        dispositions.append(row["disposition"])
    for name in pipeline.features:
        if name in rows["features"]:
            days.append(_days(rows["features"][name]["days"]))
            dispositions.append(rows["features"][name]["disposition"])
    return Move(pipeline, 0, _sum(days), max(dispositions, key=DISPOSITIONS.index))


def _ordered(moves: list[Move]) -> list[Move]:
    """A pipeline moves after those that wait for it, so that what has not moved keeps all it waits for.

    Of those that can move next the smallest comes first. Pipelines that wait for each other move in one wave.
    """
    by_id = {move.pipeline.id: move for move in moves}
    waiting: dict[str, set[str]] = {name: set() for name in by_id}  # whom each must wait for to be moved
    for move in moves:
        for link in move.pipeline.links:
            for other in link.found:
                if other not in by_id or other == move.pipeline.id:
                    continue
                if link.kind in ("waits for", "reads"):
                    waiting[other].add(move.pipeline.id)
                elif link.kind == "starts":
                    waiting[move.pipeline.id].add(other)
    ordered: list[Move] = []
    left, wave = dict(waiting), 1
    while left:
        ready = [name for name, others in left.items() if not others & left.keys()]
        if not ready:
            ready = sorted(_circle(left))
            for name in ready:
                by_id[name].because.append("moves together with what it waits for in a circle")
        for name in sorted(ready, key=lambda each: (not by_id[each].pipeline.is_whole, by_id[each].days, each)):
            by_id[name].wave = wave
            others = sorted(waiting[name])
            if others and not by_id[name].because:
                more = f" and {len(others) - 2} more" if len(others) > 2 else ""
                by_id[name].because.append(f"after {', '.join(others[:2])}{more}")
            ordered.append(by_id[name])
            del left[name]
        wave += 1
    return ordered


def _circle(left: dict[str, set[str]]) -> set[str]:
    """Names that wait for each other, and for nothing outside of their circle that is left."""
    reached: dict[str, set[str]] = {}
    for start in left:
        seen, stack = set(), [start]
        while stack:
            for each in left[stack.pop()] & left.keys():
                if each not in seen:
                    seen.add(each)
                    stack.append(each)
        reached[start] = seen
    return min((names for names in reached.values()), key=len)
