"""Alerts: a failed or late run, or a request for a decision, is reported once to each address in ``[alerts]``, Apprise
URLs kept as secrets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Literal

from . import claims, config, history, logging, masking, openlineage, outgoing, secrets
from .runs import Run, current_run

SEND_SECONDS = 20  # for one delivery as a whole, the start of its process included

Kind = Literal["failed", "late", "provider", "approval", "reminder", "expired"]
# Words of the title, and the section of docs/runbook.md.
KINDS: dict[str, tuple[str, str]] = {
    "failed": ("failed", "a-failed-run"),
    "late": ("is late", "a-missed-sla"),
    "provider": ("has a provider that does not deliver", "a-late-input"),
    "approval": ("waits for a decision", "a-decision"),
    "reminder": ("still waits for a decision", "a-decision"),
    "expired": ("was not decided in time", "a-decision"),
}
RECORDED = ("failed", "late")  # kinds that the history keeps and the report shows


@dataclass(frozen=True)
class Incident:
    """What an alert is about. error: class of the error. run: that of the run context by default.

    facts: further lines by name, which hold no secret.
    """

    kind: Kind
    pipeline: str
    partition: str
    step: str = ""
    error: str = ""
    reason: str = ""
    run: Run = field(default_factory=Run)
    facts: Mapping[str, str] = field(default_factory=dict)


def report(incident: Incident) -> bool:
    """Report an incident; true when it was delivered, now or before, false when there is no address or no receiver.

    Sent once per environment, pipeline, partition, run and kind, however many processes report it; a delivery that
    failed may be tried again. Without a run nothing distinguishes one incident from the next, so it is always sent.
    Never raises: a run that failed must not fail for a second reason.
    """
    try:
        settings = config.load()
        logging.configure(settings)
        from . import report as report_pages  # which reads the pipelines

        run = incident.run if incident.run.id else current_run()
        key = f"{settings.env} {incident.pipeline} {incident.partition} {run.id} {incident.kind}" if run.id else ""
        if incident.kind in RECORDED:
            _record_once(settings, key, incident, run)
        title, body = _text(settings, incident, run)
        references = settings.for_pipeline(incident.pipeline).alerts.urls
        delivered = [send_once(settings, reference, key, title, body) for reference in references]
        if incident.kind in RECORDED:
            report_pages.refresh(settings, incident.pipeline)
    except Exception as problem:  # a secret, the receiver's library
        masking.scrub(problem)
        log = logging.get_logger()
        log.exception("alert not sent", pipeline=incident.pipeline, partition=incident.partition)
        return False
    return bool(delivered) and all(delivered)


def _record_once(settings: config.Settings, key: str, incident: Incident, run: Run) -> None:
    """Add the incident to the history and to the lineage; the first report of a run knows the most about it."""
    with claims.hold(settings, f"{key} in the history") if key else nullcontext(claims.Claim()) as claim:
        if not claim.done:
            _record(settings, incident, run)
            if incident.kind == "failed":
                openlineage.failed(incident.pipeline, incident.partition, run, incident.reason)
            claim.done = True


def _record(settings: config.Settings, incident: Incident, run: Run) -> None:
    reason = masking.mask(incident.reason)
    fact = history.Fact(
        incident.kind, incident.partition, incident.step, run.owner[1], error=incident.error, reason=reason
    )
    history.record(settings, incident.pipeline, fact)


def _text(settings: config.Settings, incident: Incident, run: Run) -> tuple[str, str]:
    """Title and body. Only the reason is free text: masks would damage names, partitions and links."""
    from . import report as report_pages

    words, section = KINDS[incident.kind]
    facts = {
        "pipeline": incident.pipeline,
        "partition": incident.partition,
        "step": incident.step,
        "error": incident.error,
        "reason": masking.mask(incident.reason),
        **incident.facts,
        "run": re.sub(r"(?<=://)[^/@\s]*@", "", run.url) or run.id,  # a link without its login
        "report": report_pages.address(settings, incident.pipeline),
        "runbook": f"{settings.for_pipeline(incident.pipeline).alerts.runbook_url}#{section}",
    }
    body = "\n".join(f"{name}: {fact}" for name, fact in facts.items() if fact)
    title = f"{incident.pipeline} {incident.partition} {words} ({settings.env})"
    return title, body


def send_once(settings: config.Settings, reference: str, key: str, title: str, body: str) -> bool:
    """Send a message to an address, once for each key; without a key, always.

    Returns whether it was delivered, now or before.
    """
    url = secrets.resolve(reference, settings.secrets)
    if not key:
        return _send(url, title, body)
    receiver = sha256(reference.encode()).hexdigest()[:8]  # each has its own claim: one may be down, and be tried again
    with claims.hold(settings, f"{key} to {receiver}") as claim:
        claim.done = claim.done or _send(url, title, body)
        return claim.done


def _send(url: str, title: str, body: str) -> bool:
    problem = outgoing.deliver(url, title, body, SEND_SECONDS)
    if problem:
        logging.get_logger().error("alert not delivered", title=title, reason=problem)
    return not problem
