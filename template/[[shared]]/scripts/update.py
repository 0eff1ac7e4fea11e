# /// script
# requires-python = ">=3.11"
# dependencies = ["copier>=9.19,<10", "filelock>=3.12"]
# ///
"""Update the project from its template: `make update`, and take the update back: `make update-undo`.

Copier works in a scratch repository that holds the last commit. Only the result is written to the project, one whole
file after the other and the answers file last, by a plan that is kept in git's own folder. So a crash leaves the
project as it was, or the next `make update` finishes the plan.
Exit code: 0 updated, 1 there are conflicts to resolve, 2 nothing was changed.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import copier
import yaml
from copier._vcs import get_repo
from copier.errors import UserMessageError
from filelock import FileLock, Timeout
from packaging.version import InvalidVersion, Version
from plumbum import ProcessExecutionError, local

ANSWERS = ".copier-answers.yml"
CONFLICT_START = b"<<<<<<< before updating"
# As Copier names them, so that a conflict looks the same wherever it comes from.
SIDES = ("before updating", "last update", "after updating")
SIMILARITY = "40%"  # of a file that the template renamed and changed
# How the scratch repository and the template's are read must not depend on the user's settings, hooks or signing key.
SETTINGS = {
    "core.quotePath": "false",
    "core.hooksPath": os.devnull,
    "core.autocrlf": "false",
    "core.eol": "lf",
    "core.fsmonitor": "false",
    "core.excludesFile": os.devnull,
    "core.attributesFile": os.devnull,
    "commit.gpgSign": "false",
    "apply.whitespace": "nowarn",
    "apply.ignoreWhitespace": "no",
    "init.defaultBranch": "main",
}
# A file is in the scratch repository as git stores it: no line ends are changed and no filter is run.
AS_STORED = "* -text -filter -ident !working-tree-encoding\n"
OF_THE_CALLER = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR")
REACHING = {"clone", "fetch", "ls-remote", "submodule", "remote"}
# Written last: what the next call of `make update` needs, and the answers file, which says that the update is done.
LAST = ("scripts/update.py", "Makefile")
DELETED = "0" * 6


class Refused(Exception):
    """Why there is no update: one sentence that says what to do, and below it what git said, if it was git."""

    def __init__(self, sentence: str, details: str = "") -> None:
        said = [f"  {line}" for line in details.splitlines() if line.strip()]
        super().__init__("\n".join([sentence, *said]))


@dataclass(frozen=True)
class Change:
    """One file of the project that the update changes. Modes and blobs are git's; mode 000000 stands for no file."""

    path: str
    old_mode: str
    new_mode: str
    old: str
    new: str


@dataclass
class Plan:
    """What an update does to the project; kept as JSON in git's folder until the next one.

    state: "writing" until everything is written, then "written". stages: lines for `git update-index --index-info`,
    which make conflicts known to git. report: what is printed at the end.
    """

    state: str
    version: str
    changes: list[Change]
    stages: list[str] = field(default_factory=list)
    report: list[str] = field(default_factory=list)
    conflicts: int = 0


