"""One repository: what its answers say, how far it has drifted, which standards fail, whether an update would apply."""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import copier
import orch_standards
import yaml

from .templates import Mirror, TemplateError, get_repo, reference, run_git

ANSWERS = ".copier-answers.yml"
CONFLICT = re.compile(rb"^<<<<<<< before updating\r?$", re.MULTILINE)
LISTED = re.compile(r"^conflict   (.*): \d+ places?$", re.MULTILINE)  # by the template's update script
URL = re.compile(r"[\w+]+://|[\w.-]+@[\w.-]+:|g[hl]:")
EDITED = "answers-edited"  # the rule that finds answers changed by hand, which `make update` refuses


@dataclass
class Report:
    """What is known of one repository.

    problem: why something is missing, a sentence; empty when all could be read; standards are checked even then where
    there is a commit. behind: releases since ``version``. released, updated: the days, as 2026-01-31, on which that
    version was released and on which the project took it. owner: the team. drift: platform files that differ from what
    the template rendered. standards: findings by rule.
    update: "current", "clean", "conflicts", "fails" or "not tried", with the files or the reason in ``update_detail``.
    notes: what else to know before an update, in sentences.
    """

    name: str
    path: str
    problem: str = ""
    template: str = ""
    version: str = ""
    latest: str = ""
    behind: int | None = None
    released: str = ""
    updated: str = ""
    owner: str = ""
    orchestrators: list[str] = field(default_factory=list)
    hosting: str = ""
    drift: list[str] = field(default_factory=list)
    standards: dict[str, int] = field(default_factory=dict)
    update: str = "not tried"
    update_detail: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def attention(self) -> set[str]:
        """Why it needs attention, as ``--fail-on`` names it."""
        causes = {
            "unreadable": self.problem,
            "behind": self.behind,
            "drift": self.drift,
            "findings": self.standards,
            "conflicts": self.update in ("conflicts", "fails"),
        }
        return {cause for cause, is_so in causes.items() if is_so}

    @property
    def urgency(self) -> tuple[int, ...]:
        """Sorts what needs most attention first: what cannot be read or updated, conflicts, failing standards, age."""
        endings = ("fails", "conflicts")
        ending = endings.index(self.update) if self.update in endings else len(endings)
        return (not self.problem, ending, -sum(self.standards.values()), -(self.behind or 0), -len(self.drift))


CAUSES = ("unreadable", "behind", "drift", "findings", "conflicts")


class RepositoryError(Exception):
    """The repository cannot be read; the message says why, in a sentence."""


@dataclass(frozen=True)
class Place:
    """A project to examine: a repository, or a folder of one. problem: why it cannot be examined."""

    name: str
    path: Path
    problem: str = ""


def find(places: Sequence[str], folder: Path) -> list[Place]:
    """The projects at these places, each a repository, a folder of some, a project's folder in one, or a URL.

    folder: for clones of what is given by URL.
    """
    found: list[Place] = []
    for number, given in enumerate(places):
        if URL.match(given):
            found += _cloned(given, folder / str(number))
            continue
        place = Path(given).expanduser().resolve()
        if (place / ".git").exists() or (place / ANSWERS).is_file():
            found += _projects(place)
            continue
        below = [path for path in sorted(place.glob("*")) if path.is_dir() and not path.name.startswith(".")]
        holds_some = any((path / ".git").exists() or (path / ANSWERS).is_file() for path in below)
        found += [each for path in below for each in _projects(path)] if holds_some else _projects(place)
    return list({each.path: each for each in found}.values())


def _cloned(url: str, target: Path) -> list[Place]:
    name = re.split(r"[/:]", url.rstrip("/").removesuffix(".git"))[-1]
    target = target / name
    target.parent.mkdir(parents=True)
    try:
        run_git("clone", "--quiet", get_repo(url) or url, str(target))
    except subprocess.CalledProcessError as error:
        return [Place(name, target, f"{url} cannot be cloned: {' '.join(error.stderr.split())}")]
    except subprocess.TimeoutExpired:
        return [Place(name, target, f"{url} did not answer in time: try again, or clone it yourself")]
    return _projects(target)


