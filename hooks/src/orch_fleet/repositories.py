"""One repository: what its answers say, how far it has drifted, which standards fail, whether an update would apply."""

from __future__ import annotations

import contextlib
import io
import os
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

from .templates import Mirror, TemplateError, reference, run_git

ANSWERS = ".copier-answers.yml"
CONFLICT = b"<<<<<<< before updating"
EDITED = "answers-edited"  # the rule that finds answers changed by hand, which `make update` refuses


@dataclass
class Report:
    """What is known of one repository.

    problem: why the rest is missing, a sentence; empty when it could be read. behind: releases since ``version``.
    drift: platform files that differ from what the template rendered. standards: findings by rule.
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
    def needs_attention(self) -> bool:
        return bool(self.problem or self.behind or self.drift or self.standards)

    @property
    def urgency(self) -> tuple[int, ...]:
        """Sorts what needs most attention first: what cannot be read or updated, conflicts, failing standards, age."""
        endings = ("fails", "conflicts")
        ending = endings.index(self.update) if self.update in endings else len(endings)
        return (not self.problem, ending, -sum(self.standards.values()), -(self.behind or 0), -len(self.drift))


class RepositoryError(Exception):
    """The repository cannot be read; the message says why, in a sentence."""


def find(places: Sequence[Path]) -> list[Path]:
    """The repositories at these places: each one itself, or the repositories directly in a folder that is none."""
    found: list[Path] = []
    for place in places:
        place = place.expanduser().resolve()
        below = [] if (place / ".git").exists() else sorted(path.parent for path in place.glob("*/.git"))
        found += below or [place]
    return list(dict.fromkeys(found))


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


def examine(repository: Path, answers: dict[str, Any], template: Mirror, try_update: bool = True) -> Report:
    """Everything about one repository, worked out in a scratch copy of its last commit."""
    report = Report(repository.name, str(repository), template=template.source, version=str(answers["_commit"]))
    chosen = [
        answers.get("orchestrator"),
        *answers.get("member_orchestrators", []),
        *answers.get("also_orchestrators", []),
    ]
    report.orchestrators = [str(name) for name in dict.fromkeys(chosen) if name]
    report.hosting = str(answers.get("hosting_variant") or answers.get("hosting") or "")
    try:
        report.notes = _uncommitted(repository)
        report.behind = template.behind(report.version)
        report.latest = template.releases[-1][1] if template.releases else ""
        if template.is_newer(report.version):
            report.notes.append(f"{report.version} is newer than the newest release: an update would be a downgrade")
        with _scratch() as scratch:
            copy = _copied(repository, scratch)
            report.standards = dict(Counter(finding.rule for finding in orch_standards.check(copy)))
            report.drift = _drift(copy, scratch / "as-rendered", answers, template)
            if not report.behind:
                report.update = "current"
            elif EDITED in report.standards:
                report.update, report.update_detail = "fails", [f"{ANSWERS} was edited by hand: restore it"]
            elif try_update:
                report.update, report.update_detail = _tried_update(copy, template)
    except (TemplateError, RepositoryError, orch_standards.ProjectError) as error:
        report.problem = str(error)
    except subprocess.CalledProcessError as error:
        report.problem = f"git cannot read it: {(error.stderr.strip() or 'no reason given').splitlines()[-1]}"
    except Exception as error:  # noqa: BLE001  one repository's trouble must not hide the others
        report.problem = f"{type(error).__name__}: {(str(error).strip() or 'no reason given').splitlines()[-1]}"
    return report


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


def _tried_update(copy: Path, template: Mirror) -> tuple[str, list[str]]:
    """How `copier update` to the latest release ends in the scratch copy."""
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
    conflicts = [path for path in paths if (copy / path).is_file() and CONFLICT in (copy / path).read_bytes()]
    return ("conflicts", conflicts) if conflicts else ("clean", [])
