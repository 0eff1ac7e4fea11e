"""Runs that wait for people leave an address in a table of Azure Storage, and `make approvals` calls it."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from ...platform.errors import ConfigError
from . import definitions
from .runner import Failed

if TYPE_CHECKING:
    from ...platform.decisions import Request

SCOPE = "https://storage.azure.com/.default"
HEADERS = {"Accept": "application/json;odata=nometadata", "x-ms-version": "2020-12-06"}
SECONDS = 30  # for an answer


def decided(request: Request) -> None:
    """Wake the run that waits for this decision. Does nothing when none waits, or when runs are those of this machine.

    Raises ConfigError when the table refuses or does not answer: the run then looks by itself within the hour.
    """
    table = definitions.place().decisions_table
    if not table:
        return
    allowed = HEADERS | {"Authorization": f"Bearer {_token()}"}
    key = request.partition
    mine = f"PartitionKey eq '{request.pipeline}' and RowKey ge '{key} ' and RowKey lt '{key}!'"
    try:
        rows = json.loads(_ask("GET", f"{table}()?{urlencode({'$filter': mine}, quote_via=quote)}", allowed))["value"]
        for row in rows:
            _wake(row["callBackUri"])
            name = quote(f"PartitionKey='{row['PartitionKey']}',RowKey='{row['RowKey']}'", safe="=',")
            _ask("DELETE", f"{table}({name})", allowed | {"If-Match": "*"})
    except urllib.error.HTTPError as error:
        raise ConfigError(f"Azure refuses with {error.code}: {error.reason}") from None
    except OSError as error:
        raise ConfigError(f"Azure cannot be asked: {error}") from None


def leave(given: Mapping[str, Any], url: str) -> None:
    """Do what a WebHook activity does: its call, with an address added to the body. Raises Failed."""
    body = json.loads(given["body"]) | {"callBackUri": url}
    try:
        _ask(given["method"], given["url"], given["headers"], json.dumps(body).encode())
    except OSError as error:
        raise Failed(f"{given['url']} refuses: {error}", "WebHookFailed") from None


@contextmanager
def address() -> Iterator[tuple[str, threading.Event]]:
    """An address of this machine, and what says whether it was called."""
    called = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(202)
            self.end_headers()
            called.set()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/", called
        finally:
            server.shutdown()


def _wake(url: str) -> None:
    """Call a run. One that has gone on does not answer, or refuses, and needs no call."""
    try:
        _ask("POST", url, {"Content-Type": "application/json"}, b"{}")
    except urllib.error.HTTPError as error:
        if error.code >= 500:
            raise


def _ask(method: str, url: str, headers: Mapping[str, str], body: bytes | None = None) -> bytes:
    request = urllib.request.Request(url, body, dict(headers), method=method)  # noqa: S310  configured, or Azure's own
    with urllib.request.urlopen(request, timeout=SECONDS) as answer:  # noqa: S310
        return answer.read()


def _token() -> str:
    """Of whoever is logged in here: ``az login``. Raises ConfigError."""
    from azure.core.exceptions import ClientAuthenticationError
    from azure.identity import DefaultAzureCredential

    try:
        return DefaultAzureCredential().get_token(SCOPE).token
    except ClientAuthenticationError as error:
        raise ConfigError(f"Azure cannot be asked: {error.message.splitlines()[0]}") from None
