# /// script
# requires-python = ">=3.11"
# dependencies = ["copier>=9.19,<10"]
# ///
"""Update the project from its template: `make update`.

Nothing is touched unless everything needed is in order, and a failed update leaves nothing behind. Afterwards every
change of the platform's files that was not a plain merge is listed: conflicts, files kept, files that moved.
Exit code: 0 updated, 1 there are conflicts to resolve, 2 nothing was changed.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import copier
import yaml
from copier.errors import UserMessageError
from plumbum import ProcessExecutionError

ROOT = Path(__file__).resolve().parents[1]
ANSWERS = ".copier-answers.yml"
CONFLICT_START = b"<<<<<<< before updating"
# As Copier names them, so that a conflict looks the same wherever it comes from.
SIDES = ("before updating", "last update", "after updating")
SIMILARITY = "40%"  # of a file that the template renamed and changed


class Refused(Exception):
    """Why there is no update, in a sentence that says what to do; the project is as it was."""


def main() -> int:
    parser = argparse.ArgumentParser(description="Update the project from its template.")
    parser.add_argument("--version", default="", help="version of the template, such as v1.2.0; the newest without it")
    parser.add_argument("--answers", default="", help="answers to change, such as 'ci_provider=gitlab timezone=UTC'")
    parser.add_argument("--skip", default="", help="platform files to leave as they are, such as 'README.md Makefile'")
    options = parser.parse_args()
    try:
        before = recorded_answers()
        refuse_uncommitted_changes()
        update(before, options.version or None, changed_answers(options.answers), options.skip.split())
        after = recorded_answers()
        kept, moved = keep_edited_files(before, after)
    except Refused as refusal:
        print(f"error: {refusal}", file=sys.stderr)
        return 2
    return report(before, after, kept, moved)


def git(*arguments: str, check: bool = True) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise Refused(f"git {arguments[0]} failed: {(done.stderr.strip() or 'no reason given').splitlines()[-1]}")
    return done.stdout


def recorded_answers() -> dict:
    """The answers that the project was made from, with the template's address and version."""
    if not git("rev-parse", "--verify", "--quiet", "HEAD", check=False):
        raise Refused(
            "an update must be reviewed and undone with git, and there is no commit yet: "
            "git init && git add --all && git commit -m 'before the update'"
        )
    restore = f"bring it back: git checkout HEAD -- {ANSWERS}, or an older commit's"
    try:
        text = (ROOT / ANSWERS).read_text(encoding="utf-8")
        answers = yaml.safe_load(text)
    except FileNotFoundError:
        raise Refused(f"{ANSWERS} is missing, so the template is not known; {restore}") from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise Refused(f"{ANSWERS} cannot be read, it was probably edited by hand; {restore}") from None
    missing = [name for name in ("_src_path", "_commit") if not isinstance(answers, dict) or not answers.get(name)]
    if missing:
        raise Refused(f"{ANSWERS} has no {' and no '.join(missing)}, so the template is not known; {restore}")
    checksum = re.search(r"^# checksum: (\w+)\n", text, flags=re.MULTILINE)
    if checksum and checksum[1] != hashlib.sha256(text[checksum.end() :].strip().encode()).hexdigest():
        raise Refused(
            f"{ANSWERS} was edited by hand, so what the project was made from is not known; "
            f"{restore}, and change answers with make update ANSWERS='name=value'"
        )
    return answers


def refuse_uncommitted_changes() -> None:
    changed = [line[3:] for line in git("status", "--porcelain", "--untracked-files=all", "--", ".").splitlines()]
    if changed:
        named = ", ".join(changed[:3]) + (", …" if len(changed) > 3 else "")
        files = "1 file is" if len(changed) == 1 else f"{len(changed)} files are"
        raise Refused(
            f"{files} not committed ({named}): commit or stash first, so that the update can be told apart and undone"
        )


def changed_answers(text: str) -> dict[str, str]:
    """Answers by name from 'name=value name=[a, b]'; a word without = belongs to the value before it."""
    answers: dict[str, str] = {}
    for word in text.split():
        name, equals, value = word.partition("=")
        if equals and name.isidentifier():
            answers[name] = value
        elif answers:
            answers[list(answers)[-1]] += f" {word}"
        else:
            raise Refused(f"{word!r} is no answer: write ANSWERS='name=value', several separated by spaces")
    return answers


def update(before: dict, version: str | None, changes: dict[str, str], skipped: list[str]) -> None:
    """Have Copier update the project; when it cannot, the project is put back as it was."""
    template = before["_src_path"]
    try:
        copier.run_update(ROOT, data=changes, vcs_ref=version, skip_if_exists=skipped, defaults=True, overwrite=True)
    except UserMessageError as error:
        reason = error.message
    except ProcessExecutionError as error:
        told = [line for line in error.stderr.splitlines() if line.strip()]
        reason = f"the template {template} cannot be reached: {told[-1] if told else error}"
    except KeyboardInterrupt:
        reason = "the update was stopped; nothing was changed"
    except Exception as error:  # noqa: BLE001  whatever it is, the project must be as it was
        reason = explained(template, str(error))
    else:
        unknown = changes.keys() - recorded_answers().keys()
        if not unknown:
            return
        reason = f"the template asks no question named {' or '.join(sorted(unknown))}; {ANSWERS} has their names"
    git("reset", "--quiet", "HEAD", "--", ".")
    git("checkout", "--quiet", "HEAD", "--", ".")
    git("clean", "--quiet", "-d", "--force", "--", ".")  # there was no untracked file before
    raise Refused(reason)


