"""What a process and all below it use while something goes on: CPU time, and peak memory by what each one is."""

from __future__ import annotations

import itertools
import os
import re
import threading
from pathlib import Path

LOOK_SECONDS = 0.5
IMPORTED = re.compile(r"from (\S+) import")  # what `python -c` begins with when a library starts a process of its own
TICKS = os.sysconf("SC_CLK_TCK")


class Watch:
    """Looks at the processes from ``root`` down while its body runs.

    cpu: seconds they have used meanwhile. peaks: bytes of the largest process by what its command line says it is.
    peak_together: most bytes that all of them held at one look, shared memory counted once.
    """

    def __init__(self, root: int) -> None:
        self.root = root
        self.cpu = 0.0
        self.peaks: dict[str, int] = {}
        self.peak_together = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Watch:
        self._before = self._cpu()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self.cpu = self._cpu() - self._before

    def _watch(self) -> None:
        while not self._ended.wait(LOOK_SECONDS):
            together = 0
            for pid in family(self.root):
                try:
                    name = what(Path(f"/proc/{pid}/cmdline").read_bytes())
                    peak = _kilobytes(Path(f"/proc/{pid}/status"), "VmHWM:")
                    together += _kilobytes(Path(f"/proc/{pid}/smaps_rollup"), "Pss:")
                except OSError:
                    continue  # it ended meanwhile
                self.peaks[name] = max(self.peaks.get(name, 0), peak)
            self.peak_together = max(self.peak_together, together)

    def _cpu(self) -> float:
        """Of all that live, and of their children that have ended."""
        total = 0
        for pid in family(self.root):
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            total += sum(int(field) for field in fields[11:15])
        return total / TICKS


def family(root: int) -> set[int]:
    """The process and all below it."""
    parents = {}
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit():
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    found, new = {root}, {root}
    while new:
        new = {child for child, parent in parents.items() if parent in new} - found
        found |= new
    return found


def what(command: bytes) -> str:
    """The first words of a command line that say what runs: without interpreter, folders, options and numbers."""
    words = [word.decode(errors="replace") for word in command.split(b"\0") if word]
    if imported := IMPORTED.match(words[2] if words[1:2] == ["-c"] else ""):
        return imported[1]
    words = [part for word in words for part in word.split()]  # a process that has named itself is a single word
    names = [Path(word).name.removesuffix(".py") for word in words]
    names = names[1:] if names and names[0].startswith("python") else names
    names = names[1:] if names[:1] == ["-m"] else names
    said = list(itertools.takewhile(lambda name: not name.startswith("-") and not name.isdigit(), names))
    return " ".join(said[:3]) or "other"


def _kilobytes(file: Path, label: str) -> int:
    """Bytes of a line that is in kilobytes; 0 where there is none."""
    for line in file.read_text().splitlines():
        if line.startswith(label):
            return int(line.split()[1]) * 1024
    return 0
