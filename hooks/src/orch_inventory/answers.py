"""Answers to the questionnaire, from what was read or resolved; what is only a guess answers nothing."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import yaml

from . import systems
from .estate import Estate
from .facts import Fact, Pipeline

SIZES = ((4, "under_5"), (19, "under_20"), (100, "20_to_100"))
LARGEST = "over_100"
# Answers to `needs` that a feature of a pipeline gives.
NEEDS = (
    "sensors",
    "freshness",
    "quality_checks",
    "partitioned_backfills",
    "dynamic_fan_out",
    "sub_flows",
    "human_approval",
)
KNOWN_BY_TEAMS = ("airflow", "dagster", "prefect")  # answers to `experience`


@dataclass(frozen=True)
class Answer:
    question: str
    value: Any
    because: str


def answers(estate: Estate) -> list[Answer]:
    """What the files answer; empty when there is no pipeline that still runs."""
    live = [pipeline for pipeline in estate.live if pipeline.is_whole]
    if not live:
        return []
    by_orchestrator = Counter(pipeline.orchestrator for pipeline in live)
    most = by_orchestrator.most_common(1)[0][0]
    counted = ", ".join(f"{name} {number}" for name, number in by_orchestrator.most_common())
    found = [
        Answer("current_orchestrator", most, f"pipelines by orchestrator: {counted}"),
        Answer("pipeline_count", _size(len(live)), f"{len(live)} pipelines today; there may be more within a year"),
    ]
    touched = _sure(live, "systems")
    asked = {name: pipelines for name, pipelines in touched.items() if systems.table()[name].get("asked", True)}
    if asked:
        names = sorted(asked)
        because = ", ".join(f"{systems.table()[each]['name']} in {_several(asked[each])}" for each in names)
        found.append(Answer("connects_to", names, because))
    clouds = {row["cloud"] for name, row in systems.table().items() if name in touched and "cloud" in row}
    if clouds:
        value = clouds.pop() if len(clouds) == 1 else "several"
        found.append(Answer("cloud", value, "the clouds whose own services it connects to"))
    experience = [name for name in KNOWN_BY_TEAMS if by_orchestrator[name]]
    if "dbt" in touched:
        experience.append("dbt")
    if experience:
        found.append(Answer("experience", experience, "what they run today, they know"))
    features = _sure(live, "features")
    needs = {name: features[name] for name in NEEDS if name in features}
    if "dbt" in touched:
        needs["dbt"] = touched["dbt"]
    if needs:
        because = ", ".join(f"{name} in {_several(pipelines)}" for name, pipelines in needs.items())
        found.append(Answer("needs", list(needs), because))
    return found


def _size(number: int) -> str:
    return next((answer for most, answer in SIZES if number <= most), LARGEST)


def _sure(pipelines: list[Pipeline], what: str) -> dict[str, list[str]]:
    """Pipelines by system or feature, where it is no guess."""
    found: dict[str, list[str]] = {}
    for pipeline in pipelines:
        facts: dict[str, Fact] = getattr(pipeline, what)
        for name, fact in facts.items():
            if fact.sure:
                found.setdefault(name, []).append(pipeline.id)
    return found


def _several(pipelines: list[str]) -> str:
    return f"{len(pipelines)} pipeline{'s'[: len(pipelines) != 1]}"


def written(found: list[Answer]) -> str:
    """The answers as a file, each with why; what is left out is for people to answer."""
    lines = [
        "# Answers that the files of the pipelines give. What is not here, such as pipeline_shape and team_size, they"
    ]
    lines += ["# do not say: add your own answers, or leave them to the questionnaire."]
    for answer in found:
        lines += [f"# {answer.because}", yaml.safe_dump({answer.question: answer.value}).rstrip()]
    return "\n".join(lines) + "\n"
