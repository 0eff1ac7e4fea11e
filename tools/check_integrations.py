"""Ask the package index about each package of decision/integrations.yml and write decision/packages.yml.

Ends with an error, and writes nothing, where a package does not exist, its lower bound was never released, or its last
release is two years old: such a one counts as none. Needs the network, so nothing but `make integrations` runs it.
"""

from __future__ import annotations

import datetime
import subprocess
import sys
import tomllib
from pathlib import Path

import yaml
from check_decision import minimums
from decision_engine import ROOT, data
from packaging.version import Version

FACTS = ROOT / "decision" / "packages.yml"
HEAD = (
    "# yaml-language-server: $schema=packages.schema.json\n# Written by `make integrations` from the package index.\n"
)
UV = Path(sys.executable).with_name("uv")
TOO_OLD = datetime.timedelta(days=2 * 365)


def main() -> None:
    bounds = minimums(data("integrations")["systems"])
    newest = _resolved(bounds, "highest")
    lowest = {name: found["version"] for name, found in _resolved(bounds, "lowest").items()}
    released = {name: max(_uploads(found)).date() for name, found in newest.items()}
    today = datetime.datetime.now(datetime.UTC).date()
    if found := problems(bounds, lowest, released, today):
        sys.exit("\n".join(found))
    facts = {
        name: {"newest": newest[name]["version"], "released": released[name].isoformat()} for name in sorted(bounds)
    }
    text = yaml.safe_dump({"checked": today.isoformat(), "packages": facts}, sort_keys=False)
    FACTS.write_text(HEAD + text, encoding="utf-8")


def problems(bounds: dict, lowest: dict, released: dict, today: datetime.date) -> list[str]:
    """One sentence for each bound that is no release (``lowest`` is the first from it on), and each dead package."""
    return [
        f"{name}: {bound} was never released, the next one is {lowest[name]}"
        for name, bound in bounds.items()
        if Version(lowest[name]) != Version(bound)
    ] + [
        f"{name}: its last release is of {day}; count it as none in decision/integrations.yml"
        for name, day in released.items()
        if today - day > TOO_OLD
    ]


def _resolved(bounds: dict[str, str], resolution: str) -> dict[str, dict]:
    """Of each package, what pylock.toml says of the highest or lowest version within its bound."""
    command = [UV, "pip", "compile", "--quiet", "--no-deps", "--format", "pylock.toml", "--resolution", resolution, "-"]
    wanted = "".join(f"{name}>={bound}\n" for name, bound in bounds.items())
    run = subprocess.run(command, input=wanted, capture_output=True, text=True)
    if run.returncode:
        sys.exit(run.stderr.strip())
    return {package["name"]: package for package in tomllib.loads(run.stdout)["packages"]}


def _uploads(package: dict) -> list[datetime.datetime]:
    return [file["upload-time"] for file in [*package.get("wheels", []), *filter(None, [package.get("sdist")])]]


if __name__ == "__main__":
    main()
