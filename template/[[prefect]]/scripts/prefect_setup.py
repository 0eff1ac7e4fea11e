"""What `make up` does between starting Prefect's server and its worker: work pool, deployments, no catch-up."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import yaml
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter

ROOT = Path(os.environ["APP_ROOT"])
START_SECONDS = 120


def main() -> None:
    wait_for_server()
    pools = {deployment["work_pool"]["name"] for deployment in deployments()}
    for pool in pools:
        prefect("work-pool", "create", pool, "--type", "process", "--overwrite")
    prefect("--no-prompt", "deploy", "--all")
    drop_overdue_runs()
    conf = ROOT / "deploy" / "local" / "prefect.conf"
    subprocess.run([sys.executable, "-m", "supervisor.supervisorctl", "-c", conf, "start", "worker"], check=True)


def deployments() -> list[dict]:
    return yaml.safe_load((ROOT / "prefect.yaml").read_text(encoding="utf-8"))["deployments"]


def prefect(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "prefect", *arguments], check=True, cwd=ROOT)


def wait_for_server() -> None:
    deadline = time.monotonic() + START_SECONDS
    with get_client(sync_client=True) as client:
        while client.api_healthcheck() is not None:
            if time.monotonic() > deadline:
                sys.exit(f"error: no Prefect server at {client.api_url}")
            time.sleep(0.2)


def drop_overdue_runs() -> None:
    """Runs that came due while nothing ran here; the worker would start them all at once."""
    due = FlowRunFilter.model_validate(
        {
            "expected_start_time": {"before_": datetime.now(UTC)},
            "state": {"name": {"any_": ["Scheduled", "Late"]}},
        }
    )
    with get_client(sync_client=True) as client:
        for run in client.read_flow_runs(flow_run_filter=due):
            if run.auto_scheduled:
                client.delete_flow_run(run.id)
                print(f"dropped {run.name}, due {run.expected_start_time}: make backfill runs past days")


if __name__ == "__main__":
    main()