@dataclass(frozen=True)
class Project:
    """The project's folder, which may be a part of a larger repository. prefix: of its paths there, such as "a/b/"."""

    root: Path
    answers_file: str
    prefix: str

    @classmethod
    def at(cls, root: Path, answers_file: str) -> Project:
        if run_git(root, "rev-parse", "--verify", "--quiet", "HEAD", check=False).returncode:
            raise Refused(
                "an update must be reviewed and undone with git, and there is no commit yet: "
                "git init && git add --all && git commit -m 'before the update'"
            )
        return cls(root, answers_file, run_git(root, "rev-parse", "--show-prefix").stdout.decode().rstrip("\n"))

    def git(self, *arguments: str, text: str | None = None, check: bool = True, **variables: str) -> str:
        return os.fsdecode(run_git(self.root, *arguments, text=text, check=check, **variables).stdout)

    @property
    def name(self) -> str:
        """Of this project's plan and references; several may share a repository."""
        key = self.prefix + ("" if self.answers_file == ANSWERS else self.answers_file)
        return hashlib.sha256(key.encode()).hexdigest()[:8] if key else "project"

    def reference(self, which: str) -> str:
        return f"refs/make-update/{self.name}/{which}"

    @property
    def plan_file(self) -> Path:
        return Path(self.git("rev-parse", "--absolute-git-dir").strip()) / "make-update" / f"{self.name}.json"

    def plan(self) -> Plan | None:
        try:
            read = json.loads(self.plan_file.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None
        return Plan(**read | {"changes": [Change(**change) for change in read["changes"]]})

    def keep(self, plan: Plan) -> None:
        self.plan_file.parent.mkdir(exist_ok=True)
        write_whole(self.plan_file, json.dumps(asdict(plan)).encode(), 0o644)

    @contextlib.contextmanager
    def to_itself(self) -> Iterator[None]:
        """Keep every other update of the project out; the system frees the lock when the process ends."""
        self.plan_file.parent.mkdir(exist_ok=True)
        try:
            with FileLock(self.plan_file.with_suffix(".lock"), timeout=0):
                yield
        except Timeout:
            raise Refused(
                "another update of this project is running: wait until it has ended, then run make update again"
            ) from None

    def committed_answers(self) -> dict:
        try:
            return yaml.safe_load(self.git("show", f"HEAD:./{self.answers_file}", check=False)) or {}
        except yaml.YAMLError:
            return {}

    def contents(self, paths: Sequence[str]) -> dict[str, set[str]]:
        """The names under which git may know the files that are there now, by path; none where there is no file."""
        names: dict[str, set[str]] = {path: set() for path in paths}
        regular = []
        for path in paths:
            place = self.root / path
            if place.is_symlink():
                target = os.fsencode(place.readlink())
                names[path] = {run_git(self.root, "hash-object", "--stdin", text=target).stdout.decode().strip()}
            elif place.is_file():
                regular.append(path)
        # As git would store it, and as it is: which of the two holds depends on the line ends that were committed.
        # Git reads names in its input from the repository's top; a name in two lines must be an argument.
        top = self.root.joinpath(*[".."] * self.prefix.count("/"))
        plain = [path for path in regular if "\n" not in path]
        for filters in ((), ("--no-filters",)):
            if plain:
                listed = "".join(f"{self.prefix}{path}\n" for path in plain)
                blobs = run_git(top, "hash-object", *filters, "--stdin-paths", text=listed).stdout.decode().split()
                for path, blob in zip(plain, blobs, strict=True):
                    names[path].add(blob)
            for path in set(regular) - set(plain):
                names[path].add(self.git("hash-object", *filters, "--", path).strip())
        return names

    def write(self, path: str, mode: str, blob: str) -> None:
        """Put the file there, whole or not at all; or take it away."""
        place = self.root / path
        if mode == DELETED:
            place.unlink(missing_ok=True)
            remove_empty_folders(place.parent, self.root)
            return
        place.parent.mkdir(parents=True, exist_ok=True)
        if mode == "120000":
            target = run_git(self.root, "cat-file", "blob", blob).stdout
            place.unlink(missing_ok=True)
            place.symlink_to(os.fsdecode(target))
            return
        content = run_git(self.root, "cat-file", "--filters", f"--path={self.prefix}{path}", blob).stdout
        write_whole(place, content, 0o777 if mode == "100755" else 0o666)


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    try:
        project = Project.at(Path(options.project).resolve(), options.answers_file)
        if options.dry_run:
            return update(project, recorded_answers(project), options)
        with project.to_itself():
            if options.undo:
                return undo(project)
            unfinished = project.plan()
            if unfinished and unfinished.state == "writing" and begun(project, unfinished):
                print(f"the update to {unfinished.version} was interrupted; it is finished now")
                return finish(project, unfinished)
            answers = recorded_answers(project)
            refuse_uncommitted_changes(project, answers)
            return update(project, answers, options)
    except Refused as refusal:
        print(f"error: {refusal}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("error: the update was stopped; run make update again, or make update-undo", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: {error}; put it right, then run make update again, or make update-undo", file=sys.stderr)
        return 2


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Update the project from its template.")
    parser.add_argument("--version", default="", help="version of the template, such as v1.2.0; the newest without it")
    parser.add_argument("--answers", default="", help="answers to change, such as 'ci_provider=gitlab timezone=UTC'")
    parser.add_argument("--skip", default="", help="platform files to leave as they are, such as 'README.md Makefile'")
    parser.add_argument("--template", default="", help="the template's address, when it has moved")
    parser.add_argument("--dry-run", action="store_true", help="show what would change, and change nothing")
    parser.add_argument("--undo", action="store_true", help="take the last update back, as long as it is not committed")
    parser.add_argument("--project", default=Path(__file__).resolve().parents[1], help="the project's folder")
    parser.add_argument("--answers-file", default=ANSWERS, help="the answers to update from (%(default)s)")
    return parser.parse_args(arguments)


def run_git(
    folder: Path, *arguments: str, text: str | bytes | None = None, check: bool = True, **variables: str
) -> subprocess.CompletedProcess[bytes]:
    """Run git without the user's hooks; paths are printed as they are. Raises Refused with all that git said."""
    command = ["git", "-c", "core.quotePath=false", "-c", f"core.hooksPath={os.devnull}", *arguments]
    given = {"input": text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text}
    given = given if text is not None else {"stdin": subprocess.DEVNULL}
    environment = {**local.env.getdict(), **variables}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=False, **given)
    if check and done.returncode:
        raise Refused(f"git {arguments[0]} failed in {folder}:", done.stderr.decode(errors="replace") or "no reason")
    return done


