"""orch-standards: run the checks over a repository and print what they find."""

from __future__ import annotations

import argparse
import gc
import json
import sys

from . import CHECKS, Finding, ProjectError, __version__, check, rules

FOUND, UNUSABLE = 1, 2


def main(arguments: list[str] | None = None) -> int:
    """0: nothing found; 1: findings; 2: the folder or the command line cannot be used."""
    options = _parser().parse_args(arguments)
    gc.disable()  # nothing that is read is let go before the end
    if options.rules:
        for rule in rules().values():
            print(f"{rule.check:22} {rule.id:32} {rule.sentence.replace('{what}', '...')}")
        return 0
    try:
        found = check(options.root, options.checks or None)
    except (ProjectError, ValueError) as error:
        print(f"orch-standards: {error}", file=sys.stderr)
        return UNUSABLE
    FORMATS[options.format](found)
    return FOUND if found else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="orch-standards",
        description="Check that a repository's data pipelines are shaped for production. Nothing of it is run.",
        epilog=f"checks: {', '.join(CHECKS)}. Silence one line: # standards: allow <rule> -- <reason>",
    )
    parser.add_argument("checks", nargs="*", metavar="check", help="a check or the id of a rule; all by default")
    parser.add_argument("--root", default=".", help="the repository (default: the current folder)")
    parser.add_argument("--format", choices=FORMATS, default="text", help="how findings are printed")
    parser.add_argument("--rules", action="store_true", help="list the rules and end")
    parser.add_argument("--version", action="version", version=f"orch-standards {__version__}")
    return parser


def _text(found: list[Finding]) -> None:
    for finding in found:
        print(finding)
    if found:
        files = len({finding.path for finding in found})
        print(f"{len(found)} finding{'s'[: len(found) != 1]} in {files} file{'s'[: files != 1]}")


def _json(found: list[Finding]) -> None:
    print(json.dumps([finding.as_dict() for finding in found], indent=1))


def _github(found: list[Finding]) -> None:
    for finding in found:
        text = f"{finding.sentence} ({finding.link})".replace("%", "%25")
        print(f"::error file={finding.path},line={finding.line},title={finding.rule}::{text}")


FORMATS = {"text": _text, "json": _json, "github": _github}

if __name__ == "__main__":
    sys.exit(main())
