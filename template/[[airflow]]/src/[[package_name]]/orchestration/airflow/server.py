"""Airflow's command line with this project's settings: `… .server dags list`, and the services of `make up`.

Where something else starts the services, `… .server prepare` does what they need first, and ends.

The first service to come prepares keys, database and pools and reads the DAGs, so that the server knows them when it
answers; the others wait for it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from ...platform.errors import PermanentError
from . import metadata

SERVICES = ("api-server", "scheduler", "dag-processor", "triggerer")


def main(*arguments: str) -> None:
    if arguments == ("prepare",):
        metadata.set_variables()
        metadata.prepare()
        return
    if arguments and arguments[0] in SERVICES:
        prepare_once()
    else:
        metadata.set_variables()
    airflow = Path(sys.executable).with_name("airflow")
    os.execv(airflow, ["airflow", *arguments])  # noqa: S606  in place of this process, so that signals reach it


def prepare_once() -> None:
    """Prepare what the services share, once for each `make up`; later processes wait, also for `make run`."""
    metadata.set_variables()
    supervisor, prepared = str(os.getppid()), metadata.home() / "prepared_for"
    with metadata.lock():
        if not prepared.exists() or prepared.read_text() != supervisor:
            metadata.prepare()
            prepared.write_text(supervisor)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except PermanentError as error:
        sys.exit(f"error: {error}")
