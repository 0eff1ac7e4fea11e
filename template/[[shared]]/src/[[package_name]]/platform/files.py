"""State files: written whole or not at all, also when the process or the machine dies meanwhile."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TextIO

LOG_BYTES = 20_000_000


def open_log(path: Path) -> TextIO:
    """A log file to append lines to. One that has become large is kept as ``<name>.1`` in place of the one before."""
    if path.exists() and path.stat().st_size > LOG_BYTES:
        path.replace(path.with_name(f"{path.name}.1"))
    return path.open("a", encoding="utf-8", buffering=1)


def replace(path: Path, text: str, *, durable: bool = True) -> None:
    """Give a file this content: a reader, and the next start after a crash, finds the old content or the new.

    The caller holds a lock, so that nobody else writes the same file. durable: also when the machine crashes, which
    waits for the disk.
    """
    new = path.with_name(f"{path.name}.new")
    with new.open("w", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        if durable:
            os.fsync(file.fileno())  # else a file may be renamed before its content is on the disk: full of zeros
    new.replace(path)
