"""The services of `make up`: server, setup, worker, operations. deploy/local/prefect.conf calls this.

They start as Prefect's own commands would start them, but without banners: every line of their logs has the form of
``[logging]``. Where each runs in a container of its own, `deploy` takes the place of `setup`.
"""

from __future__ import annotations

import asyncio
import os
import sys

import psutil
import uvicorn

from ...platform import config
from . import setup

SHORTEST_SECONDS = 3601  # Prefect refuses to delete runs that ended within the last hour


def server() -> None:
    """API, UI, scheduler and automations, on SQLite or on the PostgreSQL of ENGINE_DATABASE_URL."""
    url = os.environ.pop("ENGINE_DATABASE_URL", "")
    if url:
        os.environ["PREFECT_SERVER_DATABASE_CONNECTION_URL"] = f"postgresql+asyncpg://{url.partition('://')[2]}"
    for name, value in retention_variables(config.load()).items():
        os.environ.setdefault(name, value)
    from prefect.server.api.server import create_app  # settings are read when Prefect is imported

    port = int(os.environ["PREFECT_PORT"])
    uvicorn.run(create_app(final=True), host="127.0.0.1", port=port, log_config=None, log_level="warning")


def retention_variables(settings: config.Settings) -> dict[str, str]:
    """What tells the server which history to delete: it looks every hour for runs, their logs, and events."""
    vacuum, seconds = "PREFECT_SERVER_SERVICES_DB_VACUUM", settings.retention.days * 86400
    if not seconds:
        return {f"{vacuum}_ENABLED": "orphans"}  # logs whose run was deleted by hand, and nothing else
    return {
        f"{vacuum}_ENABLED": "events,flow_runs",
        f"{vacuum}_RETENTION_PERIOD": f"{max(seconds, SHORTEST_SECONDS):.0f}",
        "PREFECT_SERVER_EVENTS_RETENTION_PERIOD": f"PT{max(seconds, SHORTEST_SECONDS):.0f}S",
    }


def worker() -> None:
    """Runs the flows, a process each."""
    setup.SET_UP.wait(psutil.Process().parent())
    from prefect.utilities.processutils import setup_signal_handlers_worker
    from prefect.workers.process import ProcessWorker

    from ...platform import logging
    from . import deployments, logs

    logging.configure()
    setup_signal_handlers_worker(os.getpid(), "the worker", logs.log_line)
    limit = int(os.environ["FLOW_RUNS_AT_ONCE"])
    try:
        worker = ProcessWorker(deployments.work_pool(), name="local", limit=limit)
        asyncio.run(worker.start(printer=logs.log_line))
    except KeyboardInterrupt:
        sys.exit(0)


def operations() -> None:
    """Looks after runs that no worker holds."""
    if "SUPERVISOR_ENABLED" in os.environ:  # of supervisord; elsewhere this starts when the deployments are there
        setup.SET_UP.wait(psutil.Process().parent())
    from ...platform import logging
    from . import operations

    logging.configure()
    asyncio.run(operations.serve())


def deploy() -> int:
    """Deploys to the server of PREFECT_API_URL, which something else keeps, and ends."""
    from ...platform import logging
    from . import deployments

    logging.configure()
    return deployments.main()


if __name__ == "__main__":
    services = {"server": server, "setup": setup.run, "worker": worker, "operations": operations, "deploy": deploy}
    sys.exit(services[sys.argv[1]]())
