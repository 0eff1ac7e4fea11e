"""Google Cloud Workflows as an orchestrator of this project: a workflow for each pipeline, a container for each step.

In the cloud, Workflows runs them; nothing of this package is needed there but the project's command. On this machine an
emulator runs the same definitions, in the process of the command.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ...platform.decisions import Request
    from ...platform.partitions import Partition
    from ...platform.pipelines import Pipeline
    from ..engine import InProcess, RunState


class GcpWorkflows:
    """The interface of `orchestration.engine`. Methods import the emulator when they need it."""

    id = "gcp_workflows"
    title = "Google Cloud Workflows"
    definition = "workflows/{name}.workflow.yaml"
    port = 0

    @contextmanager
    def _in_process(self) -> Iterator[InProcess]:
        from . import runs

        with runs.opened() as run:
            yield lambda pipeline, partition: run(pipeline, partition).state == "success"

    def in_process(self) -> AbstractContextManager[InProcess]:
        return self._in_process()

    def backfill(self, pipeline: Pipeline, partitions: Sequence[Partition]) -> Iterator[RunState]:
        """Run the partitions one after the other: an emulator runs within the command.

        Raises PermanentError when it is interrupted, which ends the run.
        """
        from .. import executions
        from . import runs

        with runs.opened() as run:
            yield from executions.one_by_one(pipeline, partitions, run)

    def runs(self, pipeline: Pipeline, limit: int) -> list[RunState]:
        """The newest executions on this machine; the cloud's console shows those in the cloud."""
        from .. import executions

        return executions.newest(self.id, pipeline.name, limit)

    def decided(self, request: Request) -> None:
        """Call the execution that waits. One of the emulator looks by itself, in its own process."""
        from . import callbacks

        callbacks.decided(request)

    def problems(self) -> list[str]:
        """What is wrong with the definitions, a sentence each."""
        from . import checks

        return checks.problems()


ENGINE = GcpWorkflows()