def _projects(place: Path) -> list[Place]:
    """The projects of a repository: at its root, and in its folders."""
    if not (place / ".git").exists():
        return [Place(place.name, place)]
    try:
        listed = run_git("ls-tree", "-r", "-z", "--name-only", "HEAD", cwd=place).split("\0")
    except subprocess.CalledProcessError:
        return [Place(place.name, place)]
    folders = sorted(Path(name).parent for name in listed if Path(name).name == ANSWERS)
    names = {folder: place.name if folder == Path() else f"{place.name}/{folder.as_posix()}" for folder in folders}
    return [Place(name, place / folder) for folder, name in names.items()] or [Place(place.name, place)]


def answers_of(repository: Path) -> dict[str, Any]:
    """The committed answers, a template on this machine by its whole path.

    Raises RepositoryError in a sentence when there are none that can be used.
    """
    if not repository.is_dir():
        raise RepositoryError("there is no such folder: check the path")
    try:
        run_git("rev-parse", "--verify", "--quiet", "HEAD", cwd=repository)
    except subprocess.CalledProcessError:
        raise RepositoryError("it is no git repository with a commit: clone it") from None
    try:
        text = run_git("show", f"HEAD:./{ANSWERS}", cwd=repository)
    except subprocess.CalledProcessError:
        raise RepositoryError(
            f"it has no {ANSWERS}: it was not made from a template, or the file was removed"
        ) from None
    try:
        answers = yaml.safe_load(text)
    except yaml.YAMLError:
        raise RepositoryError(f"{ANSWERS} is no YAML: restore it from an earlier commit") from None
    missing = [name for name in ("_src_path", "_commit") if not isinstance(answers, dict) or not answers.get(name)]
    if missing:
        raise RepositoryError(f"{ANSWERS} has no {' and no '.join(missing)}: restore it from an earlier commit")
    on_this_machine = repository / Path(str(answers["_src_path"])).expanduser()
    return answers | {"_src_path": str(on_this_machine.resolve())} if on_this_machine.is_dir() else answers


def examine(
    place: Place, answers: dict[str, Any] | None, template: Mirror | None, problem: str = "", try_update: bool = True
) -> Report:
    """Everything about one project, worked out in a scratch copy of its last commit.

    Without answers or a template, ``problem`` says why, and the standards are checked all the same.
    """
    repository = place.path
    report = Report(place.name, str(repository), problem)
    if answers:
        report.template, report.version = str(answers["_src_path"]), str(answers["_commit"])
        chosen = [answers.get("orchestrator"), *_listed(answers, "member_orchestrators", "also_orchestrators")]
        report.orchestrators = [str(name) for name in dict.fromkeys(chosen) if name]
        report.hosting = str(answers.get("hosting_variant") or answers.get("hosting") or "")
        report.owner = str(answers.get("owning_team") or "")
    try:
        if answers:
            report.updated = run_git("log", "-1", "--format=%cs", "--", ANSWERS, cwd=repository).strip()
        report.notes = _uncommitted(repository)
        with _scratch() as scratch:
            copy = _copied(repository, scratch)
            report.standards = dict(Counter(finding.rule for finding in orch_standards.check(copy)))
            if not answers or not template:
                return report
            report.template = template.source
            report.behind = template.behind(report.version)
            report.latest = template.releases[-1][1] if template.releases else ""
            report.released = template.released(report.version)
            if template.is_newer(report.version):
                report.notes.append(
                    f"{report.version} is newer than the newest release: an update would be a downgrade"
                )
            report.drift = _drift(copy, scratch / "as-rendered", answers, template)
            if not report.behind:
                report.update = "current"
            elif EDITED in report.standards:
                report.update, report.update_detail = "fails", [f"{ANSWERS} was edited by hand: restore it"]
            elif try_update:
                report.update, report.update_detail = _tried_update(copy, template, report.version)
    except (TemplateError, RepositoryError, orch_standards.ProjectError) as error:
        report.problem = report.problem or str(error)
    except subprocess.CalledProcessError as error:
        said = " ".join(error.stderr.split()) or "no reason given"
        report.problem = report.problem or f"git cannot read it: {said}"
    except Exception as error:  # noqa: BLE001  one repository's trouble must not hide the others
        said = (str(error).strip() or "no reason given").splitlines()[-1]
        report.problem = report.problem or f"{type(error).__name__}: {said}"
    return report


def _listed(answers: dict[str, Any], *names: str) -> list[Any]:
    """The values of these answers, each a list; another value is one that somebody edited."""
    return [each for name in names for each in (answers.get(name) if isinstance(answers.get(name), list) else [])]


