"""The models that dbt builds, as task runs: one for each, while dbt runs as a process of its own."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.states import Completed, Failed, State
from prefect.transactions import CommitMode, transaction

from ...platform.dbt import Node, Watcher

ENDED = Node("", "interrupted", message="dbt was ended before it was done")
_nodes: dict[str, Future[Node]] = {}


# It only shows what dbt does; the step around it is tried again, and ended at its own time-out.
# standards: allow prefect-no-retries -- a repeated view of a model would not build it again
@task(timeout_seconds=86_400, cache_policy=NO_CACHE, persist_result=False)
def _one(node_id: str) -> State:
    """Lasts as long as dbt works on the node, and ends as it does."""
    node = _nodes[node_id].result()
    if node.has_failed or node is ENDED:
        return Failed(message=node.message or node.status)
    return Completed(message=node.message or node.status)


@contextmanager
def as_task_runs() -> Iterator[Watcher]:
    """A watcher for a build: each model becomes a task run of its own, and so does each test that fails."""
    runs = []

    def watch(node: Node) -> None:
        if node.id not in _nodes and (node.has_failed or (node.kind == "model" and node.status == "started")):
            _nodes[node.id] = Future()
            runs.append(_one.with_options(name=node.name, task_run_name=node.name).submit(node.id))
        if node.id in _nodes and node.status != "started" and not _nodes[node.id].done():
            _nodes[node.id].set_result(node)

    # What dbt has built stays built, so a build that fails must not call its models rolled back.
    with transaction(commit_mode=CommitMode.EAGER):
        try:
            yield watch
        finally:
            for each in _nodes.values():
                if not each.done():
                    each.set_result(ENDED)
            for run in runs:
                run.wait()
            _nodes.clear()
