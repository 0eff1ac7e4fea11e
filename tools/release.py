"""Check that this version can be released, then commit its changelog and version and tag the commit. Pushes nothing.

Called by make release VERSION=1.2.3; with --dry-run it checks the same and writes nothing.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from decision_engine import ROOT, manifests
from refresh_constraints import behind, resolved

CHANGELOG = ROOT / "CHANGELOG.md"
# Where the version stands, and in docs/standards.md the one that hooks are taken from.
PLACES = {
    "pyproject.toml": r'(?m)^(version = ")[^"]+(")',
    "hooks/pyproject.toml": r'(?m)^(version = ")[^"]+(")',
    "hooks/src/orch_standards/__init__.py": r'(?m)^(__version__ = ")[^"]+(")',
    "docs/standards.md": r"(?m)^(    rev: v)\S+()$",
}
VERSION = re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*)){2}")  # without those before a release, such as 1.2.0rc1
HEADING = re.compile(r"^## \[(.+?)\](?: - (\S+))?\n", re.MULTILINE)
PYTEST = [sys.executable, "-m", "pytest", "-n", "0", "-q"]
UPDATES = [*PYTEST, "-m", "deep or not deep", "tests/test_from_0_1.py"]


def git(*arguments: str, text: str | None = None) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, input=text, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"error: git {arguments[0]} failed: {' '.join(done.stderr.split())}")
    return done.stdout.strip()


def numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def sections(text: str) -> dict[str, str]:
    """The text of each section of the changelog by its version, `Unreleased` among them."""
    matches = list(HEADING.finditer(text))
    ends = [match.start() for match in matches[1:]] + [len(text)]
    return {match[1]: text[match.end() : end].strip() for match, end in zip(matches, ends, strict=True)}


def changelog_for(version: str, text: str, today: str) -> str:
    """The changelog in which what was unreleased is this version. As it is where the version has its entry."""
    if version in sections(text):
        return text
    return text.replace("## [Unreleased]\n", f"## [Unreleased]\n\n## [{version}] - {today}\n", 1)


def quick_problems(version: str) -> Iterator[str]:
    """What forbids the release and is seen at once, a sentence each."""
    if not VERSION.fullmatch(version):
        yield f"'{version}' is no version; write three numbers, such as VERSION=1.2.0"
        return
    tags = [tag[1:] for tag in git("tag", "--list", "v*").splitlines() if VERSION.fullmatch(tag[1:])]
    if version in tags:
        yield f"the tag v{version} exists already; name a newer version"
        return
    if (branch := git("branch", "--show-current")) != "main":
        yield f"the release is made on main, and this is {branch or 'no branch'}; git switch main"
    if changed := git("status", "--porcelain").splitlines():
        yield f"{len(changed)} changed or new files are not committed; commit or stash them"
    entries = sections(CHANGELOG.read_text(encoding="utf-8"))
    unreleased = entries.pop("Unreleased", "")
    others = [each for each in {*tags, *entries} - {version} if VERSION.fullmatch(each)]
    if newer := [each for each in others if numbers(each) > numbers(version)]:
        yield f"{max(newer, key=numbers)} is newer than {version}; name a newer version"
    if not entries.get(version) and not unreleased:
        yield f"CHANGELOG.md says nothing of {version}; write what users notice under Unreleased"
    if entries.get(version) and unreleased:
        yield f"CHANGELOG.md has an entry for {version} and one for what is unreleased; make them one"
    stated = {name: re.search(pattern, (ROOT / name).read_text(encoding="utf-8")) for name, pattern in PLACES.items()}
    for name in (name for name, match in stated.items() if not match):
        yield f"{name} states no version where tools/release.py looks for it; correct one of the two"
    own = {name: match[0].split('"')[1] for name, match in stated.items() if match and '"' in match[0]}
    if len(set(own.values())) > 1:
        yield f"versions differ: {', '.join(f'{name} has {each}' for name, each in own.items())}; make them the same"


def slow_problems() -> Iterator[str]:
    """What only shows when it is tried, a sentence each, after the output of what failed."""
    print("checking code, data and generated files", flush=True)
    if not runs("make", "--no-print-directory", "lint"):
        yield "make lint fails; correct what it lists above"
    print("building the site, where each warning is an error", flush=True)
    if not runs("make", "--no-print-directory", "docs"):
        yield "make docs fails; correct what it lists above"
    print("resolving the newest versions that fit together", flush=True)
    orchestrators = {re.split(r"[^\w-]", each["dependencies"][0])[0] for each in manifests().values()}
    try:
        rows = behind(resolved())
    except subprocess.CalledProcessError as error:
        rows = []
        yield f"the versions cannot be resolved; {' '.join(str(error.stderr or error).split())}"
    for package, pinned, newest in rows:
        print(f"  behind: {package} {pinned}, newest {newest}")
    late = [package for package, pinned, newest in rows if package in orchestrators and same_minor(pinned, newest)]
    if late:
        yield f"{', '.join(late)} is behind by a patch; run make constraints and the tests, and commit"
    print("updating projects of 0.1.0 and running them", flush=True)
    if not runs(*UPDATES):
        yield "a project of 0.1.0 does not run after its update; see above"


def same_minor(one: str, other: str) -> bool:
    return one.split(".")[:2] == other.split(".")[:2]


def runs(*command: str) -> bool:
    """Whether the command succeeds; its output is shown when it does not."""
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        print(done.stdout)
    return done.returncode == 0


def prepare(version: str, today: str) -> None:
    """Write changelog and version, commit both, and tag the commit with the changelog's section as the message."""
    text = changelog_for(version, CHANGELOG.read_text(encoding="utf-8"), today)
    CHANGELOG.write_text(text, encoding="utf-8")
    for name, pattern in PLACES.items():
        path = ROOT / name
        path.write_text(re.sub(pattern, rf"\g<1>{version}\g<2>", path.read_text(encoding="utf-8")), encoding="utf-8")
    if git("status", "--porcelain"):
        git("commit", "--quiet", "--all", "--message", f"Release {version}")
    message = f"{version}\n\n{sections(text)[version]}\n"
    git("tag", "--annotate", f"v{version}", "--cleanup=whitespace", "--file", "-", text=message)


def main() -> str | None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("version", help="three numbers, such as 1.2.0")
    parser.add_argument("--dry-run", action="store_true", help="check, say what would be done, write nothing")
    options = parser.parse_args()
    problems = list(quick_problems(options.version)) or list(slow_problems())
    if problems:
        return "\n".join(f"error: {problem}" for problem in problems)
    version, today = options.version, datetime.now(UTC).date().isoformat()
    moved = sections(CHANGELOG.read_text(encoding="utf-8")).keys().isdisjoint({version})
    will = "would be" if options.dry_run else "is"
    if not options.dry_run:
        prepare(version, today)
    print(f"release {version}")
    print(f"  CHANGELOG.md   {f'what was unreleased {will} [{version}] - {today}' if moved else 'has its entry'}")
    print(f"  version        {will} {version} in {', '.join(Path(name).as_posix() for name in PLACES)}")
    print(f"  tag            v{version} {will} on a commit of these files, on this machine only")
    print(
        f"next: {'make release VERSION=' + version if options.dry_run else f'git push --atomic origin main v{version}'}"
    )
    return None


if __name__ == "__main__":
    sys.exit(main())
