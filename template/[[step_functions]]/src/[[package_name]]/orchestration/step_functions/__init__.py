"""AWS Step Functions as an orchestrator of this project: a state machine for each pipeline, and those of the platform.

On this machine an emulator runs the definitions within each command. In an environment that names a region, the
commands talk to AWS.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from ..cloud_service import CloudService

if TYPE_CHECKING:
    from ...platform.decisions import Request
    from ...platform.partitions import Partition
    from ...platform.pipelines import Pipeline
    from ..engine import InProcess, RunState


class StepFunctions(CloudService):
    id = "step_functions"
    title = "AWS Step Functions"
    definition = "workflows/{name}.asl.json"

    def in_process(self) -> AbstractContextManager[InProcess]:
        from . import emulator

        return emulator.running()

    def backfill(self, pipeline: Pipeline, partitions: Sequence[Partition]) -> Iterator[RunState]:
        from . import cloud, emulator

        return (cloud if cloud.is_named() else emulator).backfill(pipeline, partitions)

    def runs(self, pipeline: Pipeline, limit: int) -> list[RunState]:
        from . import cloud

        return cloud.runs(pipeline, limit) if cloud.is_named() else super().runs(pipeline, limit)

    def decided(self, request: Request) -> None:
        """Wake the execution that waits. On this machine the emulator wakes it, which only its own process can."""
        from . import cloud

        if cloud.is_named():
            cloud.decided(request)


ENGINE = StepFunctions()
