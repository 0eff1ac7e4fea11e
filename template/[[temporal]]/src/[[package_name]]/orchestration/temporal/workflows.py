"""The project's workflows: a file for each pipeline, `workflows/<pipeline>.py`."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from temporalio.client import ScheduleOverlapPolicy, SchedulePolicy

from ...platform import config, pipelines
from ...platform.pipelines import Pipeline


@dataclass
class Loaded:
    """What a pipeline's file defines: its workflow, its activities, the policy of its schedule.

    workflows: the workflow itself, and those that it starts as its children.
    """

    pipeline: Pipeline
    workflow: type
    workflows: list[type]
    activities: list[Callable]
    schedule: SchedulePolicy = field(default_factory=lambda: SchedulePolicy(overlap=ScheduleOverlapPolicy.ALLOW_ALL))


def file_of(pipeline: Pipeline) -> Path:
    return config.load().root / "workflows" / f"{pipeline.name}.py"


def has_workflow(pipeline: Pipeline) -> bool:
    return file_of(pipeline).is_file()


def load_all() -> tuple[list[Loaded], list[str]]:
    """The workflows that can be imported, and a sentence for each that cannot."""
    loaded, problems = [], []
    for pipeline in pipelines.all():
        file = f"workflows/{pipeline.name}.py"
        if not has_workflow(pipeline):
            if pipeline.settings.orchestrator == "temporal":
                problems.append(f"{pipeline.name} has no workflow, so Temporal does not run it: write {file}")
            continue
        try:
            loaded.append(load(pipeline))
        except Exception as error:  # noqa: BLE001  whatever the team's code raises
            lines = str(error).strip().splitlines()
            reason = f"{type(error).__name__}: {lines[0] if lines else ''}"
            problems.append(f"{file} cannot be imported: {reason}; {pipeline.name} does not run")
    return loaded, problems


def load(pipeline: Pipeline) -> Loaded:
    """What the file of a pipeline defines. Raises what the file raises, ValueError when its workflow is not there."""
    root = str(config.load().root)
    if root not in sys.path:
        sys.path.insert(0, root)  # by name, as the sandbox of each run imports the file once more
    module = importlib.import_module(f"workflows.{pipeline.name}")
    own = vars(module)
    named = {_name(each, "workflow"): each for each in own.values() if _name(each, "workflow")}
    if pipeline.name not in named:
        raise ValueError(f"its workflow must be declared with @workflow.defn(name={pipeline.name!r})")
    activities = [each for each in own.values() if _name(each, "activity")]
    policy = {"schedule": own["SCHEDULE"]} if "SCHEDULE" in own else {}
    return Loaded(pipeline, named[pipeline.name], list(named.values()), activities, **policy)


def _name(value: object, kind: str) -> str:
    """The name under which Temporal knows a workflow or an activity; empty when it is none."""
    return getattr(getattr(value, f"__temporal_{kind}_definition", None), "name", None) or ""
