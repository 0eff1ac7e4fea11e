"""The services of `make up`: server, setup, worker. deploy/local/temporal.conf calls this.

Where the server is elsewhere, each deployment calls `deploy` once, and runs `worker`.
"""

from __future__ import annotations

import asyncio
import logging.config
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import psutil

from ...platform import config, retention
from ...platform import logging as platform_logging
from ...platform.errors import PERMANENT, ConfigError
from . import ENGINE, connection, server, setup


def serve() -> int:
    """The server with its UI; where the configuration names one elsewhere, only a page that leads to its UI."""
    chosen = connection.settings()
    if not chosen.address:
        home = Path(os.environ["TEMPORAL_HOME"])
        server.serve(home / "temporal.db", ENGINE.port - connection.GRPC_BELOW_UI, ENGINE.port)
    HTTPServer(("127.0.0.1", ENGINE.port), Signpost).serve_forever()
    return 0


class Signpost(BaseHTTPRequestHandler):
    """Answers that the services are up, and sends people to the UI of the server elsewhere."""

    def do_GET(self) -> None:
        is_health = self.path == ENGINE.health
        self.send_response(200 if is_health else 302)
        if not is_health:
            self.send_header("Location", connection.run_url("", "").partition("/workflows")[0] or ENGINE.health)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """No line for each request."""


def relay() -> int:
    """Logs what the server prints."""
    server.relay_all(sys.stdin)
    return 0


def worker() -> int:
    """Runs workflows and steps, and removes what is old of the platform's own files."""
    if "SUPERVISOR_ENABLED" in os.environ:  # elsewhere `deploy` has set up the server before
        setup.SET_UP.wait(psutil.Process().parent())
    from . import worker

    threading.Thread(target=_remove_old_files, daemon=True).start()
    asyncio.run(worker.run())
    return 0


def _remove_old_files() -> None:
    """What the platform keeps beside the server, which looks after its own history."""
    while True:
        retention.remove_own(config.load())
        time.sleep(retention.CHECK_SECONDS)


def main() -> int:
    services = {"server": serve, "relay": relay, "setup": setup.run, "deploy": setup.deploy, "worker": worker}
    logging.config.dictConfig(platform_logging.dict_config())
    platform_logging.configure()
    if sys.argv[1] in ("setup", "deploy", "worker"):
        from . import telemetry

        telemetry.configure()
    try:
        return services[sys.argv[1]]()
    except ConfigError as error:
        platform_logging.get_logger().error("service cannot start", service=sys.argv[1], reason=str(error))
        return PERMANENT


if __name__ == "__main__":
    sys.exit(main())
