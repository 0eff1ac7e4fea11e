"""State files: written whole or not at all, also when the process or the machine dies meanwhile."""

from __future__ import annotations

import os
from pathlib import Path


def replace(path: Path, text: str) -> None:
    """Give a file this content: a reader, and the next start after a crash, finds the old content or the new.

    The caller holds a lock, so that nobody else writes the same file.
    """
    new = path.with_name(f"{path.name}.new")
    with new.open("w", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())  # else a file may be renamed before its content is on the disk, and be full of zeros
    new.replace(path)
