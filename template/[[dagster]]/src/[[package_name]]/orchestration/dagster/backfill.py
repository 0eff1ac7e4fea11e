"""Backfill on the services of `make up`, by Dagster's own backfill of the job; each run is handed on as it ends.

The daemon runs it: when this is interrupted it goes on, and the UI shows it.
"""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Iterator, Sequence

from ...platform import pipelines
from ...platform.errors import ConfigError
from ...platform.partitions import Partition
from ...platform.pipelines import Pipeline
from ..engine import RunState
from .instance import state
from .partitions import PARTITION

POLL_SECONDS = 1
LOAD_SECONDS = 120  # the server tries again every ten seconds when a busy code server did not answer in time
UNREACHABLE = "Could not reach user code server"  # which does not run yet, or is busy
TAG = "dagster/backfill"
CODE = """
{ workspaceOrError { ... on Workspace { locationEntries { name loadStatus locationOrLoadError {
  ... on RepositoryLocation { repositories { name pipelines { name } } }
  ... on PythonError { message causes { message } }
} } } } }
"""
BACKFILL = """
mutation($backfill: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $backfill) {
  __typename
  ... on LaunchBackfillSuccess { backfillId }
  ... on PythonError { message }
  ... on PartitionKeysNotFoundError { message }
} }
"""
JOB = """
query($job: PipelineSelector!) { pipelineOrError(params: $job) { ... on Pipeline { tags { key value } } } }
"""
LAUNCH = """
mutation($run: ExecutionParams!) { launchRun(executionParams: $run) {
  __typename
  ... on LaunchRunSuccess { run { runId } }
  ... on PythonError { message }
} }
"""


def run(port: int, pipeline: Pipeline, partitions: Sequence[Partition]) -> Iterator[RunState]:
    """Run the partitions and wait for them: each run once it has ended. Raises ConfigError when Dagster refuses."""
    url = f"http://127.0.0.1:{port}"
    selector = _selector(url, pipeline)
    if partitions[0].start is None:
        return _follow_run(_launch(url, selector))
    started = _start(url, selector, partitions)
    print(f"  {url}/runs/b/{started}", flush=True)
    return _follow_backfill(started, len(partitions))


def problems(port: int) -> list[str]:
    """Why Dagster cannot run the project's pipelines: definitions that do not load, jobs that are missing."""
    try:
        jobs = _jobs(f"http://127.0.0.1:{port}", "Dagster is loading the project")
    except ConfigError as error:
        return [str(error)]
    own = [each.name for each in pipelines.all() if each.settings.orchestrator == "dagster"]
    return [f"no file in defs/ defines a job named {name}" for name in own if name not in jobs]


def _selector(url: str, pipeline: Pipeline) -> dict[str, str]:
    jobs = _jobs(url, "waiting until Dagster has loaded the project")
    if pipeline.name not in jobs:
        raise ConfigError(f"Dagster knows no job named {pipeline.name}: after adding one, make down and make up")
    location, repository = jobs[pipeline.name]
    return {"repositoryLocationName": location, "repositoryName": repository, "pipelineName": pipeline.name}


def _jobs(url: str, message: str) -> dict[str, tuple[str, str]]:
    """Location and repository of each job, once the server has loaded the project: one that merely answers knows none.

    Raises ConfigError when it cannot load it.
    """
    deadline, said = time.monotonic() + LOAD_SECONDS, False
    while True:
        answer = _ask(url, CODE)["workspaceOrError"].get("locationEntries") or []
        loaded = [(entry["name"], entry["locationOrLoadError"] or {}) for entry in answer]
        jobs = {
            job["name"]: (name, repository["name"])
            for name, location in loaded
            for repository in location.get("repositories", ())
            for job in repository["pipelines"]
        }
        failed = [_reason(location) for _, location in loaded if "message" in location]
        if jobs or any("repositories" in location for _, location in loaded):
            return jobs
        if time.monotonic() > deadline or any(UNREACHABLE not in reason for reason in failed):
            reason = failed[0] if failed else f"not loaded after {LOAD_SECONDS} s"
            raise ConfigError(f"Dagster cannot load the project ({reason}); see {state()}/code.log")
        if not said:
            print(message, flush=True)
            said = True
        time.sleep(POLL_SECONDS)


def _reason(error: dict) -> str:
    """The first line of what an error of the project was in the first place."""
    message = error["message"]
    if UNREACHABLE not in message:  # else what lies beneath is gRPC's
        message = [message, *(each["message"] for each in error["causes"])][-1]
    return message.strip().splitlines()[0]


def _start(url: str, selector: dict[str, str], partitions: Sequence[Partition]) -> str:
    """Ask for the backfill; returns its id."""
    job = selector["pipelineName"]
    repository = {name: value for name, value in selector.items() if name != "pipelineName"}
    wanted = {
        "selector": {"partitionSetName": f"{job}_partition_set", "repositorySelector": repository},
        "partitionNames": [partition.key for partition in partitions],
    }
    launched = _ask(url, BACKFILL, backfill=wanted)["launchPartitionBackfill"]
    if "backfillId" not in launched:
        raise ConfigError(f"Dagster refuses the backfill: {launched.get('message', launched['__typename'])}")
    return launched["backfillId"]


def _launch(url: str, selector: dict[str, str]) -> str:
    """Ask for a run of a job without partitions; returns its id."""
    from . import logs

    tags = _ask(url, JOB, job=selector)["pipelineOrError"]["tags"]
    wanted = {
        "selector": selector,
        "runConfigData": logs.CONSOLE,
        "mode": "default",
        "executionMetadata": {"tags": tags},
    }
    launched = _ask(url, LAUNCH, run=wanted)["launchRun"]
    if "run" not in launched:
        raise ConfigError(f"Dagster refuses the run: {launched.get('message', launched['__typename'])}")
    return launched["run"]["runId"]


def _follow_backfill(backfill: str, count: int) -> Iterator[RunState]:
    """The last run of each partition once it has ended; a run that was killed is followed by another one."""
    import dagster as dg

    from . import runs
    from .instance import opened

    shown: set[str] = set()
    with opened() as instance:
        while len(shown) < count:
            records = instance.get_run_records(dg.RunsFilter(tags={TAG: backfill}))  # the newest first
            latest = {record.dagster_run.tags[PARTITION]: record for record in reversed(records)}
            for key, record in sorted(latest.items()):
                if key not in shown and runs.has_ended_for_good(instance, record.dagster_run):
                    shown.add(key)
                    yield runs.as_state(instance, record)
            status = instance.get_backfill(backfill).status.value
            if len(shown) < count and status in ("FAILED", "CANCELED"):
                raise ConfigError(f"the backfill has ended as {status.lower()}; its page in Dagster's UI says why")
            if len(shown) < count:
                time.sleep(POLL_SECONDS)


def _follow_run(run_id: str) -> Iterator[RunState]:
    from . import runs
    from .instance import opened

    with opened() as instance:
        while True:
            _, group = instance.get_run_group(run_id)
            last = instance.get_run_record_by_id(max(group, key=lambda run: run.run_id != run_id).run_id)
            if runs.has_ended_for_good(instance, last.dagster_run):
                yield runs.as_state(instance, last)
                return
            time.sleep(POLL_SECONDS)


def _ask(url: str, query: str, **variables: object) -> dict:
    body = json.dumps({"query": query, "variables": variables}).encode()
    request = urllib.request.Request(f"{url}/graphql", body, {"Content-Type": "application/json"})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310  our own loopback address
            return json.load(answer)["data"]
    except OSError as error:
        raise ConfigError(f"Dagster's server does not answer at {url} ({error}): make down, then make up") from None