def _uncommitted(repository: Path) -> list[str]:
    """A note when there is work that the report does not see and that `make update` would refuse to touch."""
    listed = run_git("status", "--porcelain", "-z", "--untracked-files=all", "--", ".", cwd=repository)
    entries = [entry for entry in listed.split("\0") if entry[2:3] == " "]
    if not entries:
        return []
    files = "1 file is" if len(entries) == 1 else f"{len(entries)} files are"
    return [f"{files} not committed: this is about the last commit, and make update waits for a clean tree"]


@contextlib.contextmanager
def _scratch() -> Iterator[Path]:
    """A folder of its own, gone afterwards; what Copier prints or warns of is not shown."""
    with (
        tempfile.TemporaryDirectory(prefix="orch-fleet-", ignore_cleanup_errors=True) as folder,
        contextlib.redirect_stderr(io.StringIO()),
        warnings.catch_warnings(action="ignore"),
    ):
        yield Path(folder)


def _copied(repository: Path, scratch: Path) -> Path:
    """A clone of the last commit, so that neither the repository nor its uncommitted work is touched.

    Returns the project's folder in it: projects may be a folder of a larger repository.
    """
    top = Path(run_git("rev-parse", "--show-toplevel", cwd=repository).strip())
    target = scratch / top.name
    run_git("clone", "--quiet", "--shared", "--no-tags", str(top), str(target))
    return target / repository.relative_to(top)


def _drift(copy: Path, rendered: Path, answers: dict[str, Any], template: Mirror) -> list[str]:
    """Platform files that are not as the template rendered them, by path."""
    given = {name: value for name, value in answers.items() if not name.startswith("_")}
    copier.run_copy(
        str(template.folder),
        rendered,
        data=given,
        vcs_ref=reference(str(answers["_commit"])),
        defaults=True,
        quiet=True,
        unsafe=False,
    )
    team = template.team_files(str(answers["_commit"]), answers)
    paths = (path.relative_to(rendered).as_posix() for path in rendered.rglob("*") if path.is_file())
    return sorted(
        path
        for path in paths
        if path != ANSWERS
        and not team.match_file(path)
        and (not (copy / path).is_file() or (copy / path).read_bytes() != (rendered / path).read_bytes())
    )


def _tried_update(copy: Path, template: Mirror, version: str) -> tuple[str, list[str]]:
    """How `make update` to the latest release ends: by the template's own script, in the scratch copy."""
    script = template.update_script(version)
    if script is None:
        return _tried_copier(copy, template)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        code = script.main(["--project", str(copy), "--template", str(template.folder), "--dry-run"])
    if code > 1:
        said = [line for line in printed.getvalue().splitlines() if line.startswith("error: ")]
        return "fails", [(said or ["it gave no reason"])[0].removeprefix("error: ")]
    conflicts = LISTED.findall(printed.getvalue())
    return ("conflicts", conflicts) if conflicts else ("clean", [])


def _tried_copier(copy: Path, template: Mirror) -> tuple[str, list[str]]:
    """How `copier update` ends, for a template without an update script."""
    answers = copy / ANSWERS
    lines = answers.read_text(encoding="utf-8").splitlines()
    # The mirror stands for the template, so that nothing is fetched again.
    changed = [f"_src_path: {template.folder}" if line.startswith("_src_path:") else line for line in lines]
    answers.write_text("\n".join(changed) + "\n", encoding="utf-8")
    identity = ("-c", "user.name=orch-fleet", "-c", "user.email=orch-fleet@localhost", "-c", "commit.gpgsign=false")
    run_git(*identity, "commit", "--quiet", "--all", "--no-verify", "--allow-empty", "--message", "trial", cwd=copy)
    here = Path.cwd()
    try:
        copier.run_update(copy, defaults=True, overwrite=True, quiet=True, unsafe=False)
    except Exception as error:  # noqa: BLE001  whatever stops it is the answer
        return "fails", [(str(error).strip() or type(error).__name__).splitlines()[-1]]
    finally:
        os.chdir(here)
    run_git("add", "--all", "--intent-to-add", "--", ".", cwd=copy)
    paths = run_git("diff", "--name-only", "--relative", "-z", "HEAD", cwd=copy).split("\0")[:-1]
    conflicts = [path for path in paths if (copy / path).is_file() and CONFLICT.search((copy / path).read_bytes())]
    return ("conflicts", conflicts) if conflicts else ("clean", [])
