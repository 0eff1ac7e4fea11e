# /// script
# requires-python = ">=3.11"
# ///
"""Add packages to the project: `make add PACKAGES="pandas scipy>=1.15"`.

It is `uv add`. When that finds no solution, the versions that the template pins and that are in the way are named.
Exit code: uv's.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"


def main(arguments: list[str]) -> int:
    if not arguments:
        print('error: name what to add: make add PACKAGES="pandas scipy>=1.15"', file=sys.stderr)
        return 2
    command = [os.environ.get("UV", "uv"), "add", "--no-sync", *arguments]
    done = subprocess.run(command, cwd=PROJECT.parent, stderr=subprocess.PIPE, text=True, check=False)
    print(done.stderr, end="", file=sys.stderr)
    pins = pins_in(done.stderr) if done.returncode else []
    if pins:
        lines = "that line" if len(pins) == 1 else "those lines"
        print(
            f"error: the template pins {' and '.join(pins)}, which does not go with {' '.join(arguments)}. "
            "Nothing was changed.\n"
            "  The pins are versions that were tested together: pyproject.toml, [tool.uv] constraint-dependencies.\n"
            "  Ask for another version, or for none in particular, so that uv takes one that fits;\n"
            f"  or delete {lines} there, run make add again, then make setup\n"
            "  and make test. Updates keep the deletion.",
            file=sys.stderr,
        )
    return done.returncode


def pins_in(message: str) -> list[str]:
    """The project's constraints that uv's message speaks of."""
    tool = tomllib.loads(PROJECT.read_text(encoding="utf-8")).get("tool", {}).get("uv", {})
    names = {}
    for constraint in tool.get("constraint-dependencies", []):
        requirement = constraint.partition(";")[0].replace(" ", "")
        names.setdefault(requirement, re.compile(rf"(?<![\w.-]){re.escape(requirement)}(?![\w.*+!-]|\.\d)"))
    return [requirement for requirement, pattern in names.items() if pattern.search(message)]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
