"""A loopback HTTP receiver that stands for Slack, PagerDuty or a webhook: it keeps what is posted, and can refuse."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class AlertReceiver:
    """``url`` is an Apprise address of it; ``posts`` holds the JSON bodies, in the order received."""

    def __init__(self) -> None:
        self.posts: list[dict[str, Any]] = []
        self.refusals_left = 0
        self._lock = threading.Lock()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self.send_response(204 if receiver._take(json.loads(body)) else 503)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Keep the test's output clean."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"json://127.0.0.1:{self._server.server_address[1]}/alerts"

    def _take(self, body: dict[str, Any]) -> bool:
        with self._lock:
            if self.refusals_left:
                self.refusals_left -= 1
                return False
            self.posts.append(body)
            return True

    def of(self, *words: str) -> list[dict[str, Any]]:
        """Posts that contain all of these words."""
        with self._lock:
            return [post for post in self.posts if all(word in json.dumps(post) for word in words)]

    def wait_for(self, *words: str, seconds: float) -> list[dict[str, Any]]:
        """Posts that contain all of these words, as soon as there is one; fails when none comes in time."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if found := self.of(*words):
                return found
            time.sleep(0.2)
        raise AssertionError(f"no alert with {words} within {seconds:g} s; there are: {self.posts}")

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
