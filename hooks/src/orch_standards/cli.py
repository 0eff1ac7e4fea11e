"""orch-standards: run the checks over a repository and print what they find."""

from __future__ import annotations

import argparse
import gc
import os
import subprocess
import sys
from pathlib import Path

from . import CHECKS, Finding, ProjectError, Result, __version__, baseline, checks, inspect, rules
from .findings import SEVERITIES
from .output import FORMATS, explained

FOUND, UNUSABLE = 1, 2


def main(arguments: list[str] | None = None) -> int:
    """0: nothing found that counts; 1: findings; 2: the folder or the command line cannot be used."""
    options = _parser().parse_args(arguments)
    gc.disable()  # nothing that is read is let go before the end
    try:
        status = _run(options)
        sys.stdout.flush()
    except (ProjectError, ValueError) as error:
        print(f"orch-standards: {error}", file=sys.stderr)
        return UNUSABLE
    except BrokenPipeError:
        # Whoever reads has enough, as `head` does. What Python still holds for it would fail again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FOUND
    return status


def _run(options: argparse.Namespace) -> int:
    if options.rules:
        for rule in rules().values():
            print(f"{rule.check:22} {rule.severity:8} {rule.id:32} {rule.sentence.replace('{what}', '...')}")
        return 0
    if options.explain:
        if options.explain not in rules():
            raise ValueError(f"no rule {options.explain!r}: orch-standards --rules lists them")
        print(explained(rules()[options.explain]))
        return 0
    names = [name for name in options.names if name in checks() or name in rules()]
    paths = [name for name in options.names if name not in names]
    limited = _limited_to(Path(options.root), paths, options)
    result = inspect(options.root, names or None, limited)
    file = options.baseline or result.settings.baseline
    if options.write_baseline:
        if not file:
            raise ValueError("--write-baseline needs --baseline FILE, or baseline in pyproject.toml")
        if limited is not None:
            raise ValueError("a baseline holds the whole repository: write it without naming files")
        print(f"{baseline.write(_placed(file, options), result.findings)} findings written into {file}")
        return 0
    found, notes = _new(result, _placed(file, options) if file else None, limited is None)
    FORMATS[options.format](found, notes, __version__)
    fail_on = options.fail_on or result.settings.fail_on
    return FOUND if any(finding.at_least(fail_on) for finding in found) else 0


def _placed(file: str, options: argparse.Namespace) -> Path:
    """A file named on the command line is looked for where the user stands, one of pyproject.toml beside it."""
    return Path(file) if options.baseline else Path(options.root) / file


def _new(result: Result, file: Path | None, whole: bool) -> tuple[list[Finding], list[str]]:
    """Findings that the baseline does not hold, and what to say of the others."""
    if file is None:
        return result.findings, []
    found, gone = baseline.new(result.findings, baseline.read(file))
    notes = [f"{len(result.findings) - len(found)} known from {file.name}"]
    if gone and whole:
        notes.append(f"{gone} of {file.name} are gone: --write-baseline takes them out")
    return found, notes


def _limited_to(root: Path, paths: list[str], options: argparse.Namespace) -> set[str] | None:
    """Files and folders whose findings are wanted, relative to the root; None for all."""
    since = "HEAD" if options.changed else options.changed_since
    if not paths and not since:
        return None
    found = _changed(root, since) if since else set()
    for name in paths:
        place = next((each for each in (Path(name), root / name) if each.exists()), None)
        if place is None:
            raise ValueError(f"no check, rule or file {name!r}: use one of {', '.join(CHECKS)}, a rule's id, or a path")
        if not place.resolve().is_relative_to(root.resolve()):
            raise ValueError(f"{name} is not below {root}")
        found.add(place.resolve().relative_to(root.resolve()).as_posix())
    return found


def _changed(root: Path, since: str) -> set[str]:
    """Files that differ from where a branch left a revision, and new ones."""
    commands = (
        ["git", "diff", "--name-only", "--relative", "-z", "--merge-base", since],
        ["git", "ls-files", "-z", "--others", "--exclude-standard"],
    )
    names: set[str] = set()
    for command in commands:
        try:
            done = subprocess.run(command, cwd=root, capture_output=True, check=True)
        except FileNotFoundError:
            raise ValueError("git is not installed: changed files cannot be told") from None
        except subprocess.CalledProcessError as error:
            reason = os.fsdecode(error.stderr).strip().splitlines()
            raise ValueError(f"git cannot compare with {since}: {(reason or ['no reason given'])[0]}") from None
        names |= set(os.fsdecode(done.stdout).split("\0")) - {""}
    return names


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="orch-standards",
        description="Check that a repository's data pipelines are shaped for production. Nothing of it is run.",
        epilog=f"checks: {', '.join(CHECKS)}. Silence one line: # standards: allow <rule> -- <reason>",
    )
    parser.add_argument(
        "names", nargs="*", metavar="check or path", help="checks, ids of rules, files and folders; all by default"
    )
    parser.add_argument("--root", default=".", help="the repository (default: the current folder)")
    parser.add_argument("--format", choices=FORMATS, default="text", help="how findings are printed")
    parser.add_argument("--fail-on", choices=SEVERITIES, help="the mildest finding that fails (default: warning)")
    parser.add_argument("--baseline", metavar="FILE", help="findings that are known and do not count")
    parser.add_argument("--write-baseline", action="store_true", help="write all findings into the baseline and end")
    parser.add_argument("--changed", action="store_true", help="only findings in files that git sees changed")
    parser.add_argument("--changed-since", metavar="REV", help="only findings in files changed since this revision")
    parser.add_argument("--rules", action="store_true", help="list the rules and end")
    parser.add_argument("--explain", metavar="RULE", help="say what a rule means and end")
    parser.add_argument("--version", action="version", version=f"orch-standards {__version__}")
    return parser


if __name__ == "__main__":
    sys.exit(main())
