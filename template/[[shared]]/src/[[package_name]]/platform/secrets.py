"""Secrets: configuration holds references, the backend holds the values.

A value of the form ``secret:NAME`` is looked up in the backend that ``[secrets]`` names; any other is taken as it is.
Every secret that was read is masked from then on in everything this process writes.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from . import masking, outgoing
from .config import REFERENCE, SECRET_PREFIX, load, project_root
from .errors import CONFIGURATION, ConfigError, SecretError, SecretsUnavailable

if TYPE_CHECKING:
    from .config import Secrets, Settings

READ_SECONDS = 60  # for one secret, with the repeated calls that a vendor's client makes
_verified: set[tuple[str, ...]] = set()


def resolve(value: str, secrets: Secrets) -> str:
    """The secret that a reference names, or the value itself when it is not a reference.

    Raises SecretError when it is missing or may not be read, SecretsUnavailable when the backend does not answer; both
    name the reference, and neither shows a value.
    """
    if not value.startswith(REFERENCE):
        return value
    name = value.removeprefix(REFERENCE)
    if not secrets.location and secrets.backend in PLACES:
        place = PLACES[secrets.backend]
        raise SecretError(f"{value} cannot be looked up: write {place} into config/ as [secrets] location")
    try:
        secret = outgoing.within(READ_SECONDS, lambda: BACKENDS[secrets.backend](name, secrets))
    except Exception as error:  # noqa: BLE001  each vendor's client has errors of its own
        problem = f"cannot read {value} from {secrets.backend}: {type(error).__name__}"
        if _is_outage(error):
            raise SecretsUnavailable(f"{problem}; it does not answer") from None
        raise SecretError(f"{problem}; check its name, and that this process may read it") from None
    if not secret:
        remedy = REMEDIES[secrets.backend].format(variable=_variable(name))
        raise SecretError(f"{value} is empty in {secrets.backend}: {remedy}")
    masking.add(secret, value)
    return secret


def verify(settings: Settings) -> None:
    """Read every secret that the configuration refers to, so that a missing one stops a run before any work.

    Reads them once per process. Raises as `resolve`.
    """
    needed = tuple(sorted(set(references(settings.model_dump()))))
    key = (settings.env, *settings.secrets.model_dump().values(), *needed)
    if key in _verified:
        return
    for reference in needed:
        resolve(reference, settings.secrets)
    _verified.add(key)


def references(value: Any) -> Iterator[str]:
    """All references within nested dictionaries and lists."""
    if isinstance(value, str) and value.startswith(REFERENCE):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from references(each)
    elif isinstance(value, list):
        for each in value:
            yield from references(each)


# What the clients raise when the backend cannot be reached or is out of order; each by the name of its class.
OUTAGES = {
    *("EndpointConnectionError", "ConnectTimeoutError", "ReadTimeoutError", "ConnectionClosedError"),  # AWS
    *("ServiceUnavailable", "InternalServerError", "DeadlineExceeded", "RetryError", "TooManyRequests"),  # Google
    *("ServiceRequestError", "ServiceResponseError"),  # Azure
    *("VaultDown", "BadGateway", "RateLimitExceeded"),  # Vault
    *("ConnectionError", "Timeout", "TimeoutError", "TransportError"),  # the HTTP libraries beneath
}


def _is_outage(error: Exception) -> bool:
    answer = getattr(error, "response", None)
    status = getattr(error, "status_code", None)
    if isinstance(answer, dict):
        status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode")
    if isinstance(status, int):
        return status == 429 or status >= 500
    return any(parent.__name__ in OUTAGES for parent in type(error).__mro__)


def _variable(name: str) -> str:
    return SECRET_PREFIX + name.replace("-", "_").upper()


def _environment(name: str, secrets: Secrets) -> str:
    """A variable, else a file of that name in the folder ``location`` (as containers mount them), else .env."""
    if _variable(name) in os.environ:
        return os.environ[_variable(name)]
    mounted = Path(project_root(), secrets.location, name)
    if secrets.location and mounted.is_file():
        return mounted.read_text(encoding="utf-8").strip()
    from dotenv import dotenv_values

    return dotenv_values(project_root() / ".env").get(_variable(name)) or ""


def _aws_secrets_manager(name: str, secrets: Secrets) -> str:
    import boto3  # only where this backend is used

    # Region and credentials as for every AWS client: from its variables, its files or the machine's role.
    chosen = {"region_name": secrets.location, "endpoint_url": secrets.endpoint}
    client = boto3.client("secretsmanager", **{key: value for key, value in chosen.items() if value})
    return client.get_secret_value(SecretId=name)["SecretString"]


def _google_secret_manager(name: str, secrets: Secrets) -> str:
    from google.cloud import secretmanager

    options = {"api_endpoint": secrets.endpoint} if secrets.endpoint else None
    client = secretmanager.SecretManagerServiceClient(transport="rest", client_options=options)
    path = f"projects/{secrets.location}/secrets/{name}/versions/latest"
    return client.access_secret_version(name=path).payload.data.decode()


def _azure_key_vault(name: str, secrets: Secrets) -> str:
    from azure.identity import DefaultAzureCredential
    from azure.keyvault.secrets import SecretClient

    # An emulator on this machine cannot carry a name below the domain that its tokens are for.
    local = urlsplit(secrets.location).hostname in ("localhost", "127.0.0.1")
    client = SecretClient(secrets.location, DefaultAzureCredential(), verify_challenge_resource=not local)
    return client.get_secret(name).value


def _hashicorp_vault(name: str, secrets: Secrets) -> str:
    import hvac

    # Address and token come from VAULT_ADDR and VAULT_TOKEN, as for every Vault client.
    data = hvac.Client(url=secrets.endpoint or None).secrets.kv.v2.read_secret_version(
        path=name, mount_point=secrets.location or "secret", raise_on_deleted_version=True
    )
    return data["data"]["data"]["value"]


BACKENDS = {
    "environment": _environment,
    "aws_secrets_manager": _aws_secrets_manager,
    "google_secret_manager": _google_secret_manager,
    "azure_key_vault": _azure_key_vault,
    "hashicorp_vault": _hashicorp_vault,
}
# What `location` is, for the backends that cannot be found without it.
PLACES = {"google_secret_manager": "the id of the Google Cloud project", "azure_key_vault": "the URL of the vault"}
REMEDIES = {
    "environment": "set the variable {variable}, or write it into .env on a laptop",
    "aws_secrets_manager": "store a value in AWS Secrets Manager",
    "google_secret_manager": "add a version in Google Secret Manager",
    "azure_key_vault": "store a value in Azure Key Vault",
    "hashicorp_vault": "store it under the key `value` in Vault",
}


def main() -> int:
    """Say of every reference in the configuration whether it can be read: `make secrets`.

    A warning names those that are too weak to be masked everywhere.
    """
    settings = load()
    names = sorted(set(references(settings.model_dump())))
    print(f"{len(names)} secrets of {settings.env} in {settings.secrets.backend}", flush=True)
    unread = 0
    for reference in names:
        try:
            resolve(reference, settings.secrets)
            print(f"  {reference}   readable", flush=True)
        except (SecretError, SecretsUnavailable) as error:
            unread += 1
            print(f"error: {error}", file=sys.stderr)
    return CONFIGURATION if unread else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ConfigError as error:
        sys.exit(f"error: {error}")
