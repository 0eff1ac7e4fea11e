"""What an inventory holds: pipelines, their steps, the systems they touch, and how sure each of these is."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

# It stands in the file; it was followed through variables, imports and callers; it may be otherwise.
READ, RESOLVED, GUESSED = "read", "resolved", "guessed"
WITHOUT_DAG = "tasks without a DAG"
ORDER = (READ, RESOLVED, GUESSED)


@dataclass(frozen=True)
class Fact:
    """A text, and how it is known."""

    value: str
    confidence: str = READ

    @property
    def sure(self) -> bool:
        return self.confidence != GUESSED


def weakest(*confidences: str) -> str:
    return max(confidences, key=ORDER.index, default=READ)


@dataclass(eq=False)
class Step:
    """A task, action, command, asset or the like.

    operator: its class or decorator, by the project's own name where it has one; base: the class that this is derived
    from; package: where the operator comes from. kind: task, sensor, branch, trigger, subpipeline or structure.
    count: how many there are at run time, None when only a run can tell; loop: what repeats it.
    definition: what it is written as; several steps may share one.
    """

    name: Fact
    operator: str
    path: str
    line: int
    kind: str = "task"
    base: str = ""
    package: str = ""
    count: int | None = 1
    loop: str = ""
    settings: dict[str, Fact] = field(default_factory=dict)
    definition: Any = None
    confidence: str = READ

    def as_dict(self) -> dict[str, Any]:
        plain = {name: value for name, value in vars(self).items() if name not in ("name", "settings", "definition")}
        return {
            "name": vars(self.name),
            **plain,
            "settings": {name: vars(fact) for name, fact in sorted(self.settings.items())},
        }


@dataclass(eq=False)
class Link:
    """Something that ties a pipeline to another one.

    kind: starts, waits for, writes or reads. target: the other pipeline's name, or what is written and read.
    step: the step of the other pipeline. found: ids of the pipelines that it leads to, once all are known.
    """

    kind: str
    target: Fact
    path: str
    line: int
    step: str = ""
    found: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        return {**vars(self), "target": vars(self.target)}


@dataclass(eq=False)
class Pipeline:
    """A DAG, flow, job, task tree, workflow or line of a crontab.

    systems: by id of ``data/systems.yml``, each with why it is listed. uses: names of connections, variables and
    the like that it asks for. features: what decides how it can be moved, with where it was seen.
    repeated: why there may be more than one of it. scheduled_by: the line or file that starts it, such as one of a
    crontab. last_run: the day, as the export of runs says. also: what tells it from another one of its name.
    """

    name: Fact
    orchestrator: str
    kind: str
    path: str
    line: int
    schedule: Fact | None = None
    zone: Fact | None = None
    steps: list[Step] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    systems: dict[str, Fact] = field(default_factory=dict)
    uses: dict[str, dict[str, str]] = field(default_factory=dict)
    features: dict[str, Fact] = field(default_factory=dict)
    repeated: str = ""
    scheduled_by: str = ""
    also: str = ""
    last_run: str | None = None
    dead: Fact | None = None

    @property
    def id(self) -> str:
        return f"{self.orchestrator}:{self.name.value}{f' ({self.also})' if self.also else ''}"

    @property
    def place(self) -> str:
        return f"{self.path}:{self.line}"

    @property
    def is_whole(self) -> bool:
        """Whether it is a pipeline, and not only steps whose pipeline is not known."""
        return self.kind != WITHOUT_DAG

    @property
    def is_dead(self) -> bool:
        """Whether an export of runs says so; a guess is not enough."""
        return self.dead is not None and self.dead.sure

    def add_system(self, system: str, why: str, confidence: str) -> None:
        known = self.systems.get(system)
        if known is None or ORDER.index(confidence) < ORDER.index(known.confidence):
            self.systems[system] = Fact(why, confidence)

    def use(self, what: str, fact: Fact) -> None:
        """Note a connection, variable or the like by name."""
        kept = self.uses.setdefault(what, {})
        kept[fact.value] = min(kept.get(fact.value, GUESSED), fact.confidence, key=ORDER.index)

    def feature(self, name: str, why: str, confidence: str = READ) -> None:
        self.features.setdefault(name, Fact(why, confidence))

    def as_dict(self) -> dict[str, Any]:
        plain = ("orchestrator", "kind", "path", "line", "uses", "repeated", "scheduled_by", "last_run")
        return {
            "id": self.id,
            "name": vars(self.name),
            **{name: getattr(self, name) for name in plain},
            "schedule": vars(self.schedule) if self.schedule else None,
            "zone": vars(self.zone) if self.zone else None,
            "dead": vars(self.dead) if self.dead else None,
            "systems": {name: vars(fact) for name, fact in sorted(self.systems.items())},
            "features": {name: vars(fact) for name, fact in sorted(self.features.items())},
            "steps": [step.as_dict() for step in self.steps],
            "links": [link.as_dict() for link in self.links],
        }


@dataclass
class Problem:
    """A file, or a part of one, that the inventory could not use, and why."""

    path: str
    line: int
    reason: str


def strings(nodes: Iterable[ast.AST]) -> list[str]:
    """The texts below these nodes, without docstrings."""
    found = []
    for node in nodes:
        plain = {
            id(each.value)
            for each in ast.walk(node)
            if isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant)
        }
        found += [
            each.value
            for each in ast.walk(node)
            if isinstance(each, ast.Constant) and isinstance(each.value, str) and id(each) not in plain
        ]
    return found
