"""Starts runs as Dagster does by default, but not twice when the answer to the first start comes late.

It also notices a run that was killed together with its code server. Such a run would stay "started" for Dagster and
keep its place in the pool, so all later ones would wait for it: only the code server watches processes of runs.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import dagster as dg
import grpc
from dagster._core.launcher import CheckRunHealthResult, WorkerStatus

from .instance import lost

if TYPE_CHECKING:
    from dagster._core.launcher import LaunchRunContext

CODE_SERVER_SECONDS = 2  # it looks after its runs every half second, and knows better why one has ended


class Launcher(dg.DefaultRunLauncher):
    """The queue repeats a launch that ended in an error. After a time-out the first one may still succeed.

    A run that never starts is ended by run monitoring, see ``start_timeout_seconds`` in dagster.yaml.
    """

    def launch_run(self, context: LaunchRunContext) -> None:
        try:
            super().launch_run(context)
        except Exception as error:
            if not _is_timeout(error.__cause__):
                raise
            message = "The code server has not said yet whether the run's process has started; not starting another one"
            self._instance.report_engine_event(message, context.dagster_run)

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Where `server` has started the services, runs are processes of this machine; in containers they are not."""
        return "DAGSTER_CODE_PORT" in os.environ

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """For run monitoring, which marks a lost run as failed; the daemon then runs its unfinished steps again."""
        if lost(self._instance, run.run_id):
            time.sleep(CODE_SERVER_SECONDS)
            if reason := lost(self._instance, run.run_id):
                return CheckRunHealthResult(WorkerStatus.FAILED, reason)
        return CheckRunHealthResult(WorkerStatus.RUNNING)


def _is_timeout(error: BaseException | None) -> bool:
    return isinstance(error, grpc.RpcError) and error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
