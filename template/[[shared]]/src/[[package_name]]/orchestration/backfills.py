"""A backfill on an orchestrator's services: it shows each partition when its run ends, and the failures at the end."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ..platform import config, masking
from ..platform.errors import OK, PERMANENT
from ..platform.partitions import Partition
from ..platform.pipelines import Pipeline
from .engine import Engine


def run(engine: Engine, pipeline: Pipeline, partitions: Sequence[Partition]) -> int:
    """Run the partitions and wait for them; returns the exit code."""
    first, last, count = partitions[0], partitions[-1], len(partitions)
    print(f"{pipeline.name} {first} to {last} on {engine.id} ({config.load().env}): {count} partitions", flush=True)
    failed: dict[str, str] = {}
    published, can_be_repeated = 0, False
    try:
        for number, state in enumerate(engine.backfill(pipeline, partitions), start=1):
            if state.state == "success":
                published += 1
            else:
                failed[state.partition] = state.reason or state.state
                can_be_repeated |= state.state != "skipped"
            seconds = f"{state.seconds:7.1f} s" if state.seconds is not None else f"{'-':>7}  "
            print(f"  {state.partition:<{len(last.key)}}  {state.state:<10}{seconds}   {number} of {count}", flush=True)
    except KeyboardInterrupt:
        if engine.port:  # without a server, the runs were this command's
            print("\nthe runs continue; watch and stop them in the orchestrator's UI", file=sys.stderr)
        raise
    print(f"{published} of {count} partitions published")
    for key, reason in sorted(failed.items()):
        print(f"error: {pipeline.name} {key}: {masking.mask(reason)}", file=sys.stderr)
    if can_be_repeated:
        again = f"make backfill PIPELINE={pipeline.name} FROM={first} TO={last} ONLY_MISSING=1"
        print(f"when the cause is solved: {again}", file=sys.stderr)
    return PERMANENT if failed else OK
