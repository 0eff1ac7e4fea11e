"""What a run waits for before a step, where no container waits: it looks and ends, and the run waits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..platform.pipelines import Pipeline

LOOK_FOR_DECISION_SECONDS = 3600  # at most, where a command says that people have decided; it may fail to


@dataclass(frozen=True)
class Wait:
    """awaits: ``input``, ``decision`` or nothing. seconds: how long at most. look_again_seconds: from look to look."""

    awaits: str = ""
    seconds: float = 0
    look_again_seconds: float = 0


def of_step(pipeline: Pipeline, step: str) -> Wait:
    """What the configuration says of the wait before a step."""
    arrival, approval = pipeline.settings.input_wait, pipeline.settings.approval
    if step == pipeline.steps[0]:
        return Wait("input", arrival.timeout_seconds, arrival.poll_seconds)
    if step == pipeline.held_step:
        looks = min(approval.remind_after_seconds, approval.expire_after_seconds, LOOK_FOR_DECISION_SECONDS)
        return Wait("decision", approval.expire_after_seconds, looks)
    return Wait()
