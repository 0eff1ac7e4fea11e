"""What `make approvals` calls in the cloud: the address that an execution has left when it waits for a decision."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ...platform import config
from ...platform.errors import ConfigError
from . import ENGINE

if TYPE_CHECKING:
    from ...platform.decisions import Request

STORAGE = "https://storage.googleapis.com/storage/v1"
SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
SECONDS = 30  # for an answer
GONE = (404, 410)


class Place(config.Section):
    """``[orchestrators.gcp_workflows]``. lock_bucket: of the environment in the cloud; empty for this machine."""

    lock_bucket: str = ""


def settings() -> Place:
    """The settings of this environment. Raises ConfigError, naming the key, when they cannot be used."""
    return config.orchestrator(ENGINE.id, Place)


def decided(request: Request) -> None:
    """Wake the execution that waits for this decision. Does nothing when it has gone on, or is of this machine.

    Raises ConfigError when Google refuses or does not answer: the execution then looks by itself within the hour.
    """
    import requests
    from google.auth.exceptions import GoogleAuthError

    bucket = settings().lock_bucket
    if not bucket:
        return
    name = quote(f"decision.{request.pipeline}.{request.partition}", safe="")
    try:
        session = _session()
        known = session.get(f"{STORAGE}/b/{bucket}/o/{name}", params={"alt": "media"}, timeout=SECONDS)
        answers = [known]
        if known.ok:
            answers.append(session.post(known.json()["url"], json={}, timeout=SECONDS))
    except (GoogleAuthError, requests.RequestException) as error:
        raise ConfigError(f"Google cannot be asked: {error}") from None
    if not answers[-1].ok and answers[-1].status_code not in GONE:
        raise ConfigError(f"Google refuses with {answers[-1].status_code}: {answers[-1].reason}")


def _session() -> Any:
    """Requests with the credentials of this machine: ``gcloud auth application-default login``."""
    import google.auth
    from google.auth.transport.requests import AuthorizedSession

    credentials, _ = google.auth.default(scopes=SCOPES)
    return AuthorizedSession(credentials)
