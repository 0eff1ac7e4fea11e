"""Secrets backends on this machine: AWS as a moto server, the others as their documented HTTP API over a dictionary.

Each has `stored` (secrets by name), `forbidden` (names that are refused) and `variables`, what a process sets to reach
it with the vendor's own client.
"""

from __future__ import annotations

import base64
import json
import ssl
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path

import boto3
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

HOST = "127.0.0.1"


class HttpBackend:
    """A backend that answers GET requests: `answer` gives status, headers and JSON of one."""

    def __init__(self, folder: Path) -> None:
        self.stored: dict[str, str] = {}
        self.forbidden: set[str] = set()
        backend = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                status, headers, content = backend.answer(self.path, self.headers)
                body = json.dumps(content).encode()
                self.send_response(status)
                for name, value in {"Content-Type": "application/json", "Content-Length": len(body), **headers}.items():
                    self.send_header(name, str(value))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                """Keep the tests' output clean."""

        self.server = ThreadingHTTPServer((HOST, 0), Handler)
        self.port = self.server.server_port
        self.url = f"http://{HOST}:{self.port}"
        self.prepare(folder)
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def prepare(self, folder: Path) -> None:
        """Write what clients need into the folder."""

    def answer(self, path: str, headers) -> tuple[int, dict[str, str], dict]:
        raise LookupError(path)

    def stop(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def find(self, name: str) -> tuple[int, str]:
        """Status and value of a secret."""
        if name in self.forbidden:
            return 403, ""
        return (200, self.stored[name]) if name in self.stored else (404, "")


class Vault(HttpBackend):
    """https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2"""

    @property
    def variables(self) -> dict[str, str]:
        return {"VAULT_ADDR": self.url, "VAULT_TOKEN": "a-token"}

    def answer(self, path, headers):
        prefix = "/v1/secret/data/"
        if headers["X-Vault-Token"] != "a-token" or not path.startswith(prefix):
            return 403, {}, {"errors": ["permission denied"]}
        status, value = self.find(path.removeprefix(prefix))
        if status != 200:
            return status, {}, {"errors": ["permission denied"] if status == 403 else []}
        return 200, {}, {"data": {"data": {"value": value}, "metadata": {"version": 1, "deletion_time": ""}}}


class GoogleSecretManager(HttpBackend):
    """https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets.versions/access"""

    def prepare(self, folder):
        # The key of a service account; its client signs a token with it and asks nobody.
        self.key = folder / "service-account.json"
        account = {
            "type": "service_account",
            "project_id": "a-project",
            "private_key_id": "1",
            "private_key": _pem(rsa.generate_private_key(65537, 2048)),
            "client_email": "flights@a-project.iam.gserviceaccount.com",
            "token_uri": f"{self.url}/token",
        }
        self.key.write_text(json.dumps(account))

    @property
    def variables(self) -> dict[str, str]:
        return {
            "GOOGLE_APPLICATION_CREDENTIALS": str(self.key),
            "APP_SECRETS__LOCATION": "a-project",
            "APP_SECRETS__ENDPOINT": self.url,
        }

    def answer(self, path, headers):
        prefix, suffix = "/v1/projects/a-project/secrets/", "/versions/latest:access"
        path = path.split("?")[0]
        if not headers["Authorization"].startswith("Bearer ") or not path.startswith(prefix):
            return 401, {}, {"error": {"code": 401, "message": "no", "status": "UNAUTHENTICATED"}}
        name = path.removeprefix(prefix).removesuffix(suffix)
        status, value = self.find(name)
        if status != 200:
            word = {403: "PERMISSION_DENIED", 404: "NOT_FOUND"}[status]
            return status, {}, {"error": {"code": status, "message": f"{name}: {word}", "status": word}}
        return 200, {}, {"name": path, "payload": {"data": base64.b64encode(value.encode()).decode()}}


class AzureKeyVault(HttpBackend):
    """https://learn.microsoft.com/rest/api/keyvault/secrets/get-secret, with the token of a managed identity

    Key Vault's client insists on TLS, so this has a certificate of its own.
    """

    def prepare(self, folder):
        key, certificate = _certificate()
        self.certificate = folder / "certificate.pem"
        self.certificate.write_text(certificate)
        (folder / "key.pem").write_text(key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, folder / "key.pem")
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = self.url.replace("http:", "https:")

    @property
    def variables(self) -> dict[str, str]:
        return {
            "APP_SECRETS__LOCATION": self.url,
            "IDENTITY_ENDPOINT": f"{self.url}/identity",
            "IDENTITY_HEADER": "a-header",
            "REQUESTS_CA_BUNDLE": str(self.certificate),
        }

    def answer(self, path, headers):
        path = path.split("?")[0]
        if path == "/identity":
            expires = str(int(time.time()) + 3600)
            return 200, {}, {"access_token": "a-token", "expires_on": expires, "token_type": "Bearer"}
        if headers["Authorization"] != "Bearer a-token":
            tenant = "https://login.microsoftonline.com/00000000-0000-0000-0000-000000000000"
            challenge = f'Bearer authorization="{tenant}", resource="https://vault.azure.net"'
            return 401, {"WWW-Authenticate": challenge}, {"error": {"code": "Unauthorized", "message": "no token"}}
        name = path.removeprefix("/secrets/").strip("/")
        status, value = self.find(name)
        if status != 200:
            word = {403: "Forbidden", 404: "SecretNotFound"}[status]
            return status, {}, {"error": {"code": word, "message": f"{name}: {word}"}}
        return 200, {}, {"value": value, "id": f"{self.url}/secrets/{name}/1", "attributes": {"enabled": True}}


class AwsSecretsManager:
    """moto's server. Once it enforces permissions, nobody has any."""

    def __init__(self, folder: Path, port: int) -> None:
        self.stored = AwsSecrets(self)
        self.url = f"http://{HOST}:{port}"
        command = [Path(sys.executable).with_name("moto_server"), "-H", HOST, "-p", str(port)]
        with (folder / "moto.log").open("w") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        for _ in range(300):
            try:
                requests.get(f"{self.url}/moto-api/", timeout=2)
                return
            except requests.ConnectionError:
                assert self.process.poll() is None, (folder / "moto.log").read_text()
                time.sleep(0.1)
        raise AssertionError("moto's server did not answer within 30 s")

    @property
    def variables(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL_SECRETS_MANAGER": self.url,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "eu-central-1",
            "AWS_MAX_ATTEMPTS": "1",
        }

    @property
    def forbidden(self) -> set[str]:
        return set()

    @forbidden.setter
    def forbidden(self, names: set[str]) -> None:
        unchecked_requests = "0" if names else "1000000"
        requests.post(f"{self.url}/moto-api/reset-auth", data=unchecked_requests, timeout=5).raise_for_status()

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=30)


class AwsSecrets(dict):
    """Secrets by name, stored through AWS's own client."""

    def __init__(self, backend: AwsSecretsManager) -> None:
        self.backend = backend

    @property
    def client(self):
        return boto3.client(
            "secretsmanager",
            endpoint_url=self.backend.url,
            region_name="eu-central-1",
            aws_access_key_id="testing",
            aws_secret_access_key="testing",  # noqa: S106  moto's
        )

    def __setitem__(self, name: str, value: str) -> None:
        try:
            self.client.create_secret(Name=name, SecretString=value)
        except self.client.exceptions.ResourceExistsException:
            self.client.put_secret_value(SecretId=name, SecretString=value)  # a new version

    def __delitem__(self, name: str) -> None:
        self.client.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)


def _pem(key: rsa.RSAPrivateKey) -> str:
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


def _certificate() -> tuple[str, str]:
    """Key and self-signed certificate for 127.0.0.1."""
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(HOST))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    return _pem(key), certificate.public_bytes(serialization.Encoding.PEM).decode()
