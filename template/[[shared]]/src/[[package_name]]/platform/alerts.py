"""Alerts: a failed or late run is reported once to each address in ``[alerts]``, Apprise URLs kept as secrets."""

from __future__ import annotations

from hashlib import sha256
from typing import Literal

from . import claims, config, logging, masking, secrets, steps

Kind = Literal["failed", "late"]
# Words of the title, and the section of docs/runbook.md.
KINDS: dict[str, tuple[str, str]] = {"failed": ("failed", "a-failed-run"), "late": ("is late", "a-missed-sla")}


def report(
    kind: Kind,
    *,
    pipeline: str,
    partition: str,
    step: str = "",
    error: str = "",
    reason: str = "",
    run_id: str = "",
    run_url: str = "",
) -> bool:
    """Report an incident; true when it was delivered, now or before, false when there is no address or no receiver.

    Sent once per environment, pipeline, partition, run and kind, however many processes report it; a delivery that
    failed may be tried again. Run and its address are taken from the run context where they are not given; without a
    run there is nothing to tell one incident from the next, so it is always sent.
    error: class of the error. Never raises: a run that failed must not fail for a second reason.
    """
    try:
        settings = config.load()
        logging.configure(settings)
        run = steps.current_run()
        run_id, run_url = run_id or run.id, run_url or run.url
        title, body = _text(settings, kind, pipeline, partition, step, error, reason, run_id, run_url)
        incident = f"{settings.env} {pipeline} {partition} {run_id} {kind}" if run_id else ""
        references = settings.for_pipeline(pipeline).alerts.urls
        delivered = [_send_once(settings, reference, incident, title, body) for reference in references]
    except Exception as problem:  # noqa: BLE001  a secret, the receiver's library
        masking.scrub(problem)
        logging.get_logger().exception("alert not sent", pipeline=pipeline, partition=partition)
        return False
    return bool(delivered) and all(delivered)


def run_failed(pipeline: str, partition: str, reason: str, run_url: str = "") -> bool:
    """Report a failed run; see `report`."""
    return report("failed", pipeline=pipeline, partition=partition, reason=reason, run_url=run_url)


def run_late(pipeline: str, partition: str, reason: str, run_url: str = "") -> bool:
    """Report a run that has missed its SLA and goes on; see `report`."""
    return report("late", pipeline=pipeline, partition=partition, reason=reason, run_url=run_url)


def _text(
    settings: config.Settings,
    kind: Kind,
    pipeline: str,
    partition: str,
    step: str,
    error: str,
    reason: str,
    run_id: str,
    run_url: str,
) -> tuple[str, str]:
    words, section = KINDS[kind]
    facts = {
        "pipeline": pipeline,
        "partition": partition,
        "step": step,
        "error": error,
        "reason": reason,
        "run": run_url or run_id,
        "runbook": f"{settings.for_pipeline(pipeline).alerts.runbook_url}#{section}",
    }
    body = "\n".join(f"{name}: {fact}" for name, fact in facts.items() if fact)
    return masking.mask(f"{pipeline} {partition} {words} ({settings.env})"), masking.mask(body)


def _send_once(settings: config.Settings, reference: str, incident: str, title: str, body: str) -> bool:
    url = secrets.resolve(reference, settings.secrets)
    if not incident:
        return _send(url, title, body)
    receiver = sha256(reference.encode()).hexdigest()[:8]  # each has its own claim: one may be down, and be tried again
    with claims.hold(settings, f"{incident} to {receiver}") as claim:
        claim.done = claim.done or _send(url, title, body)
        return claim.done


def _send(url: str, title: str, body: str) -> bool:
    import apprise  # loads hundreds of services, and only a failure needs it

    receiver = apprise.Apprise()
    delivered = receiver.add(url) and receiver.notify(body, title=title, body_format=apprise.NotifyFormat.TEXT)
    if not delivered:
        logging.get_logger().error("alert not delivered", title=title)
    return bool(delivered)
