"""An API on this machine that answers in pages, and behaves badly when a test wants it to."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


class PagedApi:
    """Serves ``{"items": [...], "next": address or null}`` from `url` while it is entered.

    pages: the rows of each. trouble: answers (status, headers) that come before the next good one. endless: whether
    every page has a next one. elsewhere: the server that has the next pages, empty for this one. requests: (path,
    token) of those it has taken.
    """

    def __init__(self, pages: Sequence[Sequence[Mapping[str, Any]]]) -> None:
        self.pages = list(pages)
        self.trouble: list[tuple[int, Mapping[str, str]]] = []
        self.requests: list[tuple[str, str | None]] = []
        self.endless = False
        self.elsewhere = ""
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                api.requests.append((self.path, self.headers["Authorization"]))
                status, headers = api.trouble.pop(0) if api.trouble else (200, {})
                page = int(parse_qs(urlsplit(self.path).query).get("page", ["0"])[0])
                following = (
                    f"{api.elsewhere}/rows?page={page + 1}" if api.endless or page + 1 < len(api.pages) else None
                )
                body = json.dumps({"items": api.pages[page % len(api.pages)], "next": following}).encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                """Keep the tests' output clean."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self.url = f"http://127.0.0.1:{self._server.server_port}/rows"

    def __enter__(self) -> PagedApi:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
