"""Dagster, as the project's command drives it. Nothing here loads Dagster before it is needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from .. import services

if TYPE_CHECKING:
    from ...platform.decisions import Request
    from ...platform.partitions import Partition
    from ...platform.pipelines import Pipeline
    from ..engine import InProcess, RunState


class Dagster:
    """See `orchestration.engine.Engine`."""

    id = "dagster"
    title = "Dagster"
    definition = "src/{package}/defs/{name}.py"
    health = "/server_info"
    ui = "/"
    worker = "code"
    server = "daemon"
    peak_mb = 1100

    @property
    def port(self) -> int:
        return services.port(self.id, 3000)

    def in_process(self) -> AbstractContextManager[InProcess]:
        from . import runs

        return runs.in_process()

    def backfill(self, pipeline: Pipeline, partitions: Sequence[Partition]) -> Iterator[RunState]:
        from . import backfill

        return backfill.run(self.port, pipeline, partitions)

    def runs(self, pipeline: Pipeline, limit: int) -> list[RunState]:
        from . import runs

        return runs.newest(pipeline, limit)

    def decided(self, request: Request) -> None:
        """As in the interface: the daemon's sensor reads the decision itself."""
        from ...platform.errors import ConfigError

        if not services.Services(self).are_up():
            raise ConfigError("Dagster's daemon, which starts the run that promotes, is not up")

    def as_made(self, folder: Path) -> dict[str, str]:
        """As in the interface: an instance that says only where its state is."""
        folder.mkdir()
        (folder / "dagster.yaml").write_text("storage: {sqlite: {base_dir: {env: DAGSTER_STATE}}}\n", encoding="utf-8")
        return {"DAGSTER_HOME": str(folder)}

    def problems(self) -> list[str]:
        from . import backfill

        return backfill.problems(self.port)


ENGINE = Dagster()
