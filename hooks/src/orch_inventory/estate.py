"""Everything below a folder that runs pipelines, with what ties these together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from orch_standards.project import Project
from orch_standards.settings import ProjectError, Settings

from . import airflow, cron, dag_factory, dagster, luigi, oozie, prefect
from .code import Code
from .facts import GUESSED, RESOLVED, Fact, Link, Pipeline, Problem, Step

READERS: dict[str, Callable[[Code], list[Pipeline]]] = {
    "Airflow": airflow.read,
    "dag-factory": dag_factory.read,
    "Luigi": luigi.read,
    "cron": cron.read,
    "Oozie": oozie.read,
    "Prefect": prefect.read,
    "Dagster": dagster.read,
}
FILES_OF_SCHEDULES = ("line", "script", "coordinator", "bundle")  # they may only start what is another pipeline
TARGETS_OF_OOZIE = ("workflow.xml", "coordinator.xml", "bundle.xml")


class Files(Project):
    """A folder whose own settings for the standards, broken or not, do not matter."""

    @cached_property
    def settings(self) -> Settings:
        return Settings()


@dataclass
class Estate:
    """What was found. unknown_runs: names in the export of runs that are no pipeline's."""

    root: str
    pipelines: list[Pipeline]
    problems: list[Problem] = field(default_factory=list)
    unknown_runs: list[str] = field(default_factory=list)

    @property
    def live(self) -> list[Pipeline]:
        return [pipeline for pipeline in self.pipelines if not pipeline.is_dead]

    @property
    def steps(self) -> Iterable[Step]:
        return (step for pipeline in self.pipelines for step in pipeline.steps)

    def as_dict(self) -> dict[str, Any]:
        return {
            "root": self.root,
            "pipelines": [pipeline.as_dict() for pipeline in self.pipelines],
            "problems": [vars(problem) for problem in self.problems],
            "unknown_runs": self.unknown_runs,
        }


class EstateError(Exception):
    """The folder cannot be read; the message says why, in a sentence."""


def read(root: str | Path) -> Estate:
    """All pipelines below a folder. Raises EstateError when it is no folder."""
    try:
        project = Files(root)
    except ProjectError:
        raise EstateError(f"{root} is not a folder: name one that holds the files of your pipelines") from None
    code = Code(project)
    pipelines: list[Pipeline] = []
    problems: list[Problem] = []
    for name, reader in READERS.items():
        with code.reading(f"all files of {name}"):
            pipelines += reader(code)
    problems += [Problem(each.path, each.line, each.reason) for each in sorted(project.problems)]
    pipelines.sort(key=lambda pipeline: (pipeline.orchestrator, pipeline.path, pipeline.line))
    problems += _tell_apart(pipelines)
    _join(pipelines)
    pipelines = _scheduled(pipelines)
    _by_hand(pipelines)
    return Estate(str(project.root), pipelines, sorted(problems, key=lambda each: (each.path, each.line)))


def _tell_apart(pipelines: list[Pipeline]) -> Iterable[Problem]:
    """Pipelines of one name get their places into their ids; for DAGs that is a mistake which hides one of them."""
    counts = Counter(pipeline.id for pipeline in pipelines)
    first: dict[str, Pipeline] = {}
    for pipeline in pipelines:
        name = pipeline.id
        if counts[name] == 1:
            continue
        if name in first and pipeline.orchestrator == "airflow" and pipeline.name.sure:
            other = first[name].place
            yield Problem(pipeline.path, pipeline.line, f"the DAG {pipeline.name.value} is also defined at {other}")
        first.setdefault(name, pipeline)
        pipeline.also = pipeline.place


# Links


def _join(pipelines: list[Pipeline]) -> None:
    """Find the pipelines that each link leads to."""
    by_name: dict[str, list[Pipeline]] = {}
    writers: dict[str, list[Pipeline]] = {}
    for pipeline in pipelines:
        by_name.setdefault(pipeline.name.value, []).append(pipeline)
        for link in pipeline.links:
            if link.kind == "writes":
                writers.setdefault(link.target.value, []).append(pipeline)
    for pipeline in pipelines:
        for link in pipeline.links:
            if link.kind == "starts file":
                link.kind, found = "starts", _at(link.target.value, pipelines, pipeline)
            elif link.kind == "reads":
                found = writers.get(link.target.value, [])
            elif link.kind == "writes":
                found = []
            else:
                target = link.target.value
                found = by_name.get(target) or by_name.get(target.partition("/")[0], [])
            link.found = list(dict.fromkeys(each.id for each in found if each is not pipeline))
        pipeline.links = _worth_keeping(pipeline)


