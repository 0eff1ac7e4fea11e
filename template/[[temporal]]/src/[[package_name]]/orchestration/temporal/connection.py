"""The connection to Temporal's server, from ``[orchestrators.temporal]``: one elsewhere, or that of `make up`."""

from __future__ import annotations

import atexit
import dataclasses
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Self

from pydantic import model_validator
from temporalio.client import Client
from temporalio.converter import DataConverter, DefaultFailureConverterWithEncodedAttributes
from temporalio.runtime import Runtime, TelemetryConfig
from temporalio.service import RPCError, RPCStatusCode, TLSConfig

from ...platform import config, secrets
from ...platform.errors import ConfigError

GRPC_BELOW_UI = 1000  # as `temporal server start-dev` chooses its ports
SETTLE_SECONDS = 0.3  # a thread of the SDK that meets the end of the interpreter crashes the process
CLOUD = ".tmprl.cloud:"


class Connection(config.Section):
    """address: ``host:port`` of a server elsewhere; empty for the one that `make up` starts on this machine.

    Certificates and keys are references to secrets in PEM form; with them or an API key the connection uses TLS.
    encryption_key: reference to a secret of 32 bytes in base64; with several, the first encrypts and all decrypt.
    ui_url: where people find the runs of a server elsewhere.
    """

    address: str = ""
    namespace: str = "default"
    tls: bool = False
    api_key: config.Reference = ""
    client_certificate: config.Reference = ""
    client_key: config.Reference = ""
    server_certificate: config.Reference = ""
    encryption_key: config.Reference | list[config.Reference] = ""
    ui_url: str = ""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if bool(self.client_certificate) != bool(self.client_key):
            raise ValueError("client_certificate and client_key belong together: write both or none")
        if self.api_key and self.client_key:
            raise ValueError("write an API key, or a client certificate and its key, not both")
        return self

    @property
    def used_namespace(self) -> str:
        """That of the server elsewhere; the server of this machine has one for itself."""
        return self.namespace if self.address else "default"

    @property
    def encryption_keys(self) -> list[str]:
        """References to the keys of the payloads."""
        given = [self.encryption_key] if isinstance(self.encryption_key, str) else self.encryption_key
        return [reference for reference in given if reference]


def settings() -> Connection:
    """The connection of this environment. Raises ConfigError, naming the key, when it cannot be used."""
    return config.orchestrator("temporal", Connection)


def local_address() -> str:
    """Where the server of `make up` answers on this machine."""
    from . import ENGINE

    return f"127.0.0.1:{ENGINE.port - GRPC_BELOW_UI}"


@contextmanager
def answering() -> Iterator[None]:
    """Raises ConfigError where the server stops to answer in the body."""
    try:
        yield
    except RPCError as error:
        if error.status is not RPCStatusCode.UNAVAILABLE:
            raise
        again = "what runs goes on when it is up again; then type the same command"
        raise ConfigError(f"Temporal's server does not answer any more: {again}") from None


@cache
def _settle_at_exit() -> None:
    atexit.register(time.sleep, SETTLE_SECONDS)


@cache
def _quiet() -> Runtime:
    """For commands, which say themselves what is wrong."""
    return Runtime(telemetry=TelemetryConfig(logging=None))


async def connect(address: str = "", *, runtime: Runtime | None = None, identity: str | None = None) -> Client:
    """A client of the configured server, or of the one at this address. Raises ConfigError when it does not answer."""
    chosen = settings()
    _settle_at_exit()
    elsewhere = {"tls": _tls(chosen), "api_key": _secret(chosen.api_key) or None} if chosen.address else {}
    address = address or chosen.address or local_address()
    try:
        return await Client.connect(
            address,
            namespace=chosen.used_namespace,
            data_converter=converter(chosen),
            runtime=runtime or _quiet(),
            identity=identity,
            **elsewhere,
        )
    except (RPCError, RuntimeError) as error:
        raise ConfigError(f"no Temporal server answers at {address}: {str(error).splitlines()[0]}") from None


def converter(chosen: Connection) -> DataConverter:
    """Encrypts what is handed between workflows and activities, and the text of errors, where there is a key."""
    if not chosen.encryption_keys:
        return DataConverter.default
    from .codec import Encryption

    return dataclasses.replace(
        DataConverter.default,
        payload_codec=Encryption([_secret(reference) for reference in chosen.encryption_keys]),
        failure_converter_class=DefaultFailureConverterWithEncodedAttributes,
    )


def run_url(workflow_id: str, run_id: str) -> str:
    """Where people see a run."""
    from . import ENGINE

    chosen = settings()
    base = chosen.ui_url.rstrip("/")
    if not base:
        is_cloud = CLOUD in chosen.address
        base = "https://cloud.temporal.io" if is_cloud else "" if chosen.address else f"http://127.0.0.1:{ENGINE.port}"
    return f"{base}/namespaces/{chosen.used_namespace}/workflows/{workflow_id}/{run_id}" if base else ""


@cache
def project() -> str:
    """Name of the project."""
    declared = tomllib.loads((config.load().root / "pyproject.toml").read_text(encoding="utf-8"))
    return declared["project"]["name"]


def _tls(chosen: Connection) -> bool | TLSConfig | None:
    if chosen.client_key or chosen.server_certificate:
        pem = {
            "client_cert": chosen.client_certificate,
            "client_private_key": chosen.client_key,
            "server_root_ca_cert": chosen.server_certificate,
        }
        return TLSConfig(**{name: _secret(reference).encode() for name, reference in pem.items() if reference})
    return True if chosen.tls or chosen.api_key else None


def _secret(reference: str) -> str:
    return secrets.resolve(reference, config.load().secrets)