def explained(template: str, message: str) -> str:
    """A sentence for what Copier tells developers of templates only."""
    last_line = (message.strip() or "no reason given").splitlines()[-1]
    if last_line.startswith("Unknown revision: "):
        version = last_line.removeprefix("Unknown revision: ").strip("'")
        return f"the template {template} has no version {version}; git ls-remote --tags lists those it has"
    if last_line.startswith("Local template must be"):
        return f"the template {template} cannot be reached: seen from {ROOT} there is no such folder"
    return f"the update failed and nothing was changed: {last_line}"


def keep_edited_files(before: dict, after: dict) -> tuple[list[str], dict[str, str]]:
    """Bring back what Copier deletes although the team had changed it.

    A file that the template renamed gets the team's changes under its new name; another one stays where it was.
    Returns the paths kept, and the new names by the old ones.
    """
    deleted = git("diff", "--name-only", "--diff-filter=D", "--relative", "-z", "HEAD").split("\0")[:-1]
    kept: list[str] = []
    moved: dict[str, str] = {}
    if not deleted:
        return kept, moved
    with tempfile.TemporaryDirectory() as folder:
        old, new = Path(folder) / "old", Path(folder) / "new"
        render(before, old)
        edited = [
            path for path in deleted if not (old / path).is_file() or committed(path) != (old / path).read_bytes()
        ]
        if edited:
            render(after, new)
        names = renamed(old, new) if edited else {}
        for path in edited:
            target = names.get(path)
            if target and committed(target) is None and (ROOT / target).is_file():
                (ROOT / target).write_bytes(committed(path))
                labels = [part for side in SIDES for part in ("-L", side)]
                git("merge-file", *labels, target, str(old / path), str(new / target), check=False)
                moved[path] = target
            else:
                git("checkout", "--quiet", "HEAD", "--", path)
                kept.append(path)
    return kept, moved


def render(answers: dict, target: Path) -> None:
    """The project as the template alone makes it from these answers."""
    given = {name: value for name, value in answers.items() if not name.startswith("_")}
    copier.run_copy(
        answers["_src_path"], target, data=given, vcs_ref=answers["_commit"], defaults=True, quiet=True, overwrite=True
    )


def committed(path: str) -> bytes | None:
    """What was committed under that path, None when nothing was."""
    shown = subprocess.run(["git", "show", f"HEAD:./{path}"], cwd=ROOT, capture_output=True, check=False)
    return shown.stdout if shown.returncode == 0 else None


def renamed(old: Path, new: Path) -> dict[str, str]:
    """Names in ``new`` by those in ``old`` of the files that the template renamed."""
    listed = git(
        *("diff", "--no-index", "--name-status", "-z", f"--find-renames={SIMILARITY}", "--diff-filter=R"),
        *(str(old), str(new)),
        check=False,
    ).split("\0")[:-1]
    pairs = zip(listed[1::3], listed[2::3], strict=True)
    return {str(Path(one).relative_to(old)): str(Path(other).relative_to(new)) for one, other in pairs}


def report(before: dict, after: dict, kept: list[str], moved: dict[str, str]) -> int:
    """Show what the update did; the return value is the exit code."""
    status = git("status", "--porcelain", "--untracked-files=all", "--no-renames", "-z", "--", ".").split("\0")[:-1]
    prefix = git("rev-parse", "--show-prefix").strip()
    paths = {line[3:].removeprefix(prefix): line[:2] for line in status}
    if not paths:
        print(f"already at {after['_commit']}, nothing changed")
        return 0
    conflicts = {path: conflicts_in(ROOT / path) for path in paths if (ROOT / path).is_file()}
    conflicts = {path: number for path, number in conflicts.items() if number}
    added = sum(state == "??" for state in paths.values())
    removed = sum("D" in state for state in paths.values())
    print(f"{before['_commit']} -> {after['_commit']}: {len(paths) - added - removed} files changed, ", end="")
    print(f"{added} added, {removed} removed")
    for old, new in moved.items():
        print(f"moved      {old} -> {new}, your changes with it")
    for path in kept:
        print(f"kept       {path}: you had changed it, the template has no use for it any more")
    for name in before.keys() & after.keys() - {"_commit"}:
        if before[name] != after[name]:
            print(f"answer     {name}: {before[name]} -> {after[name]}")
    for path, number in conflicts.items():
        print(f"conflict   {path}: {number} {'place' if number == 1 else 'places'}")
    if conflicts:
        print(f"error: resolve the conflicts, which stand between {'<' * 7} and {'>' * 7}; then git add and commit")
        return 1
    print("next: git diff, make setup test, git add --all && git commit")
    return 0


def conflicts_in(path: Path) -> int:
    """Number of conflicts marked in the file; a rejected patch counts as one."""
    marked = sum(line.startswith(CONFLICT_START) for line in path.read_bytes().splitlines())
    return marked + (path.suffix == ".rej")


if __name__ == "__main__":
    sys.exit(main())
