"""A TCP proxy in front of the warehouse: it makes statements fail, hang or wait, and counts who works at once.

A fault is chosen by a pattern in what the client sends, such as the name of a day's staging table, so that days of one
running engine have faults of their own.
"""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from dataclasses import dataclass, field
from typing import Literal

CHUNK = 65536


@dataclass(eq=False)
class Fault:
    """What happens to the first ``times`` connections that send ``pattern``; ``seen`` holds when (seconds, epoch)."""

    pattern: re.Pattern[bytes]
    action: Literal["cut", "hold"]
    times: int = 10**9
    seconds: float = 10**9
    seen: list[float] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)


class WarehouseProxy:
    """Listens on a free loopback port (``port``) and forwards to ``host:port`` of the warehouse."""

    def __init__(self, host: str, port: int) -> None:
        self._upstream = (host, port)
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        self._working: dict[int, bytes] = {}
        self._most: dict[re.Pattern[bytes], int] = {}
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def cut(self, pattern: bytes, times: int) -> Fault:
        """Break the next ``times`` connections that send the pattern: a warehouse that went away."""
        return self._add(Fault(re.compile(pattern), "cut", times=times))

    def hold(self, pattern: bytes, seconds: float = 10**9, times: int = 10**9) -> Fault:
        """Keep back what has the pattern, for so long or until ``fault.released`` is set: a slow or hung warehouse."""
        return self._add(Fault(re.compile(pattern), "hold", times=times, seconds=seconds))

    def watch(self, pattern: bytes) -> re.Pattern[bytes]:
        """Count from now on how many connections that have sent the pattern are open at once; see `most_at_once`."""
        watched = re.compile(pattern)
        with self._lock:
            self._most[watched] = 0
        return watched

    def most_at_once(self, watched: re.Pattern[bytes]) -> int:
        with self._lock:
            return self._most[watched]

    def close(self) -> None:
        self._listener.close()
        with self._lock:
            for fault in self._faults:
                fault.released.set()

    def _add(self, fault: Fault) -> Fault:
        with self._lock:
            self._faults.append(fault)
        return fault

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return  # closed
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(self._upstream)
        except OSError:
            client.close()
            return
        threading.Thread(target=self._forward_answers, args=(server, client), daemon=True).start()
        said, suffered = b"", []
        try:
            while chunk := client.recv(CHUNK):
                said = (said + chunk)[-2 * CHUNK :]
                self._count(id(client), said)
                if not self._apply(said, chunk, suffered):
                    break
                server.sendall(chunk)
        except OSError:
            pass
        finally:
            with self._lock:
                self._working.pop(id(client), None)
            for end in (client, server):
                _shut(end)

    def _forward_answers(self, server: socket.socket, client: socket.socket) -> None:
        try:
            while chunk := server.recv(CHUNK):
                client.sendall(chunk)
        except OSError:
            pass
        finally:
            _shut(client)

    def _count(self, connection: int, said: bytes) -> None:
        with self._lock:
            self._working[connection] = said
            for watched in self._most:
                at_once = sum(bool(watched.search(each)) for each in self._working.values())
                self._most[watched] = max(self._most[watched], at_once)

    def _apply(self, said: bytes, chunk: bytes, suffered: list[Fault]) -> bool:
        """Apply the faults that match, each once a connection; false when the connection is to be cut."""
        with self._lock:
            matching = [
                fault
                for fault in self._faults
                if fault not in suffered
                and len(fault.seen) < fault.times
                and fault.pattern.search(said[-len(chunk) - 200 :])
            ]
            for fault in matching:
                fault.seen.append(time.time())
        suffered += matching
        for fault in matching:
            if fault.action == "cut":
                return False
            fault.released.wait(fault.seconds)
        return True


def _shut(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
