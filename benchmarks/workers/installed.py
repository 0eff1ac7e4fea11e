"""Run with a rendered project's Python: what each installed package weighs and asks for, as JSON.

Bytes are those of the package's own files on this disk. The packages that it asks for are those of this environment.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import Distribution, distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def asked(each: Distribution, extra: str = "") -> list[str]:
    """Names of the packages that a package asks for in this environment."""
    requirements = [Requirement(text) for text in each.requires or ()]
    chosen = [one for one in requirements if one.marker is None or one.marker.evaluate({"extra": extra})]
    return [canonicalize_name(one.name) for one in chosen]


def main() -> None:
    packages = {}
    for each in distributions():
        files = [Path(each.locate_file(file)) for file in each.files or ()]
        packages[canonicalize_name(each.metadata["Name"])] = {
            "bytes": sum(file.stat().st_size for file in files if file.is_file()),
            "requires": asked(each),
            "extras": {extra: asked(each, extra) for extra in each.metadata.get_all("Provides-Extra") or ()},
        }
    json.dump(packages, sys.stdout)


if __name__ == "__main__":
    main()
