"""Reports of runs that failed or are late. In the cloud, rules and machines start this as a container:
``python -m <package>.orchestration.step_functions.alerts failed|late <ARN of the execution>``.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from ...platform import alerts, config, history, logging
from ...platform.errors import TRANSIENT
from ...platform.runs import Run
from . import ENGINE


def incident(facts: dict[str, Any], error: str = "", reason: str = "") -> alerts.Incident:
    """What is reported of an execution that failed. facts: as `describe_execution` gives them.

    error, reason: of the step that failed, where they are known; else they are what the machines say.
    """
    given = json.loads(facts["input"])
    step, name, cause = "", facts.get("error", ""), facts.get("cause", "")
    try:
        child = json.loads(cause)  # a machine that a state of this one has started
        handed_on = child["Input"] if isinstance(child["Input"], dict) else json.loads(child["Input"])
        step, name, cause = handed_on["step"], child["Error"], child["Cause"]
    except (ValueError, KeyError, TypeError):
        pass
    status = facts["status"]
    return alerts.Incident(
        "failed",
        given["pipeline"],
        given["partition"],
        step=step,
        error=name if name == "TimeoutError" else error or name or status,
        reason=cause if name == "TimeoutError" else reason or cause or f"the execution has ended as {status}",
        run=_run(facts),
    )


def failed(facts: dict[str, Any]) -> alerts.Incident:
    """As `incident`, with what the history says of the step that failed last."""
    made = incident(facts)
    known = [
        fact
        for fact in history.read(config.load(), made.pipeline)
        if fact.kind == history.STEP and fact.run == facts["name"] and fact.step == made.step and fact.error
    ]
    return incident(facts, known[-1].error, known[-1].reason) if known else made


def late(facts: dict[str, Any]) -> alerts.Incident:
    """What is reported of an execution that still runs after its SLA."""
    from ...platform import pipelines

    given = json.loads(facts["input"])
    seconds = pipelines.get(given["pipeline"]).settings.sla_seconds
    reason = f"not published within {seconds:,.0f} s; the run continues"
    return alerts.Incident("late", given["pipeline"], given["partition"], reason=reason, run=_run(facts))


def _run(facts: dict[str, Any]) -> Run:
    return Run(facts["name"], engine=ENGINE.id, url=console_url(facts["executionArn"]))


def console_url(arn: str) -> str:
    """Where AWS shows an execution; empty for one of the emulator."""
    from . import cloud

    if not cloud.is_named():
        return ""
    region = arn.split(":")[3]
    return f"https://{region}.console.aws.amazon.com/states/home?region={region}#/v2/executions/details/{arn}"


def main(kind: str, arn: str, facts: str = "") -> int:
    """Report an execution. facts: as JSON, where nobody can be asked. Returns the exit code of this command."""
    from . import cloud

    logging.configure()
    known = json.loads(facts) if facts else cloud.describe(arn)
    made = {"failed": failed, "late": late}[kind](known)
    delivered = alerts.report(made)
    return 0 if delivered or not config.load().for_pipeline(made.pipeline).alerts.urls else TRANSIENT


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
