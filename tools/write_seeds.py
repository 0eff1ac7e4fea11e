"""Write template/*/seeds.yml, the files that an update leaves alone, from `team` in the manifest beside it.

`--check` only tells whether they are current. The lists are plain text, not read from the manifests, because an
update applies them to the previous version of the template as well, where a file may still have been the platform's.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import yaml

TEMPLATE = Path(__file__).parents[1] / "template"
SEEDS = """\
# Written by `make seeds` from manifest.yml: the team's files, rendered when they are new and left alone afterwards.
_skip_if_exists:
{skipped}
_exclude:
  - |
    [% if _copier_operation == 'update'{condition} %]
{excluded}
    [% endif %]
"""
# The copies that an update renders beside the project have no previous orchestrators: there, all count.
CONDITION = """
       and (not previous_orchestrators | default([]) or '{name}' in previous_orchestrators)"""


def seeds(manifest: Path) -> str:
    """The text of seeds.yml for that manifest; empty when its folder has no file of the team."""
    name = manifest.parent.name.strip("[]")
    owned = yaml.safe_load(manifest.read_text(encoding="utf-8"))
    team = owned.get("team", {})
    # A file of the platform's in a folder of the team's is updated as others are.
    ours = [path for path in owned.get("platform", {}) if any(path != each and path.startswith(each) for each in team)]
    paths = [("/", path) for path in team] + [("!/", path) for path in ours]
    patterns = [sign + re.sub(r"\[\[.*?\]\]", "*", path) for sign, path in paths]
    if not patterns:
        return ""
    return SEEDS.format(
        skipped="\n".join(f"  - {_quoted(pattern)}" for pattern in patterns),
        condition="" if name == "shared" else CONDITION.format(name=name),
        excluded="\n".join(f"    {pattern}" for pattern in patterns),
    )


def _quoted(pattern: str) -> str:
    return f'"{pattern}"' if pattern.startswith("!") else pattern  # a tag in YAML


def main() -> int:
    """Write or check every folder's file; the return value is the exit code."""
    wanted = {path.with_name("seeds.yml"): seeds(path) for path in sorted(TEMPLATE.glob("*/manifest.yml"))}
    outdated = [path for path, text in wanted.items() if (path.read_text() if path.exists() else "") != text]
    if "--check" in sys.argv:
        for path in outdated:
            print(f"{path.relative_to(TEMPLATE.parent)} is not what manifest.yml says: make seeds", file=sys.stderr)
        return 1 if outdated else 0
    for path in outdated:
        if wanted[path]:
            path.write_text(wanted[path], encoding="utf-8")
        else:
            path.unlink()
        print(f"wrote {path.relative_to(TEMPLATE.parent)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
