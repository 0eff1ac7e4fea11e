"""Mark runs as failed whose process is gone; `make up` does it first.

A run that was killed stays "started" for Dagster and keeps its place in the pool, so all later ones would wait for it:
the launcher for one machine cannot ask after its runs. Marked as failed, the daemon runs its unfinished steps again.
"""

from __future__ import annotations

import os

import dagster as dg


def main() -> None:
    with dg.DagsterInstance.get() as instance:
        for run in instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])):
            pid = _pid(instance, run.run_id)
            if pid is None or not _alive(pid):
                instance.report_run_failed(run, f"process {pid or ''} is gone: killed, or the machine stopped")


def _pid(instance: dg.DagsterInstance, run_id: str) -> int | None:
    """The process that executes the run, from the last event that names one."""
    events = instance.all_logs(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT)
    found = [event.dagster_event.event_specific_data.metadata.get("pid") for event in events]
    return next((int(pid.value) for pid in reversed(found) if pid is not None), None)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


if __name__ == "__main__":
    main()