def _worth_keeping(pipeline: Pipeline) -> list[Link]:
    """Links once each. A parameter of an asset may be a resource, and a command any file: these must lead somewhere."""
    kept: dict[tuple[str, str, str], Link] = {}
    for link in pipeline.links:
        vague = (link.kind == "reads" and pipeline.orchestrator == "dagster") or (
            link.kind == "starts" and pipeline.orchestrator == "cron" and not link.target.sure
        )
        if link.found or not vague:
            kept.setdefault((link.kind, link.target.value, link.step), link)
    return list(kept.values())


def _at(path: str, pipelines: list[Pipeline], start: Pipeline) -> list[Pipeline]:
    """The pipelines of a file or folder that is named by the path it has where it runs."""
    parts = [part for part in path.split("/") if part and "$" not in part and ":" not in part]
    if not parts:
        return []
    if parts[-1].endswith(".py"):
        return _longest(parts, [each for each in pipelines if each.path.endswith(".py")], lambda each: each.path)
    oozie_ones = [each for each in pipelines if each.orchestrator == "oozie" and each is not start]
    if parts[-1] in TARGETS_OF_OOZIE:
        return _longest(parts, oozie_ones, lambda each: each.path)
    if parts[-1].endswith(".properties"):
        parts = parts[:-1]
    found = _longest(parts, oozie_ones, lambda each: each.path.rpartition("/")[0])
    return found or [each for each in oozie_ones if each.name.value == parts[-1]]


def _longest(parts: list[str], pipelines: list[Pipeline], place: Callable[[Pipeline], str]) -> list[Pipeline]:
    """Those whose place ends as the parts do, with the most parts in common."""
    shared = [(_common_end(parts, place(each).split("/")), each) for each in pipelines]
    most = max((number for number, _ in shared), default=0)
    return [each for number, each in shared if number == most] if most else []


def _common_end(first: list[str], second: list[str]) -> int:
    number = 0
    while number < min(len(first), len(second)) and first[-1 - number] == second[-1 - number]:
        number += 1
    return number


def _scheduled(pipelines: list[Pipeline]) -> list[Pipeline]:
    """Without the lines and files that only say when another pipeline runs: that one gets their schedule."""
    by_id = {pipeline.id: pipeline for pipeline in pipelines}
    dropped: dict[str, list[str]] = {}
    for pipeline in reversed(pipelines):  # a coordinator before the bundle that starts it
        found = [by_id[each] for link in pipeline.links if link.kind == "starts" for each in link.found]
        if pipeline.kind not in FILES_OF_SCHEDULES or not found:
            continue
        if pipeline.orchestrator == "cron" and len(pipeline.steps) > len(found):
            continue  # it does more than to start it
        for target in found:
            if target.schedule is None:
                sure = RESOLVED if all(link.target.sure for link in pipeline.links if link.found) else GUESSED
                target.schedule = pipeline.schedule and Fact(pipeline.schedule.value, sure)
                target.zone = pipeline.zone
                target.scheduled_by = pipeline.place
            target.links += [each for each in pipeline.links if each.kind in ("reads", "writes")]
            target.features |= {name: fact for name, fact in pipeline.features.items() if name not in target.features}
            for name, fact in pipeline.systems.items():
                target.add_system(name, fact.value, fact.confidence)
            target.steps += [step for step in pipeline.steps if step.kind == "sensor"]
        dropped[pipeline.id] = [target.id for target in found]
    for pipeline in pipelines:
        for link in pipeline.links:
            link.found = [new for each in link.found for new in dropped.get(each, [each]) if new != pipeline.id]
    return [pipeline for pipeline in pipelines if pipeline.id not in dropped]


def _by_hand(pipelines: list[Pipeline]) -> None:
    """DAGs that nothing starts as far as the files say: perhaps nobody needs them."""
    started = {
        each for pipeline in pipelines for link in pipeline.links if link.kind == "starts" for each in link.found
    }
    for pipeline in pipelines:
        never = pipeline.schedule is not None and pipeline.schedule.value.lower() in ("none", "null", "@never")
        if pipeline.orchestrator == "airflow" and never and pipeline.id not in started and pipeline.dead is None:
            pipeline.dead = Fact("no schedule, and nothing here starts it", GUESSED)
