"""One of Airflow's services, as deploy/local/airflow.conf starts them: `airflow_service.py scheduler`.

The first of them to come prepares keys and database and reads the DAGs, so that the server knows them when it answers;
the others wait for it.
"""

from __future__ import annotations

import base64
import fcntl
import os
import secrets
import sys
from pathlib import Path

HOME = Path(os.environ["AIRFLOW_HOME"])


def main(*arguments: str) -> None:
    supervisor = str(os.getppid())
    with (HOME / "prepared_for").open("a+") as prepared:
        fcntl.flock(prepared, fcntl.LOCK_EX)
        prepared.seek(0)
        if prepared.read() != supervisor:
            write_keys(HOME / "airflow.cfg")
            prepare_database()
            prepared.truncate(0)
            prepared.write(supervisor)
    airflow = Path(sys.executable).with_name("airflow")
    os.execv(airflow, ["airflow", *arguments])  # noqa: S606  in place of this process, so that signals reach it


def write_keys(file: Path) -> None:
    """Keys that the services share. Without this file Airflow writes one that keeps all defaults of its version."""
    if file.exists():
        return
    fernet_key = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
    file.touch(mode=0o600)
    file.write_text(
        f"[core]\nfernet_key = {fernet_key}\n"
        f"[api]\nsecret_key = {secrets.token_hex(32)}\n"
        f"[api_auth]\njwt_secret = {secrets.token_hex(32)}\n"
    )


def prepare_database() -> None:
    """Make the database or bring it to the installed version, and read the DAGs into it."""
    from airflow.cli.cli_parser import get_parser  # only after the keys are there

    for command in (["db", "migrate"], ["dags", "reserialize"]):
        arguments = get_parser().parse_args(command)
        arguments.func(arguments)


if __name__ == "__main__":
    main(*sys.argv[1:])