def recorded_answers(project: Project) -> dict:
    """The answers that the project was made from, with the template's address and version."""
    name = project.answers_file
    restore = f"bring it back: git checkout HEAD -- {name}, or an older commit's"
    try:
        text = (project.root / name).read_text(encoding="utf-8")
        answers = yaml.safe_load(text)
    except FileNotFoundError:
        raise Refused(f"{name} is missing, so the template is not known; {restore}") from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise Refused(f"{name} cannot be read, it was probably edited by hand; {restore}") from None
    missing = [key for key in ("_src_path", "_commit") if not isinstance(answers, dict) or not answers.get(key)]
    if missing:
        raise Refused(f"{name} has no {' and no '.join(missing)}, so the template is not known; {restore}")
    checksum = re.search(r"^# checksum: (\w+)\n", text, flags=re.MULTILINE)
    if checksum and checksum[1] != hashlib.sha256(text[checksum.end() :].strip().encode()).hexdigest():
        raise Refused(
            f"{name} was edited by hand, so what the project was made from is not known; {restore}, and change answers "
            "with make update ANSWERS='name=value', the template's address with make update TEMPLATE=address"
        )
    return answers


def refuse_uncommitted_changes(project: Project, answers: dict) -> None:
    listed = project.git("status", "--porcelain", "--untracked-files=all", "--no-renames", "-z", "--", ".").split("\0")
    changed = [entry[3:].removeprefix(project.prefix) for entry in listed[:-1]]
    if not changed:
        return
    committed = project.committed_answers().get("_commit", answers["_commit"])
    if committed != answers["_commit"]:
        raise Refused(
            f"the update from {committed} to {answers['_commit']} is not committed: review and commit it, "
            "or take it back with make update-undo"
        )
    named = ", ".join(changed[:3]) + (", …" if len(changed) > 3 else "")
    files = "1 file is" if len(changed) == 1 else f"{len(changed)} files are"
    raise Refused(
        f"{files} not committed ({named}): commit or stash first, so that the update can be reviewed and undone"
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


def update(project: Project, before: dict, options: argparse.Namespace) -> int:
    """Work out the update in a scratch repository, then show it or write it."""
    changes = changed_answers(options.answers)
    with tempfile.TemporaryDirectory(prefix="make-update-", ignore_cleanup_errors=True) as folder, undisturbed():
        scratch = Scratch(
            project, Path(folder).resolve() / "project", address(project, options.template or before["_src_path"])
        )
        scratch.start()
        after = scratch.update(before, options.version or None, changes, options.skip.split())
        plan = scratch.finished(before, after)
        if not plan.changes:
            print(f"already at {after['_commit']}, nothing changed")
            return 0
        if options.dry_run:
            return show(plan, release_notes(scratch.template, before["_commit"], after["_commit"]))
        scratch.hand_over()
    keep_what_is_not_in_git(project, plan)
    project.keep(plan)
    return finish(project, plan)


def address(project: Project, template: str) -> str:
    """The template's address; a folder given by a relative path by its whole path."""
    folder = project.root / template
    return str(folder.resolve()) if not template.startswith("~") and folder.is_dir() else template


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Keep the user's settings of git away from the scratch repository and from Copier's own."""
    count = int(local.env.get("GIT_CONFIG_COUNT", "0"))
    given: dict[str, str] = {"GIT_TEMPLATE_DIR": "", "GIT_LFS_SKIP_SMUDGE": "1"}
    for number, (key, value) in enumerate(SETTINGS.items(), count):
        given |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    given["GIT_CONFIG_COUNT"] = str(count + len(SETTINGS))
    with local.env(**given):
        for name in OF_THE_CALLER:
            local.env.pop(name, None)
        yield


class Scratch:
    """A repository that holds the project's last commit and nothing else, for Copier to update."""

    def __init__(self, project: Project, folder: Path, template: str) -> None:
        self.project, self.folder, self.template = project, folder, template
        self.kept: list[str] = []  # sentences for the report
        self.stages: list[str] = []
        self.made_way: list[str] = []  # files of the platform's in whose place the new version has something else
        self.line_ends: dict[str, tuple[bytes, bytes]] = {}  # content as committed, and with plain line ends

    def git(self, *arguments: str, text: str | None = None, check: bool = True, **variables: str) -> str:
        return os.fsdecode(run_git(self.folder, *arguments, text=text, check=check, **variables).stdout)

    def start(self) -> None:
        """Check the last commit out, every text file with plain line ends, and the template by its whole path."""
        self.folder.mkdir()
        self.git("init", "--quiet")
        objects = Path(self.project.git("rev-parse", "--git-path", "objects").strip())
        (self.folder / ".git" / "objects" / "info" / "alternates").write_text(
            f"{(self.project.root / objects).resolve()}\n"
        )
        (self.folder / ".git" / "info").mkdir(exist_ok=True)
        (self.folder / ".git" / "info" / "attributes").write_text(AS_STORED)
        tree = self.project.git("rev-parse", f"HEAD:{self.project.prefix}").strip()
        self.git("read-tree", tree)
        self.git("checkout-index", "--all", "--force")
        for name in self.git("ls-files", "-z").split("\0")[:-1]:
            path = self.folder / name
            if path.is_file() and not path.is_symlink():
                content = path.read_bytes()
                if b"\r\n" in content and b"\0" not in content:
                    self.line_ends[name] = content, content.replace(b"\r\n", b"\n")
                    path.write_bytes(self.line_ends[name][1])
        answers = self.folder / self.project.answers_file
        if not answers.is_file():
            raise Refused(f"{answers.name} is not committed: git add --force {answers.name} && git commit")
        text = answers.read_text(encoding="utf-8")
        source = yaml.safe_dump({"_src_path": self.template}, width=10_000)
        answers.write_text(
            re.sub(r"^_src_path:.*\n(?: .*\n)*", lambda _: source, text, flags=re.MULTILINE), encoding="utf-8"
        )
        self.commit()

    def commit(self) -> None:
        who = {f"GIT_{role}_{part}": "make-update" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")}
        self.git("add", "--all", "--force")
        self.git("commit", "--quiet", "--allow-empty", "--no-verify", "--message", "the project", **who)

    def answers(self) -> dict:
        return yaml.safe_load((self.folder / self.project.answers_file).read_text(encoding="utf-8"))

    def update(self, before: dict, version: str | None, changes: dict[str, str], skipped: list[str]) -> dict:
        """Have Copier update the project here. Returns the new answers."""
        excluded: list[str] = []
        try:
            self.run_copier(version, changes, skipped, excluded)
        except Exception as error:  # noqa: BLE001  whatever it is, it ends in a sentence
            # Copier's own check of what stands in a file's place is an assertion.
            blocked = isinstance(error, (OSError, AssertionError)) and not isinstance(error, ProcessExecutionError)
            excluded = self.make_way(before, version, changes) if blocked else []
            if not excluded and not self.made_way:
                raise self.refusal(error) from None
            try:
                self.run_copier(version, changes, skipped, excluded)
            except Exception as second:  # noqa: BLE001
                raise self.refusal(second) from None
        after = self.answers()
        unknown = changes.keys() - after.keys()
        if unknown:
            raise Refused(
                f"the template asks no question named {' or '.join(sorted(unknown))}; "
                f"{self.project.answers_file} has their names"
            )
        self.stages = self.git("ls-files", "--unmerged", "-z").split("\0")[:-1]
        self.keep_edited_files(before | {"_src_path": self.template}, after)
        return after

    def run_copier(
        self, version: str | None, changes: dict[str, str], skipped: Sequence[str], excluded: Sequence[str]
    ) -> None:
        here = Path.cwd()
        try:
            copier.run_update(
                self.folder,
                data=changes,
                answers_file=self.project.answers_file,
                vcs_ref=version,
                skip_if_exists=skipped,
                exclude=excluded,
                defaults=True,
                overwrite=True,
                skip_tasks=True,  # there are none; the message after the update tells from it who called Copier
            )
        finally:
            os.chdir(here)

    def refusal(self, error: Exception) -> Refused:
        """What stopped Copier, in a sentence, and below it what git said."""
        if isinstance(error, UserMessageError):
            return Refused(error.message)
        if not isinstance(error, ProcessExecutionError):
            return Refused(self.explained(str(error)))
        words = [str(word) for word in error.argv]
        command = next((word for word in words[1:] if re.fullmatch(r"[a-z]+(-[a-z]+)*", word)), "")
        if command in REACHING:
            return Refused(
                f"the template {self.template} cannot be reached; check your access to it, and if it has moved: "
                "make update TEMPLATE=<its address>. git said:",
                error.stderr,
            )
        return Refused(f"git {command} failed and nothing was changed. git said:", error.stderr or str(error))

    def explained(self, message: str) -> str:
        """A sentence for what Copier tells developers of templates only."""
        last_line = (message.strip() or "no reason given").splitlines()[-1]
        if last_line.startswith("Unknown revision: "):
            version = last_line.removeprefix("Unknown revision: ").strip("'")
            if (Path(self.template).expanduser() / ".git" / "shallow").is_file():
                return (
                    f"the template {self.template} is a shallow clone without {version}: "
                    f"git -C {self.template} fetch --unshallow --tags"
                )
            return f"the template {self.template} has no version {version}; git ls-remote --tags lists those it has"
        if last_line.startswith("Local template must be"):
            return (
                f"the template {self.template} cannot be reached: there is no such folder, seen from "
                f"{self.project.root}; if it has moved: make update TEMPLATE=<its address>"
            )
        refused_answer = re.match(r"Validation error for question '\w+': ", last_line)
        if refused_answer:
            return f"nothing was changed: {last_line[refused_answer.end() :]}"
        return f"the update failed and nothing was changed: {last_line}"

    def make_way(self, before: dict, version: str | None, changes: dict[str, str]) -> list[str]:
        """Settle where the new version has a file and the project a folder, or the reverse.

        A platform file that nobody edited makes way. What is the team's stays, and the template's file is left out.
        Returns what to leave out, as patterns.
        """
        self.git("reset", "--quiet", "--hard")
        self.git("clean", "--quiet", "-d", "--force", "-x")
        with tempfile.TemporaryDirectory() as folder:
            old, new = Path(folder) / "old", Path(folder) / "new"
            render(before | {"_src_path": self.template}, old)
            render(before | changes | {"_src_path": self.template, "_commit": version}, new)
            blocked: dict[str, list[str]] = {}
            for path in paths_in(new):
                in_the_way = [str(part) for part in Path(path).parents if is_no_folder(self.folder / part)]
                if (self.folder / path).is_dir():
                    in_the_way += [f"{path}/{name}" for name in paths_in(self.folder / path)]
                if in_the_way:
                    blocked[path] = in_the_way
            edited = {
                name
                for names in blocked.values()
                for name in names
                if not (old / name).is_file() or (old / name).read_bytes() != self.committed(name)
            }
        left_out = {
            path: next(name for name in names if name in edited)
            for path, names in blocked.items()
            if edited.intersection(names)
        }
        for path, yours in left_out.items():
            self.kept.append(
                f"kept       {yours}: it stays; the template's {path} cannot stand beside it and was left out"
            )
        self.made_way = sorted({name for path in blocked.keys() - left_out.keys() for name in blocked[path]})
        for name in self.made_way:
            (self.folder / name).unlink()
            remove_empty_folders((self.folder / name).parent, self.folder)
        # Copier wants a clean tree, and the index to have them, or it takes them for files that the team deleted.
        self.mark("--skip-worktree")
        # A file of the team's keeps the template's folder out, and a folder of the team's keeps the template's file
        # out.
        return sorted({f"/{yours if path.startswith(f'{yours}/') else path}" for path, yours in left_out.items()})

    def mark(self, option: str) -> None:
        self.git("update-index", option, "-z", "--stdin", text="".join(f"{name}\0" for name in self.made_way))

    def committed(self, path: str) -> bytes | None:
        """What was committed under that path, None when nothing was."""
        shown = run_git(self.folder, "show", f"HEAD:{path}", check=False)
        return shown.stdout if shown.returncode == 0 else None

    def keep_edited_files(self, before: dict, after: dict) -> None:
        """Bring back what Copier deletes although the team had changed it.

        A file that the template renamed gets the team's changes under its new name; another one stays where it was.
        """
        deleted = self.git("diff", "--name-only", "--diff-filter=D", "-z", "HEAD").split("\0")[:-1]
        if not deleted:
            return
        with tempfile.TemporaryDirectory() as folder:
            old, new = Path(folder) / "old", Path(folder) / "new"
            render(before, old)
            edited = [
                path
                for path in deleted
                if not (old / path).is_file() or self.committed(path) != (old / path).read_bytes()
            ]
            if edited:
                render(after, new)
            names = self.renamed(old, new) if edited else {}
            for path in edited:
                target = names.get(path)
                if target and self.committed(target) is None and (self.folder / target).is_file():
                    (self.folder / target).write_bytes(self.committed(path))
                    labels = [part for side in SIDES for part in ("-L", side)]
                    merged = run_git(
                        self.folder, "merge-file", *labels, target, str(old / path), str(new / target), check=False
                    )
                    if merged.returncode:
                        sides = (old / path).read_bytes(), self.committed(path), (new / target).read_bytes()
                        for stage, content in enumerate(sides, 1):
                            blob = run_git(self.folder, "hash-object", "-w", "--stdin", text=content).stdout.decode()
                            self.stages.append(f"100644 {blob.strip()} {stage}\t{target}")
                    self.kept.append(f"moved      {path} -> {target}, your changes with it")
                else:
                    self.git("checkout", "--quiet", "HEAD", "--", path)
                    self.kept.append(f"kept       {path}: you had changed it, the template has no use for it any more")

    def renamed(self, old: Path, new: Path) -> dict[str, str]:
        """Names in ``new`` by those in ``old`` of the files that the template renamed."""
        listed = self.git(
            *("diff", "--no-index", "--name-status", "-z", f"--find-renames={SIMILARITY}", "--diff-filter=R"),
            *(str(old), str(new)),
            check=False,
        ).split("\0")[:-1]
        pairs = zip(listed[1::3], listed[2::3], strict=True)
        return {str(Path(one).relative_to(old)): str(Path(other).relative_to(new)) for one, other in pairs}

    def finished(self, before: dict, after: dict) -> Plan:
        """What is to be done to the project so that it has the result."""
        for name, (as_committed, plain) in self.line_ends.items():
            path = self.folder / name
            now = path.read_bytes() if path.is_file() else None
            if now == plain:
                path.write_bytes(as_committed)
            elif now is not None and as_committed.count(b"\n") == as_committed.count(b"\r\n"):
                path.write_bytes(now.replace(b"\n", b"\r\n"))
        self.mark("--no-skip-worktree")
        self.commit()
        tree = self.project.git("rev-parse", f"HEAD:{self.project.prefix}").strip()
        listed = self.git("diff-tree", "-r", "-z", "--no-renames", tree, "HEAD").split("\0")[:-1]
        changes = [Change(path, *line[1:].split(" ")[:4]) for line, path in zip(listed[::2], listed[1::2], strict=True)]
        plan = Plan("writing", str(after["_commit"]), changes, self.stages)
        added = sum(change.old_mode == DELETED for change in changes)
        removed = sum(change.new_mode == DELETED for change in changes)
        counts = f"{len(changes) - added - removed} files changed, {added} added, {removed} removed"
        plan.report = [f"{before['_commit']} -> {after['_commit']}: {counts}", *self.kept]
        for name in sorted(before.keys() & after.keys() - {"_commit"}):
            if before[name] != after[name]:
                plan.report.append(f"answer     {name}: {before[name]} -> {after[name]}")
        for change in changes:
            number = 0 if change.new_mode in (DELETED, "160000") else conflicts_in(self.folder / change.path)
            if number:
                plan.conflicts += 1
                plan.report.append(f"conflict   {change.path}: {number} {'place' if number == 1 else 'places'}")
        return plan

    def hand_over(self) -> None:
        """Put the new contents where the project's git has them; nothing of the project is changed by it."""
        self.git("update-ref", "refs/heads/after", "HEAD")
        self.project.git(
            *("-c", "gc.auto=0", "-c", "maintenance.auto=false"),
            *("fetch", "--quiet", "--no-tags", "--no-prune", "--no-recurse-submodules", "--no-write-fetch-head"),
            *(str(self.folder), f"+refs/heads/after:{self.project.reference('after')}"),
        )
        for blob in {line.split(" ")[1] for line in self.stages}:
            content = run_git(self.folder, "cat-file", "blob", blob).stdout
            run_git(self.project.root, "hash-object", "-w", "--stdin", text=content)


def render(answers: dict, target: Path) -> None:
    """The project as the template alone makes it from these answers."""
    given = {name: value for name, value in answers.items() if not name.startswith("_")}
    copier.run_copy(
        answers["_src_path"], target, data=given, vcs_ref=answers["_commit"], defaults=True, quiet=True, overwrite=True
    )


def paths_in(folder: Path) -> list[str]:
    """All files in the folder, by their paths from there."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())


def is_no_folder(path: Path) -> bool:
    return path.is_symlink() or path.is_file()


def conflicts_in(path: Path) -> int:
    """Number of conflicts marked in the file; a rejected patch counts as one."""
    if path.is_symlink():
        return 0
    marked = sum(line.rstrip() == CONFLICT_START for line in path.read_bytes().splitlines())
    return marked + (path.suffix == ".rej")


def write_whole(place: Path, content: bytes, mode: int) -> None:
    """Write the file beside its place, then put it there: at no moment is it half-written."""
    part = part_of(place)
    part.unlink(missing_ok=True)
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        part.replace(place)
    finally:
        part.unlink(missing_ok=True)


def part_of(place: Path) -> Path:
    """Where a file is written before it is put in its place."""
    return place.with_name(f".{place.name}.make-update")


def remove_empty_folders(folder: Path, top: Path) -> None:
    with contextlib.suppress(OSError):  # it is not empty, or gone already
        while folder != top:
            folder.rmdir()
            folder = folder.parent


def is_old(change: Change, names: set[str]) -> bool:
    return change.old in names if change.old_mode != DELETED else not names


def is_new(change: Change, names: set[str]) -> bool:
    return change.new in names if change.new_mode != DELETED else not names


def only_mode(change: Change) -> bool:
    """Whether the file keeps its content and becomes executable, or the reverse, which its content does not show."""
    return change.old == change.new


def keep_what_is_not_in_git(project: Project, plan: Plan) -> None:
    """Take out of the plan what would overwrite a file that the last commit does not have so: ignored ones above
    all."""
    now = project.contents([change.path for change in plan.changes])
    going = {change.path for change in plan.changes if change.new_mode == DELETED}
    lines = []
    for change in list(plan.changes):
        names = now[change.path]
        parents = [str(part) for part in Path(change.path).parents]
        in_the_way = [part for part in parents if (project.root / part).is_file() and part not in going]
        if change.old_mode == DELETED and (project.root / change.path).is_dir():
            inside = {f"{change.path}/{name}" for name in paths_in(project.root / change.path)}
            in_the_way += [change.path] if inside - going else []
        elif not is_old(change, names) and not is_new(change, names):
            in_the_way.append(change.path)
        if in_the_way:
            plan.changes.remove(change)
            plan.stages = [line for line in plan.stages if line.split("\t")[1] != change.path]
            theirs = f"; the template's: git show {project.reference('after')}:{change.path}"
            lines.append(
                f"kept       {in_the_way[0]}: yours is not in git and stays"
                + (theirs if change.new_mode != DELETED else "; the template has none any more")
            )
    added = [change.path for change in plan.changes if change.old_mode == DELETED]
    text = "".join(f"{path}\0" for path in added)
    for path in project.git("check-ignore", "-z", "--stdin", text=text, check=False).split("\0")[:-1]:
        lines.append(f"added      {path}: git ignores it here, so add it with git add --force")
    plan.report[1:1] = lines


def begun(project: Project, plan: Plan) -> bool:
    """Whether any of the plan's files is already as the plan wants it. Removes what a killed update left
    half-written."""
    for change in plan.changes:
        with contextlib.suppress(OSError):
            part_of(project.root / change.path).unlink(missing_ok=True)
    now = project.contents([change.path for change in plan.changes])
    return any(is_new(change, now[change.path]) and not is_old(change, now[change.path]) for change in plan.changes)


def finish(project: Project, plan: Plan) -> int:
    """Write what is not written yet, and say what the update did; the return value is the exit code."""

    def turn(change: Change) -> tuple[bool, ...]:
        """What is removed makes way first; the rules about line ends come before what they are about."""
        last = (change.path == project.answers_file, change.path in LAST)
        return (*last, change.new_mode != DELETED, not change.path.endswith(".gitattributes"))

    now = project.contents([change.path for change in plan.changes])
    for change in sorted(plan.changes, key=turn):
        names = now[change.path]
        if is_new(change, names) and not only_mode(change):
            continue
        if is_old(change, names):
            project.write(change.path, change.new_mode, change.new)
        else:
            theirs = f"git show {project.reference('after')}:{change.path}"
            plan.report.insert(1, f"kept       {change.path}: you changed it meanwhile; the update's: {theirs}")
            plan.stages = [line for line in plan.stages if line.split("\t")[1] != change.path]
    entries = [line.split("\t") for line in plan.stages]
    forgotten = [f"0 {'0' * 40}\t{project.prefix}{path}\0" for path in sorted({path for _, path in entries})]
    staged = [f"{entry}\t{project.prefix}{path}\0" for entry, path in entries]
    if staged:
        project.git("update-index", "-z", "--index-info", text="".join([*forgotten, *staged]))
    plan.state = "written"
    project.keep(plan)
    print("\n".join(plan.report))
    if plan.conflicts:
        print(
            f"error: resolve the conflicts, which stand between {'<' * 7} and {'>' * 7}; then git add and commit. "
            "make update-undo takes the update back"
        )
        return 1
    print("next: git diff, make setup test, git add --all && git commit; make update-undo takes it back")
    return 0


def undo(project: Project) -> int:
    """Put every file back that the last update changed; what was changed since is kept in git and named."""
    plan = project.plan()
    committed = project.committed_answers().get("_commit")
    head = project.git("rev-parse", f"HEAD:./{project.answers_file}", check=False).strip()
    done = plan and any(change.path == project.answers_file and change.new == head for change in plan.changes)
    if plan and not done and begun(project, plan):
        now = project.contents([change.path for change in plan.changes])
        undone = [change for change in plan.changes if only_mode(change) or not is_old(change, now[change.path])]
        save(project, [change.path for change in undone if not is_new(change, now[change.path])])
        # What was added goes first, so that what stood in its place can come back.
        for change in sorted(undone, key=lambda each: each.old_mode != DELETED):
            project.write(change.path, change.old_mode, change.old)
        reset(project, [change.path for change in plan.changes])
        project.plan_file.unlink()
        print(f"the update to {plan.version} is taken back: {len(undone)} files are as they were before")
        return 0
    try:
        answers = yaml.safe_load((project.root / project.answers_file).read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError):
        answers = None
    if isinstance(answers, dict) and committed and answers.get("_commit") != committed:
        # Copier's own update, which leaves no plan; it starts from a clean tree, so all that differs came since.
        listed = project.git("status", "--porcelain", "--untracked-files=all", "--no-renames", "-z", "--", ".")
        changed = [entry[3:].removeprefix(project.prefix) for entry in listed.split("\0")[:-1]]
        save(project, changed)
        reset(project, changed)
        for path in changed:
            entry = project.git("ls-tree", "HEAD", "--", path, GIT_LITERAL_PATHSPECS="1").split()
            project.write(path, entry[0] if entry else DELETED, entry[2] if entry else "")
        print(f"the update to {answers.get('_commit')} is taken back: {len(changed)} files are as they were before")
        return 0
    if done:
        commit = project.git("log", "-1", "--format=%h", "--", project.answers_file).strip()
        raise Refused(f"the update to {plan.version} is committed: git revert {commit} takes it back")
    raise Refused("there is no update to take back: no file is as an update wrote it")


def save(project: Project, paths: Sequence[str]) -> None:
    """Keep these files as they are now in a commit beside the branches, and say where."""
    there = [path for path in paths if os.path.lexists(project.root / path)]
    if not there:
        return
    who = {f"GIT_{role}_{part}": "make-update" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")}
    with tempfile.TemporaryDirectory() as folder:
        index = {"GIT_INDEX_FILE": str(Path(folder) / "index"), "GIT_LITERAL_PATHSPECS": "1"}
        project.git("read-tree", "HEAD", **index)
        listed = "".join(f"{path}\0" for path in there)
        project.git("add", "--force", "--pathspec-from-file=-", "--pathspec-file-nul", text=listed, **index)
        tree = project.git("write-tree", **index).strip()
    commit = project.git("commit-tree", tree, "-p", "HEAD", "-m", "before make update-undo", **who).strip()
    project.git("update-ref", project.reference("undone"), commit)
    print(f"as they were just now, these are kept in git: git show {project.reference('undone')}:./<path>")
    for path in there:
        print(f"           {path}")


def reset(project: Project, paths: Sequence[str]) -> None:
    """Have git's index as it was committed for these paths."""
    listed = "".join(f"{path}\0" for path in paths)
    options = ("--quiet", "--pathspec-from-file=-", "--pathspec-file-nul")
    project.git("reset", *options, "HEAD", text=listed, GIT_LITERAL_PATHSPECS="1")


def show(plan: Plan, notes: str) -> int:
    """What the update would do; the return value is the exit code that it would have."""
    print("nothing is changed; make update would do this:")
    print("\n".join(plan.report))
    for change in plan.changes:
        word = "added" if change.old_mode == DELETED else "removed" if change.new_mode == DELETED else "changed"
        print(f"{word:<10} {change.path}")
    if notes:
        print(f"\n{notes}")
    return 1 if plan.conflicts else 0


def release_notes(template: str, old: str, new: str) -> str:
    """The sections of the template's CHANGELOG.md for the releases after ``old`` up to ``new``; empty without them."""
    after, upto = version(old), version(new)
    if not after or not upto:
        return ""
    described = re.search(r"-g([0-9a-f]{7,})$", new)
    folder = Path(template).expanduser()
    with tempfile.TemporaryDirectory() as scratch:
        reference = described[1] if described else new
        if not folder.is_dir():
            # Copier knows what stands behind gh: and gl:.
            url = get_repo(template) or template
            folder = Path(scratch) / "template"
            only = () if described else ("--depth", "1", "--branch", new)
            if run_git(Path(scratch), "clone", "--quiet", "--bare", *only, url, str(folder), check=False).returncode:
                return ""
        text = run_git(folder, "show", f"{reference}:CHANGELOG.md", check=False).stdout.decode(errors="replace")
    sections = re.split(r"^(?=## )", text, flags=re.MULTILINE)
    wanted = []
    for section in sections:
        heading = re.match(r"## \[?v?([^\]\s]+)", section)
        released = version(heading[1]) if heading else None
        if released and after < released <= upto:
            wanted.append(section.strip())
    return "\n\n".join(wanted)


def version(tag: str) -> Version | None:
    try:
        return Version(re.sub(r"-(\d+)-g[0-9a-f]+$", r".post\1", tag))
    except InvalidVersion:
        return None


if __name__ == "__main__":
    sys.exit(main())
