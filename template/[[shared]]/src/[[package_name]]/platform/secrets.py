"""Secrets: configuration holds references, the backend holds the values.

A value of the form ``secret:NAME`` is looked up in the backend that ``[secrets]`` names; any other is taken as it is.
Backends: environment variable APP_SECRET_NAME, AWS Secrets Manager, Google Secret Manager, Azure Key Vault, Vault.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .config import Secrets

REFERENCE = "secret:"


class SecretError(Exception):
    """A secret cannot be read; the message names the reference, never a value."""


def resolve(value: str, secrets: Secrets) -> str:
    """The secret a reference stands for, or the value itself when it is none."""
    if not value.startswith(REFERENCE):
        return value
    name = value.removeprefix(REFERENCE)
    try:
        found = BACKENDS[secrets.backend](name, secrets.location)
    except Exception as error:  # noqa: BLE001  each vendor's client has errors of its own
        raise SecretError(
            f"cannot read {value} from {secrets.backend}: {type(error).__name__}; check the name and the permission"
        ) from None
    if not found:
        remedy = REMEDIES[secrets.backend].format(name=_variable(name))
        raise SecretError(f"{value} is empty in {secrets.backend}: {remedy}")
    return found


def _variable(name: str) -> str:
    return "APP_SECRET_" + name.replace("-", "_").upper()


def _environment(name: str, location: str) -> str:
    return os.environ.get(_variable(name), "")


def _aws_secrets_manager(name: str, location: str) -> str:
    import boto3  # only where this backend is used

    client = boto3.client("secretsmanager", **({"region_name": location} if location else {}))
    return client.get_secret_value(SecretId=name)["SecretString"]


def _google_secret_manager(name: str, location: str) -> str:
    from google.cloud import secretmanager

    path = f"projects/{location}/secrets/{name}/versions/latest"
    return secretmanager.SecretManagerServiceClient().access_secret_version(name=path).payload.data.decode()


def _azure_key_vault(name: str, location: str) -> str:
    from azure.identity import DefaultAzureCredential
    from azure.keyvault.secrets import SecretClient

    return SecretClient(vault_url=location, credential=DefaultAzureCredential()).get_secret(name).value


def _hashicorp_vault(name: str, location: str) -> str:
    import hvac

    # Address and token come from VAULT_ADDR and VAULT_TOKEN, as for every Vault client.
    data = hvac.Client().secrets.kv.v2.read_secret_version(
        path=name, mount_point=location or "secret", raise_on_deleted_version=True
    )
    return data["data"]["data"]["value"]


BACKENDS = {
    "environment": _environment,
    "aws_secrets_manager": _aws_secrets_manager,
    "google_secret_manager": _google_secret_manager,
    "azure_key_vault": _azure_key_vault,
    "hashicorp_vault": _hashicorp_vault,
}
REMEDIES = {
    "environment": "set the variable {name}",
    "aws_secrets_manager": "store a value in AWS Secrets Manager",
    "google_secret_manager": "add a version in Google Secret Manager",
    "azure_key_vault": "store a value in Azure Key Vault",
    "hashicorp_vault": "store it under the key `value` in Vault",
}
