"""Starts runs as Dagster does by default, but not twice when the answer to the first start comes late."""

import dagster as dg
import grpc
from dagster._core.launcher import LaunchRunContext


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


def _is_timeout(error: BaseException | None) -> bool:
    return isinstance(error, grpc.RpcError) and error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
