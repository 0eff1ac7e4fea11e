"""Values that open nothing, beside some that do."""

import requests

MODE = {"token": "anonymous", "credentials": "google_default"}
LOOKUP = {"password": "warehouse_password_v3", "secret": "marts-credentials", "api_key": "billing.api-key"}
KEY_FILE = {"private_key": "keys/loader.p8"}
LOCAL = {"user": "loader", "password": "loader"}
REAL = {"user": "loader", "password": "Qz7-winter"}  # expect: plaintext-secret
HEADERS = {"Authorization": "Bearer 7c0e44b19fd2a86351e0"}  # expect: plaintext-secret
SHOWN = {"Authorization": "Bearer YOUR_TOKEN_GOES_HERE"}
SAMPLE_KEY = "AKIAIOSFODNN7EXAMPLE"
COUNTED = "ghp_0123456789abcdefghijklmnopqrstuvwxyz"
JWT_SAMPLE = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIn0.dozjgNryP4J3jVmNHl0w5N"
ODBC = "DRIVER={x};SERVER=db.acme;UID=loader;PWD=Wq82hf-21"  # expect: password-in-url
PEM = "-----BEGIN PRIVATE KEY-----\nnot one\n-----END PRIVATE KEY-----"
FERNET = {"fernet_key": "Zk3vQ9xY7bN1mR5tW8uL2pC6dF4gH0jK3sAe5MhTq8U="}  # expect: plaintext-secret


def is_key(text: str) -> bool:
    return "-----BEGIN RSA PRIVATE KEY-----" in text


def call() -> None:
    requests.get("https://api.acme", headers=HEADERS, timeout=9)
