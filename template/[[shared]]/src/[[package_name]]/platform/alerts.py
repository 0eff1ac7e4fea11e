"""Alerts: a failed or late run is reported to the address in ``[alerts]``, an Apprise URL kept as a secret."""

from __future__ import annotations

from . import config, logging, secrets


def run_failed(pipeline: str, partition: str, reason: str, run_url: str = "") -> bool:
    """Report a failed run once; true when it was delivered, false when no address is set or delivery failed.

    Never raises for a receiver that is down: a run that failed must not fail for a second reason.
    """
    return _send(f"{pipeline} failed", pipeline, partition, reason, run_url)


def run_late(pipeline: str, partition: str, reason: str, run_url: str = "") -> bool:
    """Report a run that has missed its SLA and goes on; returns as `run_failed`."""
    return _send(f"{pipeline} is late", pipeline, partition, reason, run_url)


def _send(title: str, pipeline: str, partition: str, reason: str, run_url: str) -> bool:
    settings = config.load()
    url = secrets.resolve(settings.alerts.url, settings.secrets)
    if not url:
        return False
    import apprise  # loads hundreds of services, and only a failure needs it

    receiver = apprise.Apprise()
    body = "\n".join([reason, f"partition: {partition}", *([f"run: {run_url}"] if run_url else [])])
    text = apprise.NotifyFormat.TEXT
    delivered = receiver.add(url) and receiver.notify(body, title=f"{title} ({settings.env})", body_format=text)
    if not delivered:
        logging.get_logger().error("alert not delivered", pipeline=pipeline, partition=partition)
    return bool(delivered)
